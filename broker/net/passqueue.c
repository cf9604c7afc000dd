#include "net/passqueue.h"

#include "base/err.h"
#include "base/fd.h"
#include "net/connenv.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

/* What the kernel reckons for one message (truesize), at most: an skb with room for CONNENV_TEXT_MAX bytes. */
#define MESSAGE_COST 2304

/* The kernel says that the writing end is writable again only when a quarter of its buffer is in use (unix_writable()),
 * so that is what has to hold all that may wait. Without the right to set it, what there is has to do. */
static void set_buffer(int fd, size_t room) {
        int size = (int)(room * MESSAGE_COST * 2), now = 0; /* the kernel doubles it */
        socklen_t length = sizeof(now);

        if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &now, &length) == 0 && now >= size * 2)
                return;
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
                setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static size_t capacity_of(int fd) {
        int size = 0;
        socklen_t length = sizeof(size);

        if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &length) < 0 || size < MESSAGE_COST)
                return 1;
        return (size_t)size / MESSAGE_COST;
}

int passqueue_open(struct passqueue *queue, size_t room) {
        int fds[2];

        *queue = PASSQUEUE_NULL;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return err_raise(-errno);
        queue->write_fd = fds[0];
        queue->read_fd = fds[1];
        set_buffer(queue->write_fd, room);
        queue->capacity = capacity_of(queue->write_fd);
        return 0;
}

void passqueue_adopt(struct passqueue *queue, int own_write_fd, int own_read_fd) {
        fd_close(queue->write_fd);
        fd_close(queue->read_fd);
        queue->write_fd = own_write_fd;
        queue->read_fd = own_read_fd;
        queue->capacity = capacity_of(own_write_fd);
}

void passqueue_close(struct passqueue *queue) {
        queue->write_fd = fd_close(queue->write_fd);
        queue->read_fd = fd_close(queue->read_fd);
        free(queue->items);
        *queue = PASSQUEUE_NULL;
}

struct passqueue_item *passqueue_item(struct passqueue *queue, size_t n) {
        return &queue->items[(queue->first + n) % queue->room];
}

static int make_room(struct passqueue *queue) {
        size_t room = queue->room == 0 ? 16 : queue->room * 2;
        struct passqueue_item *items;

        if (queue->count < queue->room)
                return 0;
        items = calloc(room, sizeof(*items));
        if (!items)
                return err_raise(-ENOMEM);
        for (size_t i = 0; i < queue->count; i++)
                items[i] = *passqueue_item(queue, i);
        free(queue->items);
        queue->items = items;
        queue->first = 0;
        queue->room = room;
        return 0;
}

int passqueue_remember(struct passqueue *queue, struct connection *connection, uint64_t cookie, uint32_t size) {
        int r = make_room(queue);

        if (r < 0)
                return r;
        *passqueue_item(queue, queue->count++) =
                (struct passqueue_item){.connection = connection, .cookie = cookie, .size = size};
        queue->bytes += size;
        return 0;
}

/* Its entries stand one behind the other. The path of an AF_UNIX client may have line feeds. */
static void make_lines(struct connenv *env) {
        for (char *c = env->text; c < env->text + env->used; c++)
                if (*c == '\n')
                        *c = '?';
                else if (*c == '\0')
                        *c = '\n';
}

static int send_message(int queue_fd, int fd, const char *text, size_t size) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
        struct iovec iov = {.iov_base = (char *)text, .iov_len = size};
        const struct msghdr message = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};

        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        if (sendmsg(queue_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
                return 0;
        switch (errno) {
        case EPIPE:
        case ECONNRESET:
        case ENOTCONN:
                return -EPIPE;
        case ETOOMANYREFS: /* descriptors on their way count against RLIMIT_NOFILE (unix(7)) */
                return -EMFILE;
        default:
                return err_raise(-errno);
        }
}

static uint64_t cookie_of(const struct connenv *env) {
        const char *last = env->count > 0 ? env->items[env->count - 1] : "";
        size_t n = strlen("SO_COOKIE=");

        return strncmp(last, "SO_COOKIE=", n) == 0 ? strtoull(last + n, NULL, 10) : 0;
}

int passqueue_put(struct passqueue *queue, struct connection *connection) {
        struct connenv env;
        uint64_t cookie;
        int r = make_room(queue);

        if (r == 0)
                r = connenv_fill(connection, &env);
        if (r < 0)
                return r;
        cookie = cookie_of(&env);
        make_lines(&env);
        r = send_message(queue->write_fd, connection->fd, env.text, env.used);
        if (r < 0)
                return r;
        connection_close(connection);
        return passqueue_remember(queue, connection, cookie, (uint32_t)env.used);
}

bool passqueue_is_shut(const struct passqueue *queue) {
        struct pollfd p = {.fd = queue->read_fd, .events = POLLRDHUP};

        return poll(&p, 1, 0) > 0;
}

void passqueue_note_taken(struct passqueue *queue, size_t count) {
        while (count-- > 0 && passqueue_known(queue) > 0)
                queue->bytes -= passqueue_item(queue, queue->taken++)->size;
}

size_t passqueue_waiting(struct passqueue *queue) {
        int left = 0;

        if (passqueue_known(queue) == 0 || ioctl(queue->read_fd, SIOCINQ, &left) < 0)
                return passqueue_known(queue);
        while (passqueue_known(queue) > 0 && queue->bytes > (uint64_t)left)
                passqueue_note_taken(queue, 1);
        return passqueue_known(queue);
}

static struct connection *drop_first(struct passqueue *queue) {
        struct connection *connection = passqueue_item(queue, 0)->connection;

        queue->first = (queue->first + 1) % queue->room;
        queue->count--;
        return connection;
}

struct connection *passqueue_next_taken(struct passqueue *queue) {
        if (queue->taken == 0)
                return NULL;
        queue->taken--;
        return drop_first(queue);
}

/* A descriptor out of the queue; -EBADF: a message had none. False: there are no messages. */
static bool receive(int queue_fd, int *ret_fd) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        char text[CONNENV_TEXT_MAX];
        struct iovec iov = {.iov_base = text, .iov_len = sizeof(text)};
        struct msghdr message = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
        struct cmsghdr *header;

        *ret_fd = -EBADF;
        if (recvmsg(queue_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
                return false;
        header = CMSG_FIRSTHDR(&message);
        if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
            header->cmsg_len == CMSG_LEN(sizeof(int)))
                memcpy(ret_fd, CMSG_DATA(header), sizeof(int));
        return true;
}

/* Those before it in the queue have been taken meanwhile, and more of them may be at any moment. */
static struct connection *find(struct passqueue *queue, int fd) {
        struct connection *connection;
        uint64_t cookie = 0;
        socklen_t size = sizeof(cookie);
        size_t n = queue->taken;

        getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size);
        while (n < queue->count && passqueue_item(queue, n)->cookie != cookie)
                n++;
        if (n == queue->count)
                return NULL;
        connection = passqueue_item(queue, n)->connection;
        passqueue_note_taken(queue, n - queue->taken);
        queue->bytes -= passqueue_item(queue, n)->size;
        for (; n > 0; n--)
                *passqueue_item(queue, n) = *passqueue_item(queue, n - 1);
        drop_first(queue);
        return connection;
}

struct connection *passqueue_take_back(struct passqueue *queue) {
        struct connection *connection;
        int fd;

        while (passqueue_waiting(queue) > 0 && receive(queue->read_fd, &fd)) {
                connection = fd >= 0 ? find(queue, fd) : NULL;
                if (!connection) {
                        fd_close(fd);
                        continue;
                }
                connection->fd = fd;
                return connection;
        }
        return NULL;
}

int passqueue_move_taken(struct passqueue *from, struct passqueue *to) {
        while (from->taken > 0) {
                int r = passqueue_remember(to, passqueue_item(from, 0)->connection, 0, 0);

                if (r < 0)
                        return r;
                passqueue_next_taken(from);
                to->taken++;
        }
        return 0;
}

bool passqueue_is_dismissing(const struct passqueue *queue) {
        char byte;

        return recv(queue->read_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

bool passqueue_dismiss_one(struct passqueue *queue) {
        return send(queue->write_fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL) == 0;
}

void passqueue_end(struct passqueue *queue) {
        if (queue->write_fd >= 0)
                shutdown(queue->write_fd, SHUT_WR);
}
