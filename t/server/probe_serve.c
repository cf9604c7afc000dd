/*
 * probe_serve: see the header. One process, one client at a time: enough for a test server, and it
 * shows at once when a descriptor was handed over in a state that makes accept() or read()
 * misbehave.
 */

#include "probe_serve.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_SIZE 8192
#define SOCKETS_MAX 1024
#define LISTEN_FDS_START 3
#define CLIENT_TIMEOUT_MS 10000
#define STATUS_PROBE_FAILED 70

_Noreturn void probe_die(const char *what) {
        fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
        exit(STATUS_PROBE_FAILED);
}

static _Noreturn void complain(const char *what) {
        fprintf(stderr, "probe: %s\n", what);
        exit(STATUS_PROBE_FAILED);
}

/* Descriptors may have been handed over non-blocking, deliberately or by mistake; the probe
 * works with both. Returns 0 when nothing happened in time. */
static int wait_for(int fd, short events, int timeout_ms) {
        struct pollfd p = {.fd = fd, .events = events};
        int r;

        do
                r = poll(&p, 1, timeout_ms);
        while (r < 0 && errno == EINTR);
        if (r < 0)
                probe_die("poll");
        return r;
}

void write_all(int fd, const char *data, size_t len) {
        while (len > 0) {
                ssize_t n = write(fd, data, len);

                if (n < 0) {
                        if (errno == EAGAIN)
                                wait_for(fd, POLLOUT, -1);
                        else if (errno != EINTR)
                                probe_die("write");
                        continue;
                }
                data += n;
                len -= (size_t)n;
        }
}

long read_line(int fd, char *buffer, size_t size) {
        size_t len = 0;

        for (;;) {
                char c;
                /* Byte by byte: what follows the line stays in the socket for whoever reads
                 * next. */
                ssize_t n = read(fd, &c, 1);

                if (n < 0 && errno == EAGAIN) {
                        wait_for(fd, POLLIN, -1);
                        continue;
                }
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0 && len == 0)
                        return -1;
                if (n <= 0 || c == '\n')
                        break;
                if (len < size - 1)
                        buffer[len++] = c;
        }
        buffer[len] = '\0';
        return (long)len;
}

static int socket_option(int fd, int option) {
        int value = 0;
        socklen_t len = sizeof(value);

        return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

static size_t format_answer(char *answer, size_t size, int fd, const char *line) {
        int n = snprintf(answer, size, "pid=%d fd=%d line=%s\n", getpid(), fd, line);

        return (size_t)n < size ? (size_t)n : size - 1;
}

/* A peer that is gone is its own trouble, not the server's. */
static void answer_connection(int conn, int fd) {
        char line[LINE_SIZE], answer[LINE_SIZE + 64];

        if (wait_for(conn, POLLIN, CLIENT_TIMEOUT_MS) == 0)
                return;
        if (socket_option(conn, SO_TYPE) == SOCK_SEQPACKET) {
                /* A record is read as a whole, the rest of it would be lost. */
                ssize_t n = recv(conn, line, sizeof(line) - 1, 0);

                if (n <= 0)
                        return;
                line[n] = '\0';
                line[strcspn(line, "\n")] = '\0';
        } else if (read_line(conn, line, sizeof(line)) < 0)
                return;
        (void)send(conn, answer, format_answer(answer, sizeof(answer), fd, line), MSG_NOSIGNAL);
}

static void answer_datagram(int fd) {
        char line[LINE_SIZE], answer[LINE_SIZE + 64];
        struct sockaddr_storage sender;
        socklen_t len = sizeof(sender);
        ssize_t n = recvfrom(fd, line, sizeof(line) - 1, 0, (struct sockaddr *)&sender, &len);

        if (n < 0) {
                if (errno == EAGAIN || errno == EINTR || errno == ECONNREFUSED)
                        return;
                probe_die("recvfrom");
        }
        line[n] = '\0';
        line[strcspn(line, "\n")] = '\0';
        if (len > sizeof(sa_family_t))
                (void)sendto(fd, answer, format_answer(answer, sizeof(answer), fd, line), MSG_NOSIGNAL,
                             (struct sockaddr *)&sender, len);
}

/* A FIFO has no way back: what came is told on standard error. */
static int answer_pipe(int fd) {
        char line[LINE_SIZE], answer[LINE_SIZE + 64];

        if (read_line(fd, line, sizeof(line)) < 0)
                return -1;
        write_all(STDERR_FILENO, answer, format_answer(answer, sizeof(answer), fd, line));
        return 0;
}

/* Returns 1 when something was answered, 0 when there was nothing after all, -1 when fd is used
 * up. */
static int serve_ready(int fd) {
        int conn;

        if (socket_option(fd, SO_TYPE) < 0)
                return answer_pipe(fd) < 0 ? -1 : 1;
        if (socket_option(fd, SO_ACCEPTCONN) != 1) {
                int type = socket_option(fd, SO_TYPE);

                if (type == SOCK_DGRAM || type == SOCK_RAW) {
                        answer_datagram(fd);
                        return 1;
                }
                answer_connection(fd, fd);
                close(fd);
                return -1;
        }
        conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (conn < 0) {
                if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
                        return 0;
                probe_die("accept");
        }
        answer_connection(conn, fd);
        close(conn);
        return 1;
}

/* As sd_listen_fds() sees it: with another process's LISTEN_PID there are none. */
static int count_listen_fds(void) {
        const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");

        if (!pid || !n)
                complain("LISTEN_PID or LISTEN_FDS is not set");
        if (strtol(pid, NULL, 10) != getpid())
                complain("LISTEN_PID is another process");
        return atoi(n);
}

static size_t collect_sockets(const struct serve_options *options, struct pollfd *sockets) {
        int first = options->stdio ? STDIN_FILENO : LISTEN_FDS_START;
        int n = options->stdio ? 1 : count_listen_fds();

        if (n < 1 || n > SOCKETS_MAX)
                complain("nothing to serve");
        for (int i = 0; i < n; i++) {
                struct stat st;

                if (fstat(first + i, &st) < 0)
                        probe_die("descriptor to serve");
                sockets[i] = (struct pollfd){.fd = first + i, .events = POLLIN};
        }
        return (size_t)n;
}

void serve_loop(const struct serve_options *options) {
        static struct pollfd sockets[SOCKETS_MAX];
        size_t n = collect_sockets(options, sockets), left = n;
        long served = 0;

        while (left > 0 && (options->count == 0 || served < options->count)) {
                int r = poll(sockets, n, options->idle_ms);

                if (r < 0 && errno == EINTR)
                        continue;
                if (r < 0)
                        probe_die("poll");
                if (r == 0)
                        return;
                for (size_t i = 0; i < n && (options->count == 0 || served < options->count); i++) {
                        if (sockets[i].revents == 0)
                                continue;
                        r = serve_ready(sockets[i].fd);
                        served += r != 0;
                        if (r < 0) {
                                sockets[i].fd = -1; /* poll() passes over it */
                                left--;
                        }
                }
        }
}

/* Returns the descriptor of the next message, -1 at the end of the queue; its text goes to
 * buffer. */
static int receive_connection(int fd, char *buffer, size_t size) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(16 * sizeof(int))];
        } control;
        struct iovec iov = {.iov_base = buffer, .iov_len = size - 1};
        struct msghdr message = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
        struct cmsghdr *c;
        ssize_t n;
        int conn;

        while ((n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
                ;
        if (n < 0)
                probe_die("recvmsg");
        if (n == 0)
                return -1;
        buffer[n] = '\0';
        c = CMSG_FIRSTHDR(&message);
        if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
                complain("a message of the queue does not carry exactly one descriptor");
        memcpy(&conn, CMSG_DATA(c), sizeof(conn));
        return conn;
}

void serve_queue(int fd, const struct serve_options *options) {
        char text[LINE_SIZE], line[LINE_SIZE], answer[LINE_SIZE + 64];

        for (long served = 0; options->count == 0 || served < options->count; served++) {
                int conn;

                if (wait_for(fd, POLLIN, options->idle_ms) == 0)
                        return;
                conn = receive_connection(fd, text, sizeof(text));
                if (conn < 0)
                        return;
                for (char *newline = text; (newline = strchr(newline, '\n'));)
                        *newline = '/';
                if (wait_for(conn, POLLIN, CLIENT_TIMEOUT_MS) > 0 && read_line(conn, line, sizeof(line)) >= 0)
                        (void)send(conn, answer,
                                   format_answer(answer, sizeof(answer), fd, strcmp(line, "env") == 0 ? text : line),
                                   MSG_NOSIGNAL);
                close(conn);
        }
}

static void text_to_sender(int fd, const char *text, size_t len) {
        struct sockaddr_storage sender;
        socklen_t sender_len = sizeof(sender);
        char buffer[LINE_SIZE];

        if (recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&sender, &sender_len) < 0)
                probe_die("recvfrom");
        if (sendto(fd, text, len, MSG_NOSIGNAL, (struct sockaddr *)&sender, sender_len) < 0)
                probe_die("sendto");
}

void serve_one_text(int fd, const char *text, size_t len) {
        int conn;

        if (socket_option(fd, SO_ACCEPTCONN) == 1) {
                wait_for(fd, POLLIN, -1);
                conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
                if (conn < 0)
                        probe_die("accept");
                write_all(conn, text, len);
                close(conn);
        } else if (socket_option(fd, SO_TYPE) == SOCK_DGRAM) {
                wait_for(fd, POLLIN, -1);
                text_to_sender(fd, text, len);
        } else
                write_all(fd, text, len);
}
