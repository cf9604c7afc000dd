/* Rules about who is served, and what the others get. */
#include "conf/check.h"
#include "conf/textfile.h"
#include "net/prefixtrie.h"

#include <errno.h>
#include <string.h>

static bool is_inherited(const struct addr *addr) {
        return addr->form == ADDR_INHERITED;
}

static bool is_local(const struct addr *addr) {
        return addresses_unix.has(addr) && addr_is_connectable(addr);
}

/* Whether any socket is of this kind, or could turn out to be. */
static bool listens_to(const struct service_def *def, bool (*has)(const struct addr *addr)) {
        for (size_t i = 0; i < def->listen.count; i++)
                for (size_t j = 0; j < def->listen.items[i].addrs.count; j++) {
                        const struct addr *addr = &def->listen.items[i].addrs.items[j];

                        if (has(addr) || is_inherited(addr))
                                return true;
                }
        return false;
}

void check_sensor(struct decoder *dec, struct record *record) {
        const struct service_def *def = record->def;

        if (record->origins[SERVICE_SENSOR] == KEY_DEFAULTED &&
            (def->wait || record->origins[SERVICE_COMMAND] != KEY_ABSENT))
                check_take_back(dec, record, SERVICE_SENSOR);
        if (!check_is_there(record, SERVICE_SENSOR) || record->bad[SERVICE_WAIT] || def->wait)
                return;
        section_for_each(key, &section_service) if (check_is_there(record, key->id) && !key_is_for_sensors(key))
                check_refuse_key(dec, record, key->id, "means nothing for a sensor, which serves nobody; leave it out");
        for (size_t i = 0; i < def->listen.count && !record->bad[SERVICE_LISTEN]; i++) {
                const struct addr_list *addrs = &def->listen.items[i].addrs;

                if (addrs->count > 0 && addr_is_connectable(&addrs->items[0]) && !is_inherited(&addrs->items[0]) &&
                    !addresses_tcp.has(&addrs->items[0]))
                        check_error(dec, record, (struct check_place){SERVICE_LISTEN, (int)i},
                                    "'%s' is not a TCP address; a sensor catches clients by their IP addresses",
                                    quote_text(def->listen.items[i].address).text);
        }
}

/* Lists that nobody could be in. */
static void check_peers(struct decoder *dec, struct record *record) {
        static const enum service_key by_address[] = {SERVICE_ONLY_FROM, SERVICE_NO_ACCESS};
        static const enum service_key by_user[] = {SERVICE_UID, SERVICE_GID};
        const struct service_def *def = record->def;
        bool proxied = record->bad[SERVICE_PROXY_PROTOCOL] || def->proxy_protocol != PROXY_PROTOCOL_NO;

        /* Who asks for it by name may come from anywhere. */
        if (record->bad[SERVICE_LISTEN] || def->tcpmux != TCPMUX_NO)
                return;
        for (size_t i = 0; i < LENGTH_OF(by_address) && !proxied && !listens_to(def, addresses_ip.has); i++)
                if (check_is_there(record, by_address[i]))
                        check_refuse_key(
                                dec, record, by_address[i],
                                "is for clients with IP addresses, and listen has AF_UNIX sockets alone; write "
                                "uid or gid");
        for (size_t i = 0; i < LENGTH_OF(by_user) && !listens_to(def, is_local); i++)
                if (check_is_there(record, by_user[i]))
                        check_refuse_key(dec, record, by_user[i],
                                         "is for clients of AF_UNIX sockets, and listen has none; write only_from");
}

/* The place of an entry of a list, some of which may have been left out. */
static struct check_place entry_at(const struct record *record, enum service_key id, const struct mark *mark) {
        const struct node *node = record->values[id];
        struct check_place place = CHECK_KEY(id);

        for (size_t i = 0; node && node->kind == NODE_SEQUENCE && i < node->count; i++)
                if (node->items[i]->line == mark->line && node->items[i]->column == mark->column)
                        place.entry = (int)i;
        return place;
}

static void check_refused(struct decoder *dec, const struct record *record, const struct prefix_trie *served,
                          const struct network_def *network) {
        const struct mark *other;
        uint32_t index;

        for (size_t i = 0; i < network->count; i++) {
                if (!prefix_trie_get(served, &network->prefixes[i], &index))
                        continue;
                other = &record->def->only_from.items[index].mark;
                check_error(dec, record, entry_at(record, SERVICE_NO_ACCESS, &network->mark),
                            "'%s' is in only_from too, at %s:%u:%u; take it out of one of them",
                            quote_text(network->text).text, other->file, other->line, other->column);
                return;
        }
}

static void check_lists(struct decoder *dec, const struct record *record) {
        const struct networks_def *served = &record->def->only_from, *refused = &record->def->no_access;
        AUTO(prefix_trie_deinit) struct prefix_trie trie = PREFIX_TRIE_NULL;

        if (!check_usable(record, SERVICE_ONLY_FROM, SERVICE_NO_ACCESS) || refused->count == 0)
                return;
        for (size_t i = 0; i < served->count; i++)
                for (size_t j = 0; j < served->items[i].count; j++)
                        if (prefix_trie_add(&trie, &served->items[i].prefixes[j], (uint32_t)i) == -ENOMEM) {
                                decode_no_memory(dec, record->name);
                                return;
                        }
        for (size_t i = 0; i < refused->count; i++)
                check_refused(dec, record, &trie, &refused->items[i]);
}

static void check_proxy_protocol(struct decoder *dec, struct record *record) {
        const struct service_def *def = record->def;

        if (!check_usable(record, SERVICE_PROXY_PROTOCOL, SERVICE_PROXY_PROTOCOL_FROM))
                return;
        if (def->proxy_protocol != PROXY_PROTOCOL_NO && def->proxy_protocol_from.count == 0)
                check_error(dec, record, CHECK_KEY(SERVICE_PROXY_PROTOCOL),
                            "says nobody may speak for others; write proxy_protocol_from");
        if (def->proxy_protocol == PROXY_PROTOCOL_NO && def->proxy_protocol_from.count > 0)
                check_refuse_key(dec, record, SERVICE_PROXY_PROTOCOL_FROM,
                                 "changes nothing without proxy_protocol; write proxy_protocol: accept or require");
}

/* A reset overtakes what was written before it. Of two keys the one from `defaults:` gives way. */
static void check_reset(struct decoder *dec, struct record *record, enum service_key banner) {
        enum key_origin reset = record->origins[SERVICE_REFUSE_WITH];

        if (!check_is_there(record, banner) || !check_is_there(record, SERVICE_REFUSE_WITH) ||
            record->def->refuse_with != REFUSE_WITH_RESET)
                return;
        if (reset < record->origins[banner])
                check_take_back(dec, record, SERVICE_REFUSE_WITH);
        else if (record->origins[banner] < reset)
                check_take_back(dec, record, banner);
        else
                check_error(dec, record, CHECK_KEY(SERVICE_REFUSE_WITH),
                            "a reset keeps the client from reading %s; write close, or leave %s out",
                            check_key(banner)->name, check_key(banner)->name);
}

static int read_file(const struct decoder *dec, const char *path, struct buf *ret, struct buf *why) {
        const struct kept_answer *kept = kept_find(dec->kept, KEPT_FILE, path);

        if (!kept)
                return textfile_read(path, BANNER_SIZE_MAX, ret, why);
        buf_add(ret, kept->data, kept->size);
        return 0;
}

static void read_banner(struct decoder *dec, struct record *record, enum service_key id) {
        struct banner_def *banner = *(struct banner_def **)key_field(check_key(id), record->def);
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        const char *path;

        if (!check_is_there(record, id) || strncmp(banner->text, BANNER_FILE, strlen(BANNER_FILE)) != 0)
                return;
        path = banner->text + strlen(BANNER_FILE);
        if (read_file(dec, path, &text, &why) < 0) {
                check_error(dec, record, CHECK_KEY(id), "'%s' %s", quote_text(path).text, buf_text(&why));
                return;
        }
        banner->size = text.size;
        free(banner->data);
        banner->data = buf_take(&text);
}

void check_admission(struct decoder *dec, struct record *record) {
        const struct service_def *def = record->def;

        if (record->bad[SERVICE_WAIT] || def->wait)
                return;
        check_peers(dec, record);
        check_lists(dec, record);
        check_proxy_protocol(dec, record);
        check_reset(dec, record, SERVICE_BANNER);
        check_reset(dec, record, SERVICE_BANNER_FAIL);
        if (record->bad[SERVICE_ENABLED] || !def->enabled)
                return;
        read_banner(dec, record, SERVICE_BANNER);
        read_banner(dec, record, SERVICE_BANNER_SUCCESS);
        read_banner(dec, record, SERVICE_BANNER_FAIL);
}
