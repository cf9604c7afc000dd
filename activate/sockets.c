#include "activate/sockets.h"

#include "activate/say.h"
#include "base/err.h"
#include "base/fd.h"
#include "net/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int out_of_memory(void) {
        say_error("out of memory");
        return EXIT_FAILURE;
}

static int add(struct sockets *sockets, const struct socket *socket) {
        struct socket *items = reallocarray(sockets->items, sockets->count + 1, sizeof(*items));

        if (!items)
                return -ENOMEM;
        sockets->items = items;
        sockets->items[sockets->count++] = *socket;
        return 0;
}

static int socket_option(int fd, int option) {
        int value;
        socklen_t size = sizeof(value);

        return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

void socket_format(const struct socket *socket, struct buf *out) {
        struct addr addr = {.size = sizeof(addr.sockaddr)};

        addr.type = socket_option(socket->fd, SO_TYPE);
        addr.protocol = socket_option(socket->fd, SO_PROTOCOL);
        if (getsockname(socket->fd, &addr.sockaddr.sa, &addr.size) == 0)
                addr_format(&addr, out);
        else if (socket->inherited)
                buf_printf(out, "fd %d", socket->fd);
        else
                addr_format(&socket->addr, out);
}

static int no_connections(const struct options *options, const char *what) {
        say_error("%s has no connections to accept%s", what, options->systemd ? "" : "; use -w");
        return options_usage_status(options);
}

/* Requests are found in streams of bytes. */
static int no_stream(const struct options *options, const char *what) {
        say_error("'%s' is no stream address, and requests are found in streams of bytes", what);
        return options_usage_status(options);
}

/* Somebody else has opened FD. */
static int take_socket(const struct options *options, struct sockets *sockets, int fd) {
        AUTO(buf_deinit) struct buf name = BUF_NULL;
        struct socket socket = {.fd = fd, .inherited = true};
        int flags = fcntl(fd, F_GETFL);

        socket.was_blocking = flags >= 0 && (flags & O_NONBLOCK) == 0;
        if (options->mode != MODE_WAIT && socket_option(fd, SO_ACCEPTCONN) != 1) {
                socket_format(&socket, &name);
                return no_connections(options, buf_text(&name));
        }
        if (options->request.is_on && socket_option(fd, SO_TYPE) != SOCK_STREAM) {
                socket_format(&socket, &name);
                return no_stream(options, buf_text(&name));
        }
        if (options->mode != MODE_WAIT)
                socket.addr.protocol = socket_option(fd, SO_PROTOCOL);
        if (add(sockets, &socket) < 0)
                return out_of_memory();
        /* One that another accepts from too must not hold us. */
        if (options->mode != MODE_WAIT)
                fd_set_nonblock(fd, true);
        return 0;
}

/* With -w they are left as they are: a server of the broker's may have them, and has made them so. */
static int take_claimed(const struct options *options, struct sockets *sockets) {
        AUTO(freep) char *why = NULL;
        int r = broker_claim(options->claim, NULL, &sockets->claim, &why);

        if (r < 0) {
                say_error("--claim=%s: %s", options->claim, why ? why : err_text(r));
                return EXIT_FAILURE;
        }
        for (size_t i = 0; i < broker_claim_count(sockets->claim); i++) {
                r = take_socket(options, sockets, broker_claim_socket(sockets->claim, i));
                if (r != 0)
                        return r;
                if (strlist_add(&sockets->names, broker_claim_name(sockets->claim, i)) < 0)
                        return out_of_memory();
        }
        return 0;
}

static int take_inherited(const struct options *options, struct sockets *sockets) {
        /* systemd's program takes what is meant for it alone; ours also repairs LISTEN_PID behind a wrapper. */
        int r = inherit_init(&sockets->inherit, !options->systemd);

        if (r < 0) {
                say_error(r == -EBADF    ? "LISTEN_FDS announces descriptors that are not open"
                          : r == -EINVAL ? "LISTEN_FDS or LISTEN_PID is malformed"
                                         : "out of memory");
                return EXIT_FAILURE;
        }
        for (size_t i = 0; i < sockets->inherit.count && r == 0; i++) {
                r = take_socket(options, sockets, sockets->inherit.items[i].fd);
                /* A program gets it blocking. */
                if (r == 0 && options->mode == MODE_WAIT)
                        fd_set_nonblock(sockets->inherit.items[i].fd, false);
        }
        if (r != 0)
                return r;
        if (options->systemd && options->verbose && sockets->count > 0)
                say_note("Received %zu descriptors via the environment.", sockets->count);
        return 0;
}

static int check_address(const struct options *options, const char *text, const struct addr *addr) {
        if (addr->form == ADDR_INHERITED) {
                say_error("--listen=%s: sockets that are inherited are used without --listen", text);
                return options_usage_status(options);
        }
        if (options->type != 0 && addr->type != options->type) {
                say_error("--listen=%s: is of another type than %s", text,
                          options->type == SOCK_DGRAM ? "--datagram" : "--seqpacket");
                return options_usage_status(options);
        }
        if (options->mode != MODE_WAIT && !addr_is_connectable(addr))
                return no_connections(options, text);
        return options->request.is_on && addr->type != SOCK_STREAM ? no_stream(options, text) : 0;
}

static int parse_address(const struct options *options, const char *text, struct addr_list *ret) {
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        int r = 0;

        if (!addr_parse(text, options->type ? options->type : SOCK_STREAM, ret, &why)) {
                say_error("--listen=%s: the address %s", text, buf_text(&why));
                return options_usage_status(options);
        }
        for (size_t i = 0; i < ret->count && r == 0; i++)
                r = check_address(options, text, &ret->items[i]);
        return r;
}

/* Who may connect to a path is for the umask to say, as with any file somebody makes; systemd's program has its own. */
static mode_t socket_mode(const struct options *options) {
        mode_t mask = umask(0);

        umask(mask);
        return options->systemd ? 0644 : 0666 & ~mask;
}

static int open_address(const struct options *options, const struct addr *addr, struct sockets *sockets) {
        struct listen_options settings = LISTEN_OPTIONS_NULL;
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        struct socket socket = {.addr = *addr};

        if (addr->sockaddr.sa.sa_family == AF_UNIX)
                settings.socket_mode = socket_mode(options);
        socket.fd = listen_open(addr, &settings, &why);
        if (socket.fd < 0) {
                say_error("%s", why.size > 0 ? buf_text(&why) : err_text(socket.fd));
                return EXIT_FAILURE;
        }
        listen_identify(addr, &socket.file);
        if (options->mode == MODE_WAIT)
                fd_set_nonblock(socket.fd, false);
        if (add(sockets, &socket) == 0)
                return 0;
        fd_close(socket.fd);
        listen_remove(addr, &settings, &socket.file);
        return out_of_memory();
}

static void say_listening(const struct options *options, const struct sockets *sockets) {
        static const char *const types[] = {"udp:", "unixgram:", "seqpacket:"};

        for (size_t i = 0; i < sockets->count; i++) {
                AUTO(buf_deinit) struct buf name = BUF_NULL;

                socket_format(&sockets->items[i], &name);
                if (options->systemd) {
                        const char *text = buf_text(&name);

                        /* There the address stands without its type. */
                        for (size_t k = 0; k < LENGTH_OF(types); k++)
                                if (strncmp(text, types[k], strlen(types[k])) == 0)
                                        text += strlen(types[k]);
                        say_note("Listening on %s as %d.", text, sockets_target(i));
                } else {
                        say_note("listening on %s", buf_text(&name));
                }
        }
}

static int open_all(const struct options *options, struct sockets *sockets) {
        int r;

        if (options->claim)
                return take_claimed(options, sockets);
        r = take_inherited(options, sockets);
        /* All are read before the first is opened: a mistyped one shall not replace paths. */
        for (int pass = 0; pass < 2; pass++)
                for (size_t i = 0; i < options->listen.count && r == 0; i++) {
                        AUTO(addr_list_deinit) struct addr_list list = ADDR_LIST_NULL;

                        r = parse_address(options, options->listen.items[i], &list);
                        for (size_t k = 0; k < list.count && r == 0 && pass == 1; k++)
                                r = open_address(options, &list.items[k], sockets);
                }
        return r;
}

int sockets_open(const struct options *options, struct sockets *ret) {
        AUTO(sockets_close) struct sockets sockets = SOCKETS_NULL;
        int r;

        r = open_all(options, &sockets);
        if (r != 0)
                return r;
        if (sockets.count == 0) {
                say_error("there are no sockets: none given by --listen, none inherited");
                return options_usage_status(options);
        }
        if (options->mode == MODE_WAIT && options->stdio && sockets.count > 1) {
                say_error("--inetd hands over one socket, and there are %zu%s", sockets.count,
                          options->systemd ? "" : "; use --fds");
                return options_usage_status(options);
        }
        if (options->verbose)
                say_listening(options, &sockets);
        *ret = sockets;
        sockets = SOCKETS_NULL;
        return 0;
}

void sockets_close(struct sockets *sockets) {
        static const struct listen_options settings = LISTEN_OPTIONS_NULL;

        for (size_t i = 0; i < sockets->count; i++) {
                struct socket *socket = &sockets->items[i];

                if (socket->inherited) {
                        if (socket->was_blocking)
                                fd_set_nonblock(socket->fd, false);
                } else {
                        fd_close(socket->fd);
                        listen_remove(&socket->addr, &settings, &socket->file);
                }
        }
        inherit_deinit(&sockets->inherit);
        broker_claim_free(sockets->claim);
        strlist_deinit(&sockets->names);
        free(sockets->items);
        *sockets = SOCKETS_NULL;
}
