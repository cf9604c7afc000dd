/* Rules about several servers of one service: each takes a socket of its own, at addresses that they share. */
#include "conf/check.h"

/* What can be there once only; NULL where several sockets can be bound to the same address. */
static const char *only_once(const struct addr *addr) {
        if (addr->form == ADDR_INHERITED)
                return "an inherited socket";
        if (addr->form == ADDR_FIFO)
                return "a FIFO";
        if (addr_is_ip(addr))
                return NULL;
        return addr->sockaddr.sa.sa_family == AF_UNIX ? "an AF_UNIX socket" : "this address";
}

static bool is_for_one(const struct service_def *def) {
        for (size_t i = 0; i < def->listen.count; i++)
                if (def->listen.items[i].addrs.count > 0 && only_once(&def->listen.items[i].addrs.items[0]))
                        return true;
        return false;
}

static void check_entry(struct decoder *dec, const struct record *record, int index) {
        const struct listen_def *listen = &record->def->listen.items[index];
        const struct check_place place = {SERVICE_LISTEN, index};
        const char *thing = listen->addrs.count > 0 ? only_once(&listen->addrs.items[0]) : NULL;

        if (thing)
                check_error(dec, record, place,
                            "%s is one, and several workers each take a socket of their own; leave out workers", thing);
        else if (listen->options.reuse_port != 1)
                check_error(dec, record, place,
                            "several workers each take a socket of their own; write reuse_port: yes");
}

/* Requests are found in streams of bytes. */
static void check_streams(struct decoder *dec, struct record *record) {
        const struct service_def *def = record->def;

        for (size_t i = 0; i < def->listen.count && !record->bad[SERVICE_LISTEN]; i++) {
                const struct addr_list *addrs = &def->listen.items[i].addrs;

                if (addrs->count > 0 && addrs->items[0].form != ADDR_INHERITED && addrs->items[0].type != SOCK_STREAM)
                        check_error(dec, record, (struct check_place){SERVICE_LISTEN, (int)i},
                                    "'%s' is no stream address, and requests are found in streams of bytes",
                                    quote_text(def->listen.items[i].address).text);
        }
}

/* Connections and requests go to workers only where the broker has them. */
void check_pool(struct decoder *dec, struct record *record) {
        const struct service_def *def = record->def;

        if (!check_usable(record, SERVICE_HANDOFF, SERVICE_WAIT) || !service_def_is_pool(def))
                return;
        if (!def->wait) {
                if (def->handoff == HANDOFF_REQUEST && record->origins[SERVICE_PROXY] == KEY_ABSENT)
                        check_streams(dec, record);
        } else if (check_is_written(record, SERVICE_HANDOFF)) {
                check_error(dec, record, CHECK_KEY(SERVICE_HANDOFF),
                            "%s is for connections that the broker accepts; write wait: no",
                            def->handoff == HANDOFF_PASS ? "pass" : "request");
                record->bad[SERVICE_HANDOFF] = true;
        } else {
                check_take_back(dec, record, SERVICE_HANDOFF);
        }
}

void check_workers(struct decoder *dec, struct record *record) {
        const struct service_def *def = record->def;
        bool is_main = !record->bad[SERVICE_MAIN] && def->main;

        if (!check_usable(record, SERVICE_WORKERS, SERVICE_WAIT) || !def->wait)
                return;
        if (def->workers.is_range && !check_is_written(record, SERVICE_WORKERS))
                check_take_back(dec, record, SERVICE_WORKERS);
        if (def->workers.is_range) {
                check_error(dec, record, CHECK_KEY(SERVICE_WORKERS),
                            "is a number with wait: yes; only workers of handoff: pass or request come and go");
                return;
        }
        if (def->workers.max == 1)
                return;
        if (!check_is_written(record, SERVICE_WORKERS) && (is_main || is_for_one(def))) {
                check_take_back(dec, record, SERVICE_WORKERS);
                return;
        }
        if (is_main)
                check_error(dec, record, CHECK_KEY(SERVICE_WORKERS),
                            "contradicts main: yes, with which the broker ends when the server does");
        if (record->bad[SERVICE_LISTEN])
                return;
        for (size_t i = 0; i < def->listen.count; i++)
                check_entry(dec, record, (int)i);
}
