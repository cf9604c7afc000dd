#include "ctl/reserve.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

void reserve_refill(struct reserve *reserve) {
        if (reserve->fd < 0 && reserve->null_fd >= 0)
                reserve->fd = fcntl(reserve->null_fd, F_DUPFD_CLOEXEC, 3);
}

void reserve_init(struct reserve *reserve, int null_fd) {
        *reserve = (struct reserve){.null_fd = null_fd, .fd = -EBADF};
        reserve_refill(reserve);
}

void reserve_deinit(struct reserve *reserve) {
        reserve->fd = fd_close(reserve->fd);
}

int reserve_accept(struct reserve *reserve, int listener, union sockaddr_any *peer, socklen_t *size) {
        struct sockaddr *address = peer ? &peer->sa : NULL;
        int fd;

        reserve_refill(reserve);
        fd = accept4(listener, address, size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0 || errno != EMFILE || reserve->fd < 0)
                return fd;
        reserve->fd = fd_close(reserve->fd);
        return accept4(listener, address, size, SOCK_CLOEXEC | SOCK_NONBLOCK);
}
