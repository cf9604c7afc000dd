#include "core/controlsocket.h"

#include "base/err.h"
#include "base/fd.h"
#include "net/unixpath.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 64

static int open_failed(const char *what, const char *path, struct buf *why) {
        int r = -errno;

        buf_printf(why, "cannot %s %s: %s", what, path, err_text(r));
        return err_raise(r);
}

/* The mode is right from the beginning: between bind(2) and chmod(2) others could connect. */
static int bind_path(int fd, const struct addr *addr) {
        mode_t saved = umask(0177);
        int r = bind(fd, &addr->sockaddr.sa, addr->size);

        umask(saved);
        return r;
}

int control_socket_open(const char *path, struct control_socket *ret, struct buf *why) {
        struct addr addr = {.type = SOCK_STREAM, .size = sizeof(struct sockaddr_un)};
        AUTO(fd_closep) int fd = -EBADF;
        AUTO(freep) char *copy = strdup(path);
        struct stat st;
        int r;

        if (!copy || strlen(path) >= sizeof(addr.sockaddr.un.sun_path)) {
                errno = copy ? ENAMETOOLONG : ENOMEM;
                return open_failed("bind", path, why);
        }
        addr.sockaddr.un.sun_family = AF_UNIX;
        strcpy(addr.sockaddr.un.sun_path, path);
        r = unixpath_make_parents(path, geteuid() == 0 ? 0755 : 0700, why);
        if (r == 0)
                r = unixpath_clear(&addr, why);
        if (r < 0)
                return r;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || bind_path(fd, &addr) < 0)
                return open_failed("bind", path, why);
        if (lstat(path, &st) < 0 || listen(fd, BACKLOG) < 0) {
                r = open_failed("listen at", path, why);
                unlink(path);
                return r;
        }
        *ret = (struct control_socket){
                .path = take_ptr(copy), .fd = take_fd(fd), .device = st.st_dev, .inode = st.st_ino};
        return 0;
}

static bool is_ours(const struct control_socket *socket) {
        struct stat st;

        return lstat(socket->path, &st) == 0 && st.st_dev == socket->device && st.st_ino == socket->inode;
}

void control_socket_open_up(const struct control_socket *socket, bool everybody) {
        if (socket->path && is_ours(socket))
                chmod(socket->path, everybody ? 0666 : 0600);
}

void control_socket_close(struct control_socket *socket) {
        if (!socket->path)
                return;
        if (is_ours(socket))
                unlink(socket->path);
        fd_close(socket->fd);
        free(socket->path);
        *socket = CONTROL_SOCKET_NULL;
}
