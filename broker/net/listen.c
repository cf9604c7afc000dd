#include "net/listen.h"

#include "base/err.h"
#include "base/fd.h"
#include "net/mqueue.h"
#include "net/sockopt.h"
#include "net/special.h"
#include "net/unixpath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

static int step_failed(const char *step, const struct addr *addr, struct buf *why) {
        int r = -errno;

        buf_printf(why, "cannot %s ", step);
        addr_format(addr, why);
        buf_printf(why, ": %s", err_text(r));
        if (r == -EACCES && addr_port(&addr->sockaddr) != 0 && addr_port(&addr->sockaddr) < 1024)
                buf_add_string(why, " (a port below 1024 takes CAP_NET_BIND_SERVICE)");
        return err_raise(r);
}

/* What the kernel says of what it does not have is hard to tell from a mistake. */
static int socket_failed(const struct addr *addr, struct buf *why) {
        int error = errno, r = step_failed("open a socket for", addr, why);
        bool unknown = error == EPROTONOSUPPORT || error == ESOCKTNOSUPPORT;
        int family = addr->sockaddr.sa.sa_family;

        if (family == AF_NETLINK && unknown)
                buf_add_string(why, " (this kernel has no such netlink family)");
        else if (family == AF_VSOCK && error == EAFNOSUPPORT)
                buf_add_string(why, " (this kernel has no vsock)");
        else if (addr->protocol == IPPROTO_MPTCP && error == ENOPROTOOPT)
                buf_add_string(why, " (MPTCP is off: net.mptcp.enabled)");
        else if (addr->protocol == IPPROTO_MPTCP && unknown)
                buf_add_string(why, " (this kernel has no MPTCP)");
        else if (addr->protocol == IPPROTO_UDPLITE && unknown)
                buf_add_string(why, " (this kernel has no UDP-Lite)");
        else if (addr_is_ip(addr) && (addr->protocol == IPPROTO_SCTP || addr->type == SOCK_SEQPACKET) && unknown)
                buf_add_string(why, " (this kernel has no SCTP)");
        return r;
}

/* "All addresses" is an IPv6 socket that takes IPv4 too, or IPv4 alone where the kernel has no IPv6. */
static int open_socket(struct addr *addr, const struct listen_options *options, struct buf *why) {
        AUTO(fd_closep) int fd = -EBADF;
        int v6only = options->ipv6_only;

        fd = socket(addr->sockaddr.sa.sa_family, addr->type | SOCK_CLOEXEC | SOCK_NONBLOCK, addr->protocol);
        if (fd < 0 && errno == EAFNOSUPPORT && addr->all) {
                addr->sockaddr =
                        (union sockaddr_any){.in = {.sin_family = AF_INET, .sin_port = addr->sockaddr.in6.sin6_port}};
                addr->size = sizeof(addr->sockaddr.in);
                fd = socket(AF_INET, addr->type | SOCK_CLOEXEC | SOCK_NONBLOCK, addr->protocol);
        }
        if (fd < 0)
                return socket_failed(addr, why);
        if (addr->sockaddr.sa.sa_family == AF_INET6) {
                /* For an address that was written out net.ipv6.bindv6only decides, as under systemd. */
                if (v6only == OPTION_UNSET && addr->all)
                        v6only = 0;
                if (v6only != OPTION_UNSET && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)) < 0)
                        return step_failed("set ipv6_only on", addr, why);
        }
        return take_fd(fd);
}

static int bind_path(int fd, const struct addr *addr, const struct listen_options *options, struct buf *why) {
        const char *path = addr->sockaddr.un.sun_path;
        mode_t saved;
        int r;

        r = unixpath_make_parents(path, options->directory_mode, why);
        if (r == 0)
                r = unixpath_clear(addr, why);
        if (r < 0)
                return r;
        saved = umask(0777); /* nobody but us until unixpath_set_access() */
        r = bind(fd, &addr->sockaddr.sa, addr->size) < 0 ? step_failed("bind", addr, why) : 0;
        umask(saved);
        if (r < 0)
                return r;
        r = unixpath_set_access(path, options, why);
        if (r < 0)
                unlink(path);
        return r;
}

/* Last of all: a symlink of the same name may lead elsewhere, and what fails before is to leave that alone. */
static int link_path(const struct addr *addr, const struct listen_options *options, struct buf *why) {
        const char *path = addr->sockaddr.un.sun_path;
        int r = unixpath_link(path, options, why);

        if (r < 0)
                unixpath_unlink_links(path, &options->symlinks);
        return r;
}

static int bind_socket(int fd, const struct addr *addr, const struct listen_options *options, struct buf *why) {
        int on = 1;

        if (addr_is_unix_path(addr))
                return bind_path(fd, addr, options, why);
        /* So that a restart need not wait for TIME_WAIT to pass. Not for datagrams, where it lets two servers share a
         * port and one of them starve. */
        if (addr_is_ip(addr) && addr->type != SOCK_DGRAM &&
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
                return step_failed("prepare", addr, why);
        if (bind(fd, &addr->sockaddr.sa, addr->size) < 0)
                return step_failed("bind", addr, why);
        return 0;
}

static int open_made_fifo(const struct addr *addr, const struct listen_options *options, struct buf *why) {
        const char *path = addr->sockaddr.un.sun_path;
        AUTO(fd_closep) int fd = -EBADF;
        struct stat st;
        int r;

        /* Both directions, so that it neither blocks now nor ends when the last writer leaves (fifo(7)). */
        fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return step_failed("open", addr, why);
        if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode)) {
                buf_printf(why, "cannot open %s: it exists and is not a FIFO", path);
                return err_raise(-EEXIST);
        }
        if (options->pipe_size != OPTION_UNSET && fcntl(fd, F_SETPIPE_SZ, (int)options->pipe_size) < 0)
                return step_failed("set pipe_size of", addr, why);
        r = link_path(addr, options, why);
        return r < 0 ? r : take_fd(fd);
}

static int open_fifo(const struct addr *addr, const struct listen_options *options, struct buf *why) {
        const char *path = addr->sockaddr.un.sun_path;
        bool made;
        mode_t saved;
        int r;

        r = unixpath_make_parents(path, options->directory_mode, why);
        if (r < 0)
                return r;
        saved = umask(0777);
        made = mkfifo(path, 0600) == 0;
        umask(saved);
        if (!made && errno != EEXIST)
                return step_failed("make", addr, why);
        r = made ? unixpath_set_access(path, options, why) : 0;
        if (r == 0)
                r = open_made_fifo(addr, options, why);
        if (r < 0 && made)
                unlink(path);
        return r;
}

int listen_begin(int fd, const struct addr *addr, const struct listen_options *options, struct buf *why) {
        if (addr_is_connectable(addr) && listen(fd, options->backlog == OPTION_UNSET ? INT_MAX : options->backlog) < 0)
                return step_failed("listen on", addr, why);
        return 0;
}

int listen_bind(const struct addr *addr, const struct listen_options *options, struct buf *why) {
        AUTO(fd_closep) int fd = -EBADF;
        struct addr actual = *addr;
        int family, r;

        if (addr->form == ADDR_FIFO)
                return open_fifo(addr, options, why);
        if (addr->form == ADDR_MQUEUE)
                return mqueue_open(addr, options, why);
        if (addr->form == ADDR_SPECIAL)
                return special_open(addr, options, why);
        fd = open_socket(&actual, options, why);
        if (fd < 0)
                return fd;
        family = actual.sockaddr.sa.sa_family;
        r = sockopt_apply_early(fd, family, options, why);
        if (r == 0)
                r = bind_socket(fd, &actual, options, why);
        if (r < 0)
                return r;
        r = sockopt_apply_late(fd, family, options, why);
        if (r < 0 && addr_is_unix_path(addr))
                unlink(addr->sockaddr.un.sun_path);
        return r < 0 ? r : take_fd(fd);
}

int listen_open(const struct addr *addr, const struct listen_options *options, struct buf *why) {
        AUTO(fd_closep) int fd = listen_bind(addr, options, why);
        int r = fd < 0 ? fd : listen_begin(fd, addr, options, why);

        if (r == 0 && addr_is_unix_path(addr))
                r = link_path(addr, options, why);
        if (r < 0 && fd >= 0 && addr_is_unix_path(addr))
                unlink(addr->sockaddr.un.sun_path);
        return r < 0 ? r : take_fd(fd);
}

static int apply_bound(int fd, const struct listen_options *options, bool early, struct buf *why) {
        union sockaddr_any sa;
        socklen_t size = sizeof(sa);
        int r = 0;

        if (getsockname(fd, &sa.sa, &size) < 0)
                return errno == ENOTSOCK ? 0 : err_raise(-errno);
        if (early)
                r = sockopt_apply_early(fd, sa.sa.sa_family, options, why);
        return r == 0 ? sockopt_apply_late(fd, sa.sa.sa_family, options, why) : r;
}

int listen_adopt(int fd, const struct listen_options *options, struct buf *why) {
        return apply_bound(fd, options, false, why);
}

int listen_apply(int fd, const struct listen_options *options, struct buf *why) {
        return apply_bound(fd, options, true, why);
}

bool listen_is_same(int fd, const struct addr *addr, const struct listen_options *old,
                    const struct listen_options *new) {
        bool same_device = old->bind_to_device && new->bind_to_device
                                   ? strcmp(old->bind_to_device, new->bind_to_device) == 0
                                   : old->bind_to_device == new->bind_to_device;

        /* The device is part of what a socket is bound to. */
        return same_device && old->writable == new->writable && (addr->form != ADDR_MQUEUE || mqueue_fits(fd, new));
}

bool listen_is_usable(int fd) {
        struct stat st;

        return fstat(fd, &st) == 0 && (S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode) || mqueue_is(fd) || special_is(fd));
}

uint32_t listen_events(const struct addr *addr, int fd) {
        return addr->form == ADDR_SPECIAL || addr->form == ADDR_INHERITED ? special_events(fd) : EPOLLIN;
}

void listen_rewind(const struct addr *addr, int fd) {
        if (addr->form == ADDR_SPECIAL || addr->form == ADDR_INHERITED)
                special_rewind(fd);
}

void listen_identify(const struct addr *addr, struct listen_file *ret) {
        struct stat st;

        *ret = (struct listen_file){0};
        if (addr->form == ADDR_MQUEUE ? mqueue_find(addr, &st) == 0
                                      : addr_has_path(addr) && lstat(addr->sockaddr.un.sun_path, &st) == 0)
                *ret = (struct listen_file){.device = st.st_dev, .inode = st.st_ino};
}

static bool is_file(const struct addr *addr, const struct listen_file *file) {
        struct listen_file now;

        listen_identify(addr, &now);
        return now.inode == file->inode && now.device == file->device && now.inode != 0;
}

int listen_set_access(int fd, const struct addr *addr, const struct listen_options *options,
                      const struct listen_file *file, struct buf *why) {
        int r;

        if (addr->form == ADDR_MQUEUE)
                return mqueue_set_access(fd, addr, options, why);
        if (!addr_has_path(addr))
                return 0;
        if (!is_file(addr, file)) {
                buf_printf(why, "its path %s is another program's by now, or gone", addr->sockaddr.un.sun_path);
                return err_raise(-EEXIST);
        }
        r = unixpath_set_access(addr->sockaddr.un.sun_path, options, why);
        return r < 0 ? r : unixpath_link(addr->sockaddr.un.sun_path, options, why);
}

void listen_remove(const struct addr *addr, const struct listen_options *options, const struct listen_file *file) {
        if (!options->remove_on_stop || (!addr_has_path(addr) && addr->form != ADDR_MQUEUE))
                return;
        if (addr_has_path(addr))
                unixpath_unlink_links(addr->sockaddr.un.sun_path, &options->symlinks);
        if (!is_file(addr, file))
                return;
        if (addr->form == ADDR_MQUEUE)
                mqueue_remove(addr);
        else
                unlink(addr->sockaddr.un.sun_path);
}
