#include "handoff/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOVES_MAX 4 /* pipes full in one direction, before others have their turn */
#define COPY_SIZE (16 << 10)

enum move {
        MOVE_NOTHING, /* no side is ready */
        MOVE_SOME,
        MOVE_END,     /* whoever sends has said all */
        MOVE_NO_MORE, /* whoever receives takes nothing any more */
        MOVE_BROKEN,  /* whoever sends is gone */
};

static enum relay_side other_side(enum relay_side side) {
        return side == RELAY_CLIENT ? RELAY_TARGET : RELAY_CLIENT;
}

static enum move on_sent(struct relay *relay, enum relay_side from, ssize_t n) {
        if (n >= 0) {
                relay->directions[from].bytes += (uint64_t)n;
                return MOVE_SOME;
        }
        if (errno != EAGAIN) {
                relay->ends[other_side(from)].broken = true;
                return MOVE_NO_MORE;
        }
        relay->ends[other_side(from)].writable = false;
        return MOVE_NOTHING;
}

static enum move on_not_received(struct relay *relay, enum relay_side from, ssize_t n) {
        if (n == 0)
                return MOVE_END;
        if (errno != EAGAIN)
                return MOVE_BROKEN;
        relay->ends[from].readable = false;
        return MOVE_NOTHING;
}

/* Without a pipe: for sockets that splice(2) does not know, for urgent data, which it does not see, and when
 * there is no descriptor left for a pipe. What the receiver does not take stays where it is. */
static enum move copy_once(struct relay *relay, enum relay_side from) {
        char data[COPY_SIZE];
        ssize_t n = recv(relay->ends[from].fd, data, sizeof(data), MSG_PEEK | MSG_DONTWAIT), sent;
        enum move move;

        if (n <= 0)
                return on_not_received(relay, from, n);
        sent = send(relay->ends[other_side(from)].fd, data, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
        move = on_sent(relay, from, sent);
        if (sent > 0 && recv(relay->ends[from].fd, data, (size_t)sent, MSG_DONTWAIT) != sent)
                return MOVE_BROKEN;
        return move;
}

/* Urgent data: splice(2) stops at it for ever; in line it is a byte like others (tcp(7)). */
static void copy_from_now_on(struct relay *relay, enum relay_side from) {
        setsockopt(relay->ends[from].fd, SOL_SOCKET, SO_OOBINLINE, &(int){1}, sizeof(int));
        relay->directions[from].copies = true;
}

static enum move fill(struct relay *relay, enum relay_side from, struct pipes *pipes) {
        struct relay_direction *direction = &relay->directions[from];
        struct pipe *pipe = direction->copies ? NULL : pipes_take(pipes);
        ssize_t n;
        int error;

        if (!pipe)
                return copy_once(relay, from);
        n = splice(relay->ends[from].fd, NULL, pipe->write_fd, NULL, PIPE_CAPACITY, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n > 0) {
                pipe->size = (size_t)n;
                direction->pipe = pipe;
                return MOVE_SOME;
        }
        error = errno;
        pipes_return(pipes, pipe);
        errno = error;
        if (n < 0 && errno == EINVAL) {
                direction->copies = true;
                return copy_once(relay, from);
        }
        /* Urgent data that has the end behind it looks like the end to splice(2), and does not to recv(2). */
        if (n == 0) {
                copy_from_now_on(relay, from);
                return copy_once(relay, from);
        }
        return on_not_received(relay, from, n);
}

static enum move drain(struct relay *relay, enum relay_side from, struct pipes *pipes) {
        struct relay_direction *direction = &relay->directions[from];
        struct pipe *pipe = direction->pipe;
        ssize_t n = splice(pipe->read_fd, NULL, relay->ends[other_side(from)].fd, NULL, pipe->size,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        enum move move = on_sent(relay, from, n);

        if (n > 0)
                pipe->size -= (size_t)n;
        if (pipe->size == 0)
                direction->pipe = pipes_return(pipes, pipe);
        return move;
}

/* A pipe is filled only while it is empty, so that EAGAIN has one meaning; and nothing is taken from the sender
 * before the receiver can have it, so that who waits for a slow one holds no pipe. What a sender that was reset has
 * left behind is not waited with: nobody may ever take it. */
static enum move move_once(struct relay *relay, enum relay_side from, struct pipes *pipes) {
        struct relay_direction *direction = &relay->directions[from];
        enum move move;

        if (!relay->ends[other_side(from)].writable)
                return relay->ends[from].broken ? MOVE_BROKEN : MOVE_NOTHING;
        if (!direction->pipe) {
                if (!relay->ends[from].readable)
                        return MOVE_NOTHING;
                move = fill(relay, from, pipes);
                if (!direction->pipe)
                        return move;
        }
        return drain(relay, from, pipes);
}

/* As far as it goes. Returns MOVE_SOME when it could go on, MOVE_BROKEN, or MOVE_NOTHING. */
static enum move move_all(struct relay *relay, enum relay_side from, struct pipes *pipes, bool *moved) {
        struct relay_direction *direction = &relay->directions[from];

        for (unsigned i = 0; i < MOVES_MAX; i++) {
                if (direction->over)
                        return MOVE_NOTHING;
                switch (move_once(relay, from, pipes)) {
                case MOVE_SOME:
                        *moved = true;
                        break;
                case MOVE_END:
                        /* Where the other one is over too, both sides are about to be closed. */
                        if (!relay->directions[other_side(from)].over)
                                shutdown(relay->ends[other_side(from)].fd, SHUT_WR);
                        *moved = direction->over = true;
                        break;
                case MOVE_NO_MORE:
                        direction->pipe = pipes_return(pipes, direction->pipe);
                        relay->broken = direction->over = true;
                        break;
                case MOVE_BROKEN:
                        return MOVE_BROKEN;
                case MOVE_NOTHING:
                        return MOVE_NOTHING;
                }
        }
        return MOVE_SOME;
}

/* Where one side takes nothing any more, what it has said before is still passed on, and no more is waited for. */
static bool has_last_words(const struct relay *relay) {
        for (enum relay_side from = RELAY_CLIENT; from < RELAY_SIDE_N; from++)
                if (!relay->directions[from].over && (relay->directions[from].pipe || relay->ends[from].readable))
                        return true;
        return false;
}

enum relay_verdict relay_pump(struct relay *relay, struct pipes *pipes, bool *ret_moved) {
        bool more = false;

        *ret_moved = false;
        for (enum relay_side from = RELAY_CLIENT; from < RELAY_SIDE_N; from++) {
                enum move move = move_all(relay, from, pipes, ret_moved);

                if (move == MOVE_BROKEN)
                        return RELAY_RESET;
                more |= move == MOVE_SOME;
        }
        if (relay->broken && !has_last_words(relay))
                return RELAY_RESET;
        if (relay->directions[RELAY_CLIENT].over && relay->directions[RELAY_TARGET].over)
                return relay->broken ? RELAY_RESET : RELAY_DONE;
        return more ? RELAY_BUSY : RELAY_IDLE;
}

/* A side that has ended its own direction is not read from any more: that it was reset shows nowhere else. */
static void note_error(struct relay *relay, enum relay_side side) {
        int error = 0;
        socklen_t size = sizeof(error);

        if (!relay->directions[side].over)
                return;
        getsockopt(relay->ends[side].fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error == 0)
                return;
        relay->directions[other_side(side)].over = true;
        relay->broken = true;
}

void relay_note(struct relay *relay, enum relay_side side, uint32_t events) {
        struct relay_end *end = &relay->ends[side];

        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                end->readable = true;
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
                end->writable = true;
        if (events & EPOLLERR)
                end->broken = true;
        if (events & EPOLLPRI)
                copy_from_now_on(relay, side);
        if (events & EPOLLERR && relay->step == RELAY_RUNNING)
                note_error(relay, side);
}

void relay_settle(struct relay *relay, struct pipes *pipes, bool reset) {
        const struct linger linger = {.l_onoff = 1};

        for (enum relay_side side = RELAY_CLIENT; side < RELAY_SIDE_N; side++) {
                struct relay_direction *direction = &relay->directions[side];

                direction->pipe = pipes_return(pipes, direction->pipe);
                if (reset && relay->ends[side].fd >= 0)
                        setsockopt(relay->ends[side].fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        }
}
