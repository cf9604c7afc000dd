/* Addresses, networks and connections on their way to the next binary (core/keep.h). The bytes of a sockaddr are the
 * kernel's and change with nobody's version. */
#include "core/arrival.h"
#include "core/keep.h"

#include <string.h>

static const char *const form_names[] = {
        [ADDR_SOCKET] = "socket",   [ADDR_FIFO] = "fifo",    [ADDR_MQUEUE] = "mqueue",
        [ADDR_SPECIAL] = "special", [ADDR_INHERITED] = "fd",
};

void sockaddr_save(const union sockaddr_any *sa, socklen_t size, struct state_out out, const char *key) {
        state_put_bytes(out, key, sa, MIN_OF((size_t)size, sizeof(*sa)));
}

socklen_t sockaddr_restore(union sockaddr_any *sa, struct state_in in, const char *key) {
        memset(sa, 0, sizeof(*sa));
        return (socklen_t)state_get_bytes(in, key, sa, sizeof(*sa));
}

void addr_save(const struct addr *addr, struct state_out out) {
        state_put_name(out, "form", form_names, LENGTH_OF(form_names), addr->form);
        state_put_integer(out, "type", addr->type);
        state_put_integer(out, "protocol", addr->protocol);
        state_put_flag(out, "all", addr->all);
        state_put_integer(out, "size", addr->size);
        /* Whole, since the names of what is no socket lie there too. */
        sockaddr_save(&addr->sockaddr, addr->form == ADDR_SOCKET ? addr->size : sizeof(addr->sockaddr), out,
                      "sockaddr");
}

void addr_restore(struct addr *addr, struct state_in in) {
        *addr = (struct addr){
                .form = state_get_name(in, "form", form_names, LENGTH_OF(form_names), ADDR_SOCKET),
                .type = (int)state_get_integer(in, "type", 0),
                .protocol = (int)state_get_integer(in, "protocol", 0),
                .all = state_get_flag(in, "all"),
                .size = (socklen_t)state_get_integer(in, "size", 0),
        };
        if (addr->size > sizeof(addr->sockaddr))
                state_reader_fail(in.reader, "an address of the running broker is too long");
        sockaddr_restore(&addr->sockaddr, in, "sockaddr");
}

void prefix_save(const struct prefix *prefix, struct state_out out) {
        state_put_integer(out, "family", prefix->family);
        state_put_integer(out, "bits", prefix->bits);
        state_put_bytes(out, "address", prefix->address, sizeof(prefix->address));
}

void prefix_restore(struct prefix *prefix, struct state_in in) {
        *prefix = (struct prefix){
                .family = (uint8_t)state_get_integer(in, "family", 0),
                .bits = (uint8_t)state_get_integer(in, "bits", 0),
        };
        state_get_bytes(in, "address", prefix->address, sizeof(prefix->address));
        if (prefix->bits > 8 * sizeof(prefix->address))
                state_reader_fail(in.reader, "a network of the running broker is too long");
}

static void ucred_save(const struct ucred *cred, struct state_out out, const char *key) {
        struct state_out object;

        if (cred->uid == (uid_t)-1)
                return;
        object = state_put_object(out, key);
        state_put_integer(object, "pid", cred->pid);
        state_put_integer(object, "uid", cred->uid);
        state_put_integer(object, "gid", cred->gid);
}

static struct ucred ucred_restore(struct state_in in, const char *key) {
        struct state_in object = state_get_object(in, key);

        return (struct ucred){
                .pid = (pid_t)state_get_integer(object, "pid", 0),
                .uid = (uid_t)state_get_integer(object, "uid", -1),
                .gid = (gid_t)state_get_integer(object, "gid", -1),
        };
}

void connection_save(const struct connection *connection, struct state_out out) {
        bool local = connection->peer.sa.sa_family == AF_UNIX;

        state_put_fd(out, "fd", connection->fd);
        state_put_integer(out, "protocol", connection->protocol);
        sockaddr_save(&connection->peer, connection->peer_size, out, "peer");
        if (connection->local_known)
                sockaddr_save(&connection->local, connection->local_size, out, "local");
        if (local)
                ucred_save(&connection->cred, out, "cred");
        if (connection->proxied) {
                sockaddr_save(&connection->proxy, connection->proxy_size, out, "proxy");
                if (connection->proxy.sa.sa_family == AF_UNIX)
                        ucred_save(&connection->proxy_cred, out, "proxy_cred");
        }
        state_put_name(out, "step", arrival_step_names, ARRIVAL_STEP_N, connection->step);
        state_put_usec(out, "accepted_at", connection->accepted_at);
        state_put_flag(out, "placed", connection->placed);
        state_put_flag(out, "muxed", connection->muxed);
        if (connection->ticket)
                prefix_save(limits_ticket_source(connection), state_put_object(out, "source"));
}

static void restore_limits(struct service *service, struct connection *connection, struct state_in in) {
        struct limits *limits = &service->admission.limits;
        struct prefix source;

        if (state_get_flag(in, "placed"))
                limits_restore_place(limits, connection);
        if (!state_has(in, "source"))
                return;
        prefix_restore(&source, state_get_object(in, "source"));
        /* It has been let in; how many there may be is asked of the next. */
        if (limits_take_ticket(limits, connection, &source, UINT32_MAX - 1) < 0)
                state_reader_fail(in.reader, "memory ran out");
}

struct connection *connection_restore(struct manager *manager, struct service *service, struct state_in in) {
        struct connection *connection = manager_take_connection(manager);

        if (!connection) {
                state_reader_fail(in.reader, "memory ran out");
                return NULL;
        }
        connection->fd = state_take_fd(in, "fd");
        connection->protocol = (int)state_get_integer(in, "protocol", 0);
        connection->peer_size = sockaddr_restore(&connection->peer, in, "peer");
        connection->local_known = state_has(in, "local");
        connection->local_size = sockaddr_restore(&connection->local, in, "local");
        connection->cred = ucred_restore(in, "cred");
        connection->proxied = state_has(in, "proxy");
        connection->muxed = state_get_flag(in, "muxed");
        connection->proxy_size = sockaddr_restore(&connection->proxy, in, "proxy");
        connection->proxy_cred = ucred_restore(in, "proxy_cred");
        connection->step = state_get_name(in, "step", arrival_step_names, ARRIVAL_STEP_N, 0);
        connection->accepted_at = state_get_usec(in, "accepted_at");
        if (service)
                restore_limits(service, connection, in);
        return connection;
}

static void save_blocked(void *userdata, const struct prefix *source, usec_t until) {
        const struct state_out *list = userdata;
        struct state_out out = state_add_object(*list);

        prefix_save(source, out);
        state_put_usec(out, "until", until);
}

void blocklist_save(const struct blocklist *list, struct state_out out, const char *key) {
        struct state_out sources = state_put_list(out, key);

        blocklist_each(list, save_blocked, &sources);
}

void blocklist_restore(struct blocklist *list, struct state_in in, const char *key) {
        struct state_in sources = state_get_list(in, key);

        for (size_t i = 0; i < state_count(sources); i++) {
                struct state_in entry = state_entry(sources, i);
                struct prefix source;

                prefix_restore(&source, entry);
                if (blocklist_add(list, &source, state_get_usec(entry, "until")) < 0)
                        state_reader_fail(in.reader, "memory ran out");
        }
}
