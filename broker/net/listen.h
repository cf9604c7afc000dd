/* Listening sockets, FIFOs, message queues, special files: made, configured, bound. Every option is set before the
 * kernel needs it: those that bind(2) looks at before it, those that listen(2) looks at before that. */
#pragma once

#include "base/buf.h"
#include "net/addr.h"
#include "net/options.h"

/* Opens ADDR (not an inherited one) and returns a close-on-exec, non-blocking descriptor that listens, where it can. On
 * failure returns a negative errno and adds a sentence to WHY that names the step: "cannot bind 127.0.0.1:80: …".
 * A path that nobody listens on is replaced; one in use is -EADDRINUSE. What is new in the file system, or a new
 * message queue, has its owner and mode before anybody else can use it; on failure it is removed again. */
int listen_open(const struct addr *addr, const struct listen_options *options, struct buf *why);

/* Its two halves. What listen_bind() returns has its address, but nobody can connect to it before listen_begin(), which
 * leaves FD alone when it fails. As above. */
int listen_bind(const struct addr *addr, const struct listen_options *options, struct buf *why);
int listen_begin(int fd, const struct addr *addr, const struct listen_options *options, struct buf *why);

/* Applies the options that can be changed on a bound socket to one that was inherited. As above. */
int listen_adopt(int fd, const struct listen_options *options, struct buf *why);

/* Applies to a bound socket of our own what can still be changed on it. As above. */
int listen_apply(int fd, const struct listen_options *options, struct buf *why);

/* Whether what is open at FD for ADDR, with the options OLD, is what the options NEW would open: they differ in nothing
 * that is settled then. */
bool listen_is_same(int fd, const struct addr *addr, const struct listen_options *old,
                    const struct listen_options *new);

/* Whether FD, which was inherited, is anything that listen_open() could have opened. */
bool listen_is_usable(int fd);

/* What tells that there is something to take from ADDR, open at FD: EPOLLIN, or EPOLLPRI for files of /proc and /sys,
 * which can always be read. (poll(2) calls them POLLIN and POLLPRI, and they are the same.) */
uint32_t listen_events(const struct addr *addr, int fd);

/* For a new reader of ADDR, open at FD: a file of /proc or /sys is at its start again. */
void listen_rewind(const struct addr *addr, int fd);

/* Which file a path was when it was bound, so that another program's is not removed in its place. */
struct listen_file {
        dev_t device;
        ino_t inode; /* 0: it has no path */
};

void listen_identify(const struct addr *addr, struct listen_file *ret);

/* Gives what ADDR, open at FD, left in the file system, FILE, its owner, mode and symlinks. 0 or a negative errno, told
 * in WHY; -EEXIST where its path is not FILE any more. */
int listen_set_access(int fd, const struct addr *addr, const struct listen_options *options,
                      const struct listen_file *file, struct buf *why);

/* Removes the path of ADDR, if it is FILE still, and the symlinks that point to it, where OPTIONS say so. */
void listen_remove(const struct addr *addr, const struct listen_options *options, const struct listen_file *file);

/* Options of a socket about which nothing was said. */
#define LISTEN_OPTIONS_NULL                                                                                            \
        ((struct listen_options){                                                                                      \
                .protocol = OPTION_UNSET,                                                                              \
                .max_messages = OPTION_UNSET,                                                                          \
                .message_size = OPTION_UNSET,                                                                          \
                .backlog = OPTION_UNSET,                                                                               \
                .ipv6_only = OPTION_UNSET,                                                                             \
                .reuse_port = OPTION_UNSET,                                                                            \
                .free_bind = OPTION_UNSET,                                                                             \
                .transparent = OPTION_UNSET,                                                                           \
                .no_delay = OPTION_UNSET,                                                                              \
                .defer_accept = OPTION_UNSET,                                                                          \
                .fast_open = OPTION_UNSET,                                                                             \
                .mark = OPTION_UNSET,                                                                                  \
                .priority = OPTION_UNSET,                                                                              \
                .ip_tos = OPTION_UNSET,                                                                                \
                .ip_ttl = OPTION_UNSET,                                                                                \
                .pass_credentials = OPTION_UNSET,                                                                      \
                .pass_security = OPTION_UNSET,                                                                         \
                .pass_packet_info = OPTION_UNSET,                                                                      \
                .timestamping = OPTION_UNSET,                                                                          \
                .receive_buffer = OPTION_UNSET,                                                                        \
                .send_buffer = OPTION_UNSET,                                                                           \
                .pipe_size = OPTION_UNSET,                                                                             \
                .keep_alive = {OPTION_UNSET, OPTION_UNSET, OPTION_UNSET, OPTION_UNSET},                                \
                .socket_mode = 0666,                                                                                   \
                .directory_mode = 0755,                                                                                \
                .remove_on_stop = true,                                                                                \
        })
