/* Rules about a proxy: the broker accepts, nobody gets a socket, and there need not be a program. */
#include "conf/check.h"

static void check_sockets(struct decoder *dec, struct record *record) {
        const struct service_def *def = record->def;

        for (size_t i = 0; i < def->listen.count && !record->bad[SERVICE_LISTEN]; i++) {
                const struct addr_list *addrs = &def->listen.items[i].addrs;

                if (addrs->count > 0 && addrs->items[0].form != ADDR_INHERITED && addrs->items[0].type != SOCK_STREAM)
                        check_error(dec, record, (struct check_place){SERVICE_LISTEN, (int)i},
                                    "'%s' is no stream address, and a proxy relays streams of bytes",
                                    quote_text(def->listen.items[i].address).text);
        }
}

void check_proxy(struct decoder *dec, struct record *record) {
        const struct service_def *def = record->def;
        bool has_command = record->origins[SERVICE_COMMAND] != KEY_ABSENT;

        /* What `defaults:` say is for services that do not say what they are themselves. */
        if (record->origins[SERVICE_PROXY] == KEY_DEFAULTED &&
            (record->origins[SERVICE_COMMAND] == KEY_WRITTEN || record->origins[SERVICE_SENSOR] == KEY_WRITTEN))
                check_take_back(dec, record, SERVICE_PROXY);
        if (record->origins[SERVICE_PROXY] == KEY_ABSENT)
                return;
        if (check_is_there(record, SERVICE_WAIT) && def->wait)
                check_refuse_key(dec, record, SERVICE_WAIT,
                                 "is for servers that get the sockets; a proxy accepts itself: "
                                 "leave it out");
        if (check_is_there(record, SERVICE_HANDOFF))
                check_refuse_key(dec, record, SERVICE_HANDOFF,
                                 "means nothing for a proxy, whose server gets no socket; "
                                 "leave it out");
        if (check_is_there(record, SERVICE_SENSOR))
                check_refuse_key(dec, record, SERVICE_SENSOR, "contradicts proxy; a sensor serves nobody");
        section_for_each(key, &section_service) if (!has_command && check_is_there(record, key->id) &&
                                                    !key_is_for_bare_proxies(key))
                check_refuse_key(dec, record, key->id, "means nothing for a proxy without a command; leave it out");
        check_sockets(dec, record);
}
