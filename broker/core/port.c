#include "core/port.h"

#include "base/err.h"
#include "base/fd.h"
#include "core/arrival.h"
#include "core/datagram.h"
#include "core/service.h"
#include "net/connection.h"
#include "net/listen.h"
#include "net/unixpath.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

/* At most this many connections are taken from one port before the others have their turn. */
#define BURST_MAX 16
#define PATIENCE_MAX 64

/* At most this many are taken from a port at once that is to be closed: as many as a queue has by default. */
#define REST_MAX 4096

/* Where there are many, listening sockets stand above the descriptors that programs get (proc/launch.h); the first few
 * stay low, since a table that reaches far is dearer to copy. */
#define PORT_FD_LOW 128
#define PORT_FD_MIN 1024

/* Accepts one connection at first, since asking again just to hear "none" is a system call for nothing; more and more
 * as long as there are more. An attempt that brought no second one is not repeated before twice as many wake-ups have
 * passed as before it. */
static void port_accept_burst(struct port *port) {
        unsigned i;

        /* Whoever else has the socket can make it block, and take the client we were woken for. */
        if (port->shared)
                fd_set_nonblock(port->fd, true);
        for (i = 0; i < port->burst && arrival_is_wanted(port->service); i++) {
                int r = arrival_accept(port->service, port);

                if (r != ACCEPT_OK) {
                        port->patience = i > 1 ? 0 : (unsigned char)MIN_OF(port->patience * 2 + 1, PATIENCE_MAX);
                        port->singles = port->patience;
                        port->burst = 1;
                        return;
                }
        }
        if (port->singles > 0)
                port->singles--;
        else
                port->burst = (unsigned char)MIN_OF(port->burst * 2, BURST_MAX);
}

static int port_on_readable(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events UNUSED, void *userdata) {
        struct port *port = userdata;

        if (!service_accepts(port->service))
                service_on_traffic(port->service);
        else if (!port_is_connectable(port))
                datagram_take(port->service, port);
        else if (arrival_may_begin(port->service))
                port_accept_burst(port);
        return 0;
}

/* The address to bind, which is the definition's but for a port that the kernel has chosen already. */
static struct addr port_bind_addr(const struct port_request *request) {
        struct addr addr = *request->addr;
        in_port_t number;

        if (!request->beside || !addr_is_any_port(&addr))
                return addr;
        number = htons((uint16_t)addr_port(request->beside->bound));
        if (addr.sockaddr.sa.sa_family == AF_INET6)
                addr.sockaddr.in6.sin6_port = number;
        else
                addr.sockaddr.in.sin_port = number;
        return addr;
}

static void set_reuse_port(int fd, int on) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
}

/* Whoever connected to it meanwhile would be lost if the definitions do not change after all. */
static bool port_is_silent(const struct port_request *request) {
        return request->into_place ||
               (request->beside && addr_is_ip(request->addr) && request->def->options.reuse_port == 1);
}

static int port_find_new_fd(const struct port_request *request, struct buf *why) {
        const struct addr addr = port_bind_addr(request);
        struct listen_options options = request->def->options;
        int fd;

        /* Both sides have to say so, for the moment; a TCP port remembers it towards programs of our own user. */
        if (request->into_place)
                options.reuse_port = 1;
        fd = port_is_silent(request) ? listen_bind(&addr, &options, why) : listen_open(&addr, &options, why);
        return fd < PORT_FD_LOW ? fd : fd_move_up(fd, PORT_FD_MIN);
}

static int port_find_fd(const struct port_request *request, struct buf *why) {
        int fd, r;

        if (!request->inherited)
                return port_find_new_fd(request, why);
        fd = request->inherited->fd;
        if (!listen_is_usable(fd)) {
                buf_printf(why,
                           "the inherited descriptor '%s' is neither a socket, FIFO, message queue nor a file that can "
                           "be polled",
                           request->inherited->name);
                return err_raise(-ENOTSOCK);
        }
        r = listen_adopt(fd, &request->def->options, why);
        if (r == 0)
                r = fd_set_nonblock(fd, true);
        return r < 0 ? r : fd;
}

/* What an inherited socket is, only the kernel knows. */
static void port_ask_type(struct port *port) {
        socklen_t size = sizeof(int);

        if (!port->inherited)
                return;
        if (getsockopt(port->fd, SOL_SOCKET, SO_TYPE, &port->addr.type, &size) < 0 ||
            getsockopt(port->fd, SOL_SOCKET, SO_PROTOCOL, &port->addr.protocol, &size) < 0)
                port->addr.type = SOCK_DGRAM;
}

static bool is_any(const union sockaddr_any *sa) {
        if (sa->sa.sa_family == AF_INET6)
                return IN6_IS_ADDR_UNSPECIFIED(&sa->in6.sin6_addr);
        return sa->sa.sa_family == AF_INET && sa->in.sin_addr.s_addr == INADDR_ANY;
}

/* A socket bound to one address gives it to all its connections; one bound to all addresses does not. */
static int port_ask_bound(struct port *port) {
        union sockaddr_any sa = {.sa.sa_family = AF_UNSPEC};
        socklen_t size = sizeof(sa);
        size_t kept;

        if (getsockname(port->fd, &sa.sa, &size) < 0)
                size = 0;
        /* The kernel counts a final NUL even behind a path that fills sun_path (unix(7)). */
        kept = MIN_OF(MAX_OF((size_t)size, sizeof(sa.sa)), sizeof(sa));
        port->bound = malloc(kept);
        if (!port->bound)
                return err_raise(-ENOMEM);
        memcpy(port->bound, &sa, kept);
        if (sa.sa.sa_family == AF_UNSPEC || is_any(&sa) ||
            (sa.sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&sa.in6.sin6_addr)) ||
            (sa.sa.sa_family == AF_VSOCK && sa.vm.svm_cid == VMADDR_CID_ANY))
                return 0;
        port->bound_size = size;
        return 0;
}

int port_open(sd_event *event, const struct port_request *request, struct port **ret, struct buf *why) {
        struct port *port = calloc(1, sizeof(*port));
        int r;

        if (!port)
                return err_raise(-ENOMEM);
        port->def = request->def;
        port->name = request->def->name;
        port->addr = *request->addr;
        port->inherited = request->inherited;
        port->burst = 1;
        port->silent = !request->inherited && port_is_silent(request);
        port->fd = port_find_fd(request, why);
        r = port->fd;
        if (r >= 0) {
                port_ask_type(port);
                r = port_ask_bound(port);
        }
        if (r >= 0) {
                listen_identify(&port->addr, &port->file);
                r = sd_event_add_io(event, &port->io, port->fd, listen_events(&port->addr, port->fd), port_on_readable,
                                    port);
                if (r < 0)
                        buf_printf(why, "cannot be watched: %s", err_text(r));
        }
        if (r >= 0)
                r = sd_event_source_set_enabled(port->io, SD_EVENT_OFF);
        if (r < 0) {
                port_close(port);
                return err_raise(r);
        }
        if (port->inherited)
                port->inherited->taken = port->shared = true;
        *ret = port;
        return 0;
}

int port_reopen(sd_event *event, const struct port *like, int own_fd, struct port **ret) {
        struct port *port = calloc(1, sizeof(*port));
        int r;

        if (!port) {
                fd_close(own_fd);
                return err_raise(-ENOMEM);
        }
        port->service = like->service;
        port->def = like->def;
        port->name = like->def->name;
        port->addr = like->addr;
        port->inherited = like->inherited;
        port->fd = own_fd;
        port->file = like->file;
        port->shared = like->shared;
        port->listen_index = port->next_listen_index = like->listen_index;
        port->burst = 1;
        r = port_ask_bound(port);
        if (r == 0)
                r = sd_event_add_io(event, &port->io, own_fd, listen_events(&port->addr, own_fd), port_on_readable,
                                    port);
        if (r >= 0)
                r = sd_event_source_set_enabled(port->io, SD_EVENT_OFF);
        *ret = port;
        return r < 0 ? err_raise(r) : 0;
}

int port_begin(struct port *port, struct buf *why) {
        int r;

        if (!port->silent)
                return 0;
        r = listen_begin(port->fd, &port->addr, &port->def->options, why);
        if (r < 0)
                return r;
        if (port->def->options.reuse_port != 1)
                set_reuse_port(port->fd, 0);
        port->silent = false;
        return 0;
}

/* From now on nothing comes in: it is bound to an interface that there is none of, and who asks to be connected gets to
 * the socket that takes its place. Privileges take only those that are bound to one already (socket(7)). */
static void turn_deaf(int fd) {
        int nowhere = INT32_MAX;

        setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &nowhere, sizeof(nowhere));
}

bool port_turn_deaf(struct port *port) {
        if (!port->yields || !port_is_connectable(port) || !service_accepts(port->service))
                return false;
        port_watch(port, false);
        if (port->shared)
                fd_set_nonblock(port->fd, true);
        turn_deaf(port->fd);
        port->def = NULL;
        return true;
}

void port_take_all(struct port *port) {
        for (unsigned i = 0; i < REST_MAX && arrival_is_wanted(port->service); i++)
                if (arrival_accept(port->service, port) != ACCEPT_OK)
                        return;
}

struct port *port_close(struct port *port) {
        if (!port)
                return NULL;
        port->io = sd_event_source_disable_unref(port->io);
        if (port->inherited) {
                port->inherited->taken = false;
        } else if (port->fd >= 0) {
                /* The path first: until the socket is closed nobody can take it for a stale one. */
                if (port->def)
                        listen_remove(&port->addr, &port->def->options, &port->file);
                port->fd = fd_close(port->fd);
        }
        strlist_deinit(&port->old_links);
        free(port->bound);
        free(port);
        return NULL;
}

int port_apply(struct port *port, const struct listen_def *def, struct buf *why) {
        int r = port->inherited ? listen_adopt(port->fd, &def->options, why)
                                : listen_apply(port->fd, &def->options, why);

        if (r == 0 && !port->inherited)
                r = listen_begin(port->fd, &port->addr, &def->options, why);
        if (r == 0)
                r = listen_set_access(port->fd, &port->addr, &def->options, &port->file, why);
        if (r == 0 && addr_has_path(&port->addr))
                unixpath_unlink_links(port->addr.sockaddr.un.sun_path, &port->old_links);
        return r;
}

static void port_open_up(struct port *port) {
        if (port->inherited || !addr_is_ip(&port->addr) || port->def->options.reuse_port == 1)
                return;
        port->opened_up = true;
        set_reuse_port(port->fd, 1);
}

int port_keep(struct port *port, const struct listen_def *def) {
        const struct strlist *links = &port->def->options.symlinks;

        port->stays = true;
        port->options_differ = !listen_options_equal(&port->def->options, &def->options);
        for (size_t i = 0; i < links->count; i++)
                if (!strlist_has(&def->options.symlinks, links->items[i]) &&
                    strlist_add(&port->old_links, links->items[i]) < 0)
                        return -ENOMEM;
        if (def->options.reuse_port == 1)
                port_open_up(port);
        return 0;
}

/* Whether a socket for all IPv6 addresses is not one for all IPv4 addresses as well. */
static bool is_v6_only(int fd) {
        socklen_t size = sizeof(int);
        int on = 0;

        return getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, &size) == 0 && on;
}

bool port_is_in_way(const struct port *port, const struct port_request *request) {
        const struct addr *addr = request->addr;
        const union sockaddr_any *a = port->bound, *b = &addr->sockaddr;

        if (port->inherited || !addr_is_ip(&port->addr) || !addr_is_ip(addr) || port->addr.type != addr->type ||
            addr_port(a) != addr_port(b))
                return false;
        if (a->sa.sa_family != b->sa.sa_family)
                return a->sa.sa_family == AF_INET6 ? is_any(a) && !is_v6_only(port->fd)
                                                   : is_any(b) && request->def->options.ipv6_only != 1;
        if (is_any(a) || is_any(b))
                return true;
        return a->sa.sa_family == AF_INET6 ? IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr)
                                           : a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
}

void port_give_way(struct port *port) {
        port->yields = true;
        port_open_up(port);
}

void port_take_back(struct port *port) {
        port->stays = port->yields = false;
        strlist_deinit(&port->old_links);
        if (addr_has_path(&port->addr))
                unixpath_restore_links(port->addr.sockaddr.un.sun_path, &port->def->options.symlinks);
        if (port->opened_up)
                set_reuse_port(port->fd, 0);
        port->opened_up = false;
}

int port_watch(struct port *port, bool on) {
        int r = sd_event_source_set_enabled(port->io, on ? SD_EVENT_ON : SD_EVENT_OFF);

        return r < 0 ? err_raise(r) : 0;
}

bool port_is_connectable(const struct port *port) {
        return addr_is_connectable(&port->addr);
}

void port_format_bound(const struct port *port, struct buf *out) {
        union sockaddr_any sa = {.sa.sa_family = AF_UNSPEC};
        socklen_t size = sizeof(sa);

        if (getsockname(port->fd, &sa.sa, &size) < 0 || sa.sa.sa_family == AF_NETLINK) {
                addr_format(&port->addr, out);
                return;
        }
        if (port->addr.type == SOCK_DGRAM)
                buf_add_string(out, sa.sa.sa_family == AF_UNIX ? "unixgram:" : "udp:");
        else if (port->addr.type == SOCK_SEQPACKET)
                buf_add_string(out, "seqpacket:");
        addr_format_sockaddr(&sa, size, out);
}
