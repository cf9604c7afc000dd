/* Rules about built-ins, which the broker answers itself, and about services that are asked for by name. */
#include "conf/check.h"
#include "conf/refuse.h"

#include <ctype.h>

/* What an inherited socket is, shows when it is there (core/change.c). */
static void check_socket(struct decoder *dec, const struct record *record, int index) {
        const struct service_def *def = record->def;
        const struct listen_def *listen = &def->listen.items[index];
        const struct addr *addr = listen->addrs.count > 0 ? &listen->addrs.items[0] : NULL;
        const struct check_place place = {SERVICE_LISTEN, index};

        if (!addr || addr->form == ADDR_INHERITED)
                return;
        if (addr->form != ADDR_SOCKET || (addr->type != SOCK_STREAM && addr->type != SOCK_DGRAM)) {
                check_error(dec, record, place, "'%s' is neither a stream nor a datagram address, which built-ins take",
                            quote_text(listen->address).text);
                return;
        }
        if (addr->type != SOCK_DGRAM)
                return;
        if (def->builtin == BUILTIN_TCPMUX)
                check_error(dec, record, place, "'%s' is no stream address, and tcpmux takes connections",
                            quote_text(listen->address).text);
        for (size_t i = 0; i < listen->addrs.count && !record->bad[SERVICE_UDP_PUBLIC]; i++)
                if (!service_def_answers_at(def, &listen->addrs.items[i].sockaddr)) {
                        check_error(dec, record, place,
                                    "'%s' can be reached from elsewhere, by datagrams whose sender may be forged; "
                                    "write udp:127.0.0.1:PORT, or udp_public: yes",
                                    quote_text(listen->address).text);
                        return;
                }
}

static void check_tcpmux(struct decoder *dec, struct record *record) {
        const struct service_def *def = record->def;

        if (!check_is_there(record, SERVICE_TCPMUX) || def->tcpmux == TCPMUX_NO)
                return;
        if (check_is_there(record, SERVICE_BUILTIN) && def->builtin == BUILTIN_TCPMUX)
                check_refuse_key(dec, record, SERVICE_TCPMUX,
                                 "is for the services that are asked for, not for the one that is asked; leave it out");
        else if (refuse_asked_name(def->name))
                check_refuse_key(dec, record, SERVICE_TCPMUX, refuse_asked_name(def->name));
}

/* Clients may write it in upper and lower case as they like (RFC 1078). */
void check_asked_name(struct decoder *dec, const struct record *record, struct check *check) {
        const struct service_def *def = record->def;
        AUTO(freep) char *name = NULL;
        const struct nameset_item *found;

        if (record->bad[SERVICE_TCPMUX] || def->tcpmux == TCPMUX_NO)
                return;
        name = strdup(def->name);
        if (!name) {
                decode_no_memory(dec, record->name);
                return;
        }
        for (char *c = name; *c != '\0'; c++)
                *c = (char)tolower((unsigned char)*c);
        found = nameset_find(&check->asked, name);
        if (found)
                check_error(dec, record, CHECK_KEY(SERVICE_TCPMUX),
                            "upper and lower case are one for those who ask, and services.%s, at %s:%u:%u, has that "
                            "name already",
                            found->owner, found->mark.file, found->mark.line, found->mark.column);
        else if (nameset_put(&check->asked, name, &(struct nameset_item){.mark = def->mark, .owner = def->name}) < 0)
                decode_no_memory(dec, record->name);
}

void check_asked(const struct def_set *set, struct diag *diag) {
        for (size_t i = 0; i < set->count; i++)
                if (set->services[i]->enabled && set->services[i]->builtin == BUILTIN_TCPMUX)
                        return;
        for (size_t i = 0; i < set->count; i++) {
                const struct service_def *def = set->services[i];
                AUTO(buf_deinit) struct buf path = BUF_NULL;

                if (!def->enabled || def->tcpmux == TCPMUX_NO || def->listen.count > 0)
                        continue;
                buf_printf(&path, "services.%s.tcpmux", def->name);
                diag_warning(diag, &def->mark, buf_text(&path),
                             "nobody can ask for it; write a service with builtin: tcpmux, or listen here");
        }
}

void check_builtin(struct decoder *dec, struct record *record) {
        const struct service_def *def = record->def;

        /* What `defaults:` say is for services that do not say what they are themselves. */
        if (record->origins[SERVICE_BUILTIN] == KEY_DEFAULTED &&
            (record->origins[SERVICE_COMMAND] == KEY_WRITTEN || record->origins[SERVICE_PROXY] == KEY_WRITTEN ||
             record->origins[SERVICE_SENSOR] == KEY_WRITTEN))
                check_take_back(dec, record, SERVICE_BUILTIN);
        check_tcpmux(dec, record);
        if (record->origins[SERVICE_BUILTIN] == KEY_ABSENT)
                return;
        if (check_is_there(record, SERVICE_WAIT) && def->wait)
                check_refuse_key(
                        dec, record, SERVICE_WAIT,
                        "is for servers that get the sockets; a built-in answers itself, datagrams too: leave it "
                        "out");
        section_for_each(key, &section_service) if (check_is_there(record, key->id) && !key_is_for_builtins(key))
                check_refuse_key(dec, record, key->id,
                                 "means nothing for a built-in, which starts no program; leave it out");
        for (size_t i = 0; i < def->listen.count && !record->bad[SERVICE_LISTEN] && !record->bad[SERVICE_BUILTIN]; i++)
                check_socket(dec, record, (int)i);
}
