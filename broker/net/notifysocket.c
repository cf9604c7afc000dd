#include "net/notifysocket.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Linux 6.5; our C library may be older. */
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

/* Behind the @. */
#define NAME_FORMAT "sockbroker/notify/%016llx"

static int bind_random(int fd) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        unsigned long long number;
        int n;

        if (getrandom(&number, sizeof(number), 0) != sizeof(number))
                return err_raise(-errno);
        n = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, NAME_FORMAT, number);
        if (bind(fd, (const struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) < 0)
                return err_raise(-errno);
        return 0;
}

static int find_name(int fd, char name[NOTIFYSOCKET_NAME_MAX]) {
        struct sockaddr_un address;
        socklen_t size = sizeof(address);
        size_t n;

        if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
                return err_raise(-errno);
        if (address.sun_family != AF_UNIX || size <= offsetof(struct sockaddr_un, sun_path) + 1 ||
            address.sun_path[0] != '\0')
                return err_raise(-EADDRNOTAVAIL);
        n = size - offsetof(struct sockaddr_un, sun_path) - 1;
        if (n + 2 > NOTIFYSOCKET_NAME_MAX || memchr(address.sun_path + 1, '\0', n))
                return err_raise(-EADDRNOTAVAIL);
        name[0] = '@';
        memcpy(name + 1, address.sun_path + 1, n);
        name[n + 1] = '\0';
        return 0;
}

int notifysocket_adopt(int own_fd, struct notifysocket *ret) {
        AUTO(fd_closep) int fd = own_fd;
        struct notifysocket adopted = NOTIFYSOCKET_NULL;
        const int on = 1;
        int r;

        r = find_name(fd, adopted.name);
        if (r == 0)
                r = fd_set_nonblock(fd, true);
        if (r == 0)
                r = fd_set_cloexec(fd, true);
        if (r < 0)
                return r;
        if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
                return err_raise(-errno);
        adopted.pidfds = setsockopt(fd, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof(on)) == 0;
        adopted.fd = take_fd(fd);
        *ret = adopted;
        return 0;
}

int notifysocket_open(struct notifysocket *ret) {
        AUTO(fd_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int r;

        if (fd < 0)
                return err_raise(-errno);
        r = bind_random(fd);
        return r < 0 ? r : notifysocket_adopt(take_fd(fd), ret);
}

void notifysocket_close(struct notifysocket *socket) {
        socket->fd = fd_close(socket->fd);
}

static void close_fds(struct notification *notification) {
        for (size_t i = 0; i < notification->fd_count; i++)
                notification->fds[i] = fd_close(notification->fds[i]);
        notification->fd_count = 0;
}

void notification_deinit(struct notification *notification) {
        close_fds(notification);
        notification->pidfd = fd_close(notification->pidfd);
}

/* What came beside the text. */
struct companions {
        bool has_credentials;
        bool has_pidfd; /* though it can stand for a process that is gone, and be none */
};

static void take_fds(const struct cmsghdr *cmsg, struct notification *ret) {
        size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        for (size_t i = 0; i < count; i++) {
                int fd;

                memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
                if (ret->fd_count < NOTIFYSOCKET_FDS_MAX)
                        ret->fds[ret->fd_count++] = fd;
                else
                        fd_close(fd);
        }
}

/* Takes whatever descriptors there are, also where control data was cut short: they are in our table already. */
static struct companions take_companions(struct msghdr *header, struct notification *ret) {
        struct companions found = {0};

        for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
                if (cmsg->cmsg_level != SOL_SOCKET)
                        continue;
                if (cmsg->cmsg_type == SCM_RIGHTS) {
                        take_fds(cmsg, ret);
                } else if (cmsg->cmsg_type == SCM_CREDENTIALS && cmsg->cmsg_len >= CMSG_LEN(sizeof(struct ucred))) {
                        struct ucred creds;

                        memcpy(&creds, CMSG_DATA(cmsg), sizeof(creds));
                        ret->pid = creds.pid;
                        ret->uid = creds.uid;
                        found.has_credentials = true;
                } else if (cmsg->cmsg_type == SCM_PIDFD && cmsg->cmsg_len >= CMSG_LEN(sizeof(int))) {
                        fd_close(ret->pidfd);
                        memcpy(&ret->pidfd, CMSG_DATA(cmsg), sizeof(int));
                        found.has_pidfd = true;
                }
        }
        /* In place of the pidfd of a process that is gone stands why there is none. */
        if (ret->pidfd < 0)
                ret->pidfd = -EBADF;
        return found;
}

static bool barrier_is_whole(const struct notification *notification) {
        return !(notification->message.fields & NOTIFYMESSAGE_BARRIER) || notification->fd_count == 1;
}

static enum notifysocket_outcome judge(const struct msghdr *header, const struct companions *found, size_t size,
                                       struct notification *ret) {
        if (header->msg_flags & (MSG_TRUNC | MSG_CTRUNC))
                return NOTIFYSOCKET_TRUNCATED;
        if (!found->has_credentials)
                return NOTIFYSOCKET_ANONYMOUS;
        if (notifymessage_parse(header->msg_iov->iov_base, size, &ret->message) != NOTIFYMESSAGE_OK ||
            !barrier_is_whole(ret))
                return NOTIFYSOCKET_MALFORMED;
        /* Before Linux 6.5 the pid may be somebody else's by now; nothing can be done about that. */
        if (!found->has_pidfd && ret->pid > 0) {
                ret->pidfd = (int)syscall(SYS_pidfd_open, ret->pid, 0);
                if (ret->pidfd < 0)
                        ret->pidfd = -EBADF;
        }
        return NOTIFYSOCKET_MESSAGE;
}

int notifysocket_receive(struct notifysocket *socket, struct notification *ret) {
        union {
                char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int)) +
                           CMSG_SPACE(NOTIFYSOCKET_FDS_MAX * sizeof(int))];
                struct cmsghdr aligned;
        } control;
        char text[NOTIFYMESSAGE_SIZE_MAX + 1];
        struct iovec data = {.iov_base = text, .iov_len = NOTIFYMESSAGE_SIZE_MAX};
        struct msghdr header = {
                .msg_iov = &data,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = sizeof(control),
        };
        enum notifysocket_outcome outcome;
        struct companions found;
        ssize_t n;

        ret->message = (struct notifymessage){0};
        ret->pid = 0;
        ret->uid = (uid_t)-1;
        ret->pidfd = -EBADF;
        ret->fd_count = 0;
        n = recvmsg(socket->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? NOTIFYSOCKET_NOTHING : err_raise(-errno);
        found = take_companions(&header, ret);
        outcome = judge(&header, &found, (size_t)n, ret);
        if (outcome != NOTIFYSOCKET_MESSAGE)
                notification_deinit(ret);
        return outcome;
}
