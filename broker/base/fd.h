/* File descriptors: closing, flags, and keeping other programs' descriptors out of reach. "No descriptor" is -EBADF. */
#pragma once

#include <errno.h>
#include <stdbool.h>

/* Closes FD if it is one; never retries, since on Linux the number is gone even when close() says EINTR.
 * Keeps errno. Returns -EBADF, so that `x = fd_close(x)` leaves nothing behind. */
int fd_close(int fd);

static inline void fd_closep(int *fd) {
        *fd = fd_close(*fd);
}

#define take_fd(var)                                                                                                   \
        ({                                                                                                             \
                int taken_ = (var);                                                                                    \
                (var) = -EBADF;                                                                                        \
                taken_;                                                                                                \
        })

/* Sets or clears O_NONBLOCK. It lives in the open file description, which other processes may share.
 * Returns 0 or a negative errno. */
int fd_set_nonblock(int fd, bool on);

/* Sets or clears FD_CLOEXEC. Returns 0 or a negative errno. */
int fd_set_cloexec(int fd, bool on);

/* Moves a descriptor to the lowest free number >= MIN, close-on-exec. OWN_FD is consumed only on success, when the
 * new number is returned; where there is no room up there (RLIMIT_NOFILE), the old number is returned unchanged. */
int fd_move_up(int own_fd, int min);

/* Opens /dev/null on each of 0, 1 and 2 that is closed, so that nothing else can land there. 0 or negative errno. */
int fd_fill_standard(void);

/* Marks every descriptor from FIRST on close-on-exec, by close_range(2): what whoever started us left open by mistake
 * must not reach the programs we start. Returns 0 or a negative errno. */
int fd_cloexec_from(int first);
