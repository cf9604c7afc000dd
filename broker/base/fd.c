#include "base/fd.h"

#include "base/err.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

int fd_close(int fd) {
        int saved = errno;

        if (fd >= 0)
                close(fd);
        errno = saved;
        return -EBADF;
}

static int fd_change_flag(int fd, int get, int set, int flag, bool on) {
        int flags = fcntl(fd, get);

        if (flags < 0)
                return err_raise(-errno);
        if (!!(flags & flag) == on)
                return 0;
        if (fcntl(fd, set, on ? flags | flag : flags & ~flag) < 0)
                return err_raise(-errno);
        return 0;
}

int fd_set_nonblock(int fd, bool on) {
        return fd_change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int fd_set_cloexec(int fd, bool on) {
        return fd_change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

int fd_move_up(int own_fd, int min) {
        int moved;

        if (own_fd >= min)
                return own_fd;
        moved = fcntl(own_fd, F_DUPFD_CLOEXEC, min);
        if (moved < 0)
                return own_fd;
        fd_close(own_fd);
        return moved;
}

int fd_fill_standard(void) {
        int fd;

        do {
                fd = open("/dev/null", O_RDWR | O_CLOEXEC);
                if (fd < 0)
                        return err_raise(-errno);
                if (fd <= 2)
                        fd_set_cloexec(fd, false);
        } while (fd < 2);
        if (fd > 2)
                close(fd);
        return 0;
}

int fd_cloexec_from(int first) {
        if (syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
                return err_raise(-errno);
        return 0;
}
