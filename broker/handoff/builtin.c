#include "handoff/builtin.h"

#include "handoff/builtins.h"
#include "handoff/builtintext.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>

#define MOVES_MAX 8 /* before others have their turn */
#define CHUNK_SIZE (16 << 10)
#define NAME_MAX_SIZE 256 /* of a tcpmux request, its line's end included */

static enum builtin_verdict on_not_received(ssize_t n) {
        if (n == 0)
                return BUILTIN_DONE;
        return errno == EAGAIN ? BUILTIN_IDLE : BUILTIN_RESET;
}

static enum builtin_verdict on_not_sent(void) {
        return errno == EAGAIN ? BUILTIN_FULL : BUILTIN_RESET;
}

/* Only what the client has taken is taken from it, so that nothing has to be kept. */
static enum builtin_verdict echo_once(struct builtin *builtin, char data[CHUNK_SIZE]) {
        int fd = builtin->connection->fd;
        ssize_t n = recv(fd, data, CHUNK_SIZE, MSG_PEEK | MSG_DONTWAIT), sent;

        /* An urgent byte is passed over but still there, and closing a socket with something unread would reset it. */
        if (n == 0)
                n = recv(fd, data, CHUNK_SIZE, MSG_DONTWAIT);
        if (n <= 0)
                return on_not_received(n);
        sent = send(fd, data, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0)
                return on_not_sent();
        if (recv(fd, data, (size_t)sent, MSG_DONTWAIT) != sent)
                return BUILTIN_RESET;
        builtin->received += (uint64_t)sent;
        builtin->sent += (uint64_t)sent;
        return sent < n ? BUILTIN_FULL : BUILTIN_BUSY;
}

static enum builtin_verdict discard_once(struct builtin *builtin, char data[CHUNK_SIZE]) {
        ssize_t n = recv(builtin->connection->fd, data, CHUNK_SIZE, MSG_DONTWAIT);

        if (n <= 0)
                return on_not_received(n);
        builtin->received += (uint64_t)n;
        return BUILTIN_BUSY;
}

/* Whoever has ended his own direction still gets its characters. */
static enum builtin_verdict chargen_once(struct builtin *builtin, char data[CHUNK_SIZE]) {
        const char *pattern = builtin->builtins->pattern;
        ssize_t n;

        if (!builtin->input_over) {
                enum builtin_verdict verdict = discard_once(builtin, data);

                if (verdict == BUILTIN_RESET)
                        return verdict;
                builtin->input_over = verdict == BUILTIN_DONE;
        }
        n = send(builtin->connection->fd, pattern + builtin->position, BUILTIN_PATTERN_SIZE - builtin->position,
                 MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
                return on_not_sent();
        builtin->sent += (uint64_t)n;
        builtin->position = (builtin->position + (unsigned)n) % BUILTIN_PATTERN_SIZE;
        return BUILTIN_BUSY;
}

/* What stands behind the line is for whoever serves the client next. */
static enum builtin_verdict read_name(struct builtin *builtin) {
        char line[NAME_MAX_SIZE + 1];
        int fd = builtin->connection->fd;
        ssize_t n = recv(fd, line, NAME_MAX_SIZE, MSG_PEEK | MSG_DONTWAIT);
        char *end = n > 0 ? memchr(line, '\n', (size_t)n) : NULL;
        ssize_t size;

        if (n <= 0)
                return on_not_received(n);
        if (!end && n < NAME_MAX_SIZE)
                return builtin->input_over ? BUILTIN_UNASKED : BUILTIN_IDLE;
        size = end ? end - line + 1 : n;
        if (recv(fd, line, (size_t)size, MSG_DONTWAIT) != size)
                return BUILTIN_RESET;
        builtin->received += (uint64_t)size;
        if (!end || memchr(line, '\0', (size_t)size))
                return BUILTIN_UNASKED;
        if (end > line && end[-1] == '\r')
                end--;
        *end = '\0';
        if (strcasecmp(line, "help") == 0)
                return BUILTIN_ASKED;
        builtin->name = line[0] != '\0' ? strdup(line) : NULL;
        return builtin->name ? BUILTIN_ASKED : BUILTIN_UNASKED;
}

static enum builtin_verdict move_once(struct builtin *builtin, char data[CHUNK_SIZE]) {
        if (builtin->step == BUILTIN_ASKING)
                return read_name(builtin);
        switch (builtin->builtins->handoff.setup.builtin->kind) {
        case HANDOFF_BUILTIN_ECHO:
                return echo_once(builtin, data);
        case HANDOFF_BUILTIN_CHARGEN:
                return chargen_once(builtin, data);
        default:
                return discard_once(builtin, data);
        }
}

enum builtin_verdict builtin_pump(struct builtin *builtin, bool *ret_moved) {
        enum builtin_verdict verdict = BUILTIN_BUSY;
        const uint64_t before = builtin->received + builtin->sent;
        char data[CHUNK_SIZE];

        for (unsigned i = 0; i < MOVES_MAX && verdict == BUILTIN_BUSY; i++)
                verdict = move_once(builtin, data);
        *ret_moved = builtin->received + builtin->sent != before;
        return verdict;
}

static size_t say(int fd, const char *text, size_t size) {
        ssize_t n = send(fd, text, size, MSG_DONTWAIT | MSG_NOSIGNAL);

        return n > 0 ? (size_t)n : 0;
}

/* The list of many services may be longer than what a socket has room for at first: it gets as much as it may have. */
void builtin_say_last(struct builtin *builtin, const char *text, size_t size) {
        int fd = builtin->connection->fd;
        size_t said = say(fd, text, size);

        if (said < size && said > 0) {
                int room = (int)MIN_OF(size, (size_t)INT_MAX);

                setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
                said += say(fd, text + said, size - said);
        }
        builtin->sent += said;
        shutdown(fd, SHUT_WR);
}
