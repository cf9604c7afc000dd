#include "ctl/endpoint.h"

#include "base/err.h"
#include "base/fd.h"
#include "core/keep.h"

#include <errno.h>
#include <string.h>

/* Descriptors of accepted connections are low ones, see core/port.c. */
#define ENDPOINT_FD_LOW 128
#define ENDPOINT_FD_MIN 1024

static void set_reuse_port(int fd, int on) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
}

static void share_port(const struct endpoint *old, int on) {
        for (size_t i = 0; i < old->count; i++)
                if (!old->items[i].inherited && addr_is_ip(&old->items[i].addr))
                        set_reuse_port(old->items[i].fd, on);
}

/* SO_REUSEPORT is for the case alone that a socket of ours is in the way, and for the moment of bind(2): another
 * broker's port is not to be shared by mistake (docs/architecture.md says what the kernel keeps of it). */
static int open_new(const struct addr *addr, const struct endpoint *old, struct buf *why) {
        AUTO(buf_deinit) struct buf again = BUF_NULL;
        struct listen_options options = LISTEN_OPTIONS_NULL;
        int fd = listen_open(addr, &options, why);

        if (fd == -EADDRINUSE && addr_is_ip(addr) && old->count > 0) {
                share_port(old, 1);
                options.reuse_port = 1;
                fd = listen_open(addr, &options, &again);
                if (fd >= 0)
                        set_reuse_port(fd, 0);
        }
        return fd < ENDPOINT_FD_LOW ? fd : fd_move_up(fd, ENDPOINT_FD_MIN);
}

static bool is_listening_stream(int fd) {
        int type = 0, listening = 0;
        socklen_t size = sizeof(int);

        return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
               getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}

static int take_inherited(struct inherited *inherited, struct buf *why) {
        if (inherited->taken) {
                buf_add_string(why, "the inherited socket is used by a service");
                return err_raise(-EADDRINUSE);
        }
        if (!is_listening_stream(inherited->fd)) {
                buf_add_string(why, "the inherited descriptor is no stream socket that listens");
                return err_raise(-ENOTSOCK);
        }
        return fd_set_nonblock(inherited->fd, true);
}

static int add_inherited(struct manager *manager, struct endpoint *endpoint, const struct addr *addr, struct buf *why) {
        for (size_t i = 0; i < manager->inherit.count; i++) {
                struct inherited *inherited = &manager->inherit.items[i];
                int r;

                if (strcmp(inherited->name, addr->sockaddr.un.sun_path) != 0)
                        continue;
                r = take_inherited(inherited, why);
                if (r < 0)
                        return r;
                inherited->taken = true;
                endpoint->items[endpoint->count++] =
                        (struct endpoint_socket){.fd = inherited->fd, .addr = *addr, .inherited = inherited};
                return 0;
        }
        buf_add_string(why, "the broker was not started with a socket of that name (LISTEN_FDNAMES)");
        return err_raise(-ENOENT);
}

static int add_new(struct endpoint *endpoint, const struct addr *addr, const struct endpoint *old, struct buf *why) {
        struct endpoint_socket *socket = &endpoint->items[endpoint->count];
        int fd = open_new(addr, old, why);

        if (fd < 0)
                return fd;
        *socket = (struct endpoint_socket){.fd = fd, .addr = *addr};
        listen_identify(addr, &socket->file);
        endpoint->count++;
        return 0;
}

int endpoint_open(struct manager *manager, const struct endpoint_def *def, const struct endpoint *old,
                  struct endpoint *ret, struct buf *why) {
        AUTO(endpoint_close) struct endpoint endpoint = ENDPOINT_NULL;

        endpoint.items = calloc(def->addrs.count + 1, sizeof(*endpoint.items));
        if (!endpoint.items) {
                buf_add_string(why, "out of memory");
                return err_raise(-ENOMEM);
        }
        for (size_t i = 0; i < def->addrs.count; i++) {
                const struct addr *addr = &def->addrs.items[i];
                int r = addr->form == ADDR_INHERITED ? add_inherited(manager, &endpoint, addr, why)
                                                     : add_new(&endpoint, addr, old, why);

                if (r < 0)
                        return r;
        }
        *ret = endpoint;
        endpoint = ENDPOINT_NULL;
        return 0;
}

void endpoint_restore(const struct endpoint *old) {
        share_port(old, 0);
}

void endpoint_close(struct endpoint *endpoint) {
        const struct listen_options options = LISTEN_OPTIONS_NULL;

        for (size_t i = 0; i < endpoint->count; i++) {
                struct endpoint_socket *socket = &endpoint->items[i];

                if (socket->inherited) {
                        socket->inherited->taken = false;
                        continue;
                }
                /* The path first, as in core/port.c. */
                listen_remove(&socket->addr, &options, &socket->file);
                socket->fd = fd_close(socket->fd);
        }
        free(endpoint->items);
        *endpoint = ENDPOINT_NULL;
}

void endpoint_save(const struct endpoint *endpoint, const struct inherit *inherit, struct state_out out) {
        struct state_out sockets = state_put_list(out, "sockets");

        for (size_t i = 0; i < endpoint->count; i++) {
                const struct endpoint_socket *socket = &endpoint->items[i];
                struct state_out entry = state_add_object(sockets);

                addr_save(&socket->addr, state_put_object(entry, "address"));
                state_put_integer(entry, "device", (int64_t)socket->file.device);
                state_put_integer(entry, "inode", (int64_t)socket->file.inode);
                if (socket->inherited)
                        state_put_integer(entry, "inherited", socket->inherited - inherit->items);
                else
                        state_put_fd(entry, "fd", socket->fd);
        }
}

static void take_socket_over(struct endpoint_socket *socket, struct inherit *inherit, struct state_in in) {
        uint64_t inherited = (uint64_t)state_get_integer(in, "inherited", 0);

        addr_restore(&socket->addr, state_get_object(in, "address"));
        socket->file.device = (dev_t)state_get_integer(in, "device", 0);
        socket->file.inode = (ino_t)state_get_integer(in, "inode", 0);
        if (!state_has(in, "inherited")) {
                socket->fd = state_take_fd(in, "fd");
        } else if (inherited < inherit->count) {
                socket->inherited = &inherit->items[inherited];
                socket->inherited->taken = true;
                socket->fd = socket->inherited->fd;
        }
        if (socket->fd < 0)
                state_reader_fail(in.reader, "a socket of the broker's own cannot be taken over");
}

void endpoint_take_over(struct endpoint *ret, struct inherit *inherit, struct state_in in) {
        struct state_in sockets = state_get_list(in, "sockets");

        *ret = ENDPOINT_NULL;
        ret->items = calloc(state_count(sockets) + 1, sizeof(*ret->items));
        if (!ret->items) {
                state_reader_fail(in.reader, "memory ran out");
                return;
        }
        for (size_t i = 0; i < state_count(sockets); i++) {
                struct endpoint_socket *socket = &ret->items[ret->count++];

                socket->fd = -EBADF;
                take_socket_over(socket, inherit, state_entry(sockets, i));
        }
}

void endpoint_format(const struct endpoint_socket *socket, struct buf *out) {
        union sockaddr_any bound = {0};
        socklen_t size = sizeof(bound);

        if (getsockname(socket->fd, &bound.sa, &size) < 0)
                addr_format(&socket->addr, out);
        else
                addr_format_sockaddr(&bound, size, out);
}
