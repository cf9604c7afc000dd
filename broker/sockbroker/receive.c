/* broker_receive(): one connection from the queue that the workers of a pool share. A message is one descriptor and
 * lines "KEY=VALUE\n"; the queue is a SOCK_SEQPACKET socket, so a message comes whole or is told to have been cut. */
#include "sockbroker/sockbroker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define TEXT_MAX 16384 /* several times what the longest addresses make */
#define FDS_MAX 2      /* what the room for one descriptor can hold: cmsg lengths are rounded up */

struct broker_connection {
        int fd;
        char **entries; /* with a NULL at the end; they point into text */
        char text[];
};

struct broker_connection *broker_connection_free(struct broker_connection *connection) {
        if (!connection)
                return NULL;
        if (connection->fd >= 0)
                close(connection->fd);
        free(connection->entries);
        free(connection);
        return NULL;
}

int broker_connection_fd(const struct broker_connection *connection) {
        return connection->fd;
}

int broker_connection_take_fd(struct broker_connection *connection) {
        int fd = connection->fd;

        connection->fd = -EBADF;
        return fd;
}

char *const *broker_connection_environment(const struct broker_connection *connection) {
        return connection->entries;
}

const char *broker_connection_get(const struct broker_connection *connection, const char *key) {
        size_t n = strlen(key);

        for (char **entry = connection->entries; *entry; entry++)
                if (strncmp(*entry, key, n) == 0 && (*entry)[n] == '=')
                        return *entry + n + 1;
        return NULL;
}

/* Cuts TEXT of SIZE bytes into its lines. 0, -EBADMSG or -ENOMEM. */
static int cut_lines(struct broker_connection *connection, size_t size) {
        char *line = connection->text, *end = line + size;
        size_t lines = 1, n = 0;

        if (memchr(line, '\0', size))
                return -EBADMSG;
        *end = '\0';
        for (char *c = line; c < end; c++)
                lines += *c == '\n';
        connection->entries = calloc(lines + 1, sizeof(*connection->entries));
        if (!connection->entries)
                return -ENOMEM;
        while (line < end) {
                char *stop = strchr(line, '\n'), *equals;

                if (!stop)
                        stop = end;
                *stop = '\0';
                equals = strchr(line, '=');
                if (!equals || equals == line)
                        return -EBADMSG;
                connection->entries[n++] = line;
                line = stop + 1;
        }
        return 0;
}

static size_t take_fds(struct msghdr *message, int fds[FDS_MAX]) {
        size_t n = 0;

        for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
                size_t size = header->cmsg_len - CMSG_LEN(0);

                if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t at = 0; at + sizeof(int) <= size && n < FDS_MAX; at += sizeof(int))
                        memcpy(&fds[n++], CMSG_DATA(header) + at, sizeof(int));
        }
        return n;
}

static int judge(const struct msghdr *message, size_t size, size_t fd_count) {
        if (message->msg_flags & MSG_TRUNC)
                return -EMSGSIZE;
        if (fd_count == 0 && message->msg_flags & MSG_CTRUNC)
                return -EMFILE;
        if (fd_count == 0 && size == 0)
                return 0;
        return fd_count == 1 && (message->msg_flags & MSG_CTRUNC) == 0 ? 1 : -EBADMSG;
}

static struct broker_connection *connection_new(const char *text, size_t size) {
        struct broker_connection *connection = malloc(sizeof(*connection) + size + 1);

        if (!connection)
                return NULL;
        connection->fd = -EBADF;
        connection->entries = NULL;
        memcpy(connection->text, text, size);
        return connection;
}

int broker_receive(int queue_fd, struct broker_connection **ret) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        char text[TEXT_MAX];
        struct iovec iov = {.iov_base = text, .iov_len = sizeof(text)};
        struct msghdr message = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
        struct broker_connection *connection = NULL;
        int fds[FDS_MAX], r;
        size_t fd_count;
        ssize_t size = recvmsg(queue_fd, &message, MSG_CMSG_CLOEXEC);

        if (size < 0)
                return -errno;
        fd_count = take_fds(&message, fds);
        r = judge(&message, (size_t)size, fd_count);
        if (r == 1) {
                connection = connection_new(text, (size_t)size);
                r = connection ? cut_lines(connection, (size_t)size) : -ENOMEM;
        } else if (r == 0) {
                return 0;
        }
        if (r < 0) {
                broker_connection_free(connection);
                while (fd_count > 0)
                        close(fds[--fd_count]);
                return r;
        }
        connection->fd = fds[0];
        *ret = connection;
        return 1;
}
