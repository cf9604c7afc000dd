/* The queue that connections wait in until a worker takes them: a pair of SOCK_SEQPACKET sockets, one message a
 * connection, its descriptor and lines KEY=VALUE. The workers share one end. We keep that one too, so that what waits
 * outlives all of them, can be counted, and can be taken back; who takes what is not to be known.
 *
 * Connections stay ours to remember until passqueue_next_taken() or passqueue_take_back() gives them away; their
 * descriptors are in the queue alone. */
#pragma once

#include "net/connection.h"

#include <stdbool.h>

struct passqueue_item {
        struct connection *connection;
        uint64_t cookie; /* SO_COOKIE: by that it is known again */
        uint32_t size;   /* of the message */
};

struct passqueue {
        int write_fd;
        int read_fd;                  /* what the workers get */
        size_t capacity;              /* how many messages it holds in any case, as far as the kernel's limits go */
        struct passqueue_item *items; /* a ring */
        size_t room;
        size_t first;
        size_t count;
        size_t taken;   /* of these, the first ones, by workers */
        uint64_t bytes; /* of the messages of the others */
};

#define PASSQUEUE_NULL ((struct passqueue){.write_fd = -EBADF, .read_fd = -EBADF})

/* Opens one that ROOM connections can wait in. Returns 0 or a negative errno. */
int passqueue_open(struct passqueue *queue, size_t room);
void passqueue_close(struct passqueue *queue);

/* Puts CONNECTION into the queue, and closes its descriptor. Returns 0, and it is the queue's to remember; or a
 * negative errno: -EPIPE, a worker has shut the queue down; anything else is a shortage. */
int passqueue_put(struct passqueue *queue, struct connection *connection);

/* Whether a worker has shut it down, or passqueue_end() was called. */
bool passqueue_is_shut(const struct passqueue *queue);

/* How many wait in it, as far as is known, and now. */
static inline size_t passqueue_known(const struct passqueue *queue) {
        return queue->count - queue->taken;
}
size_t passqueue_waiting(struct passqueue *queue);

/* The Nth of all that are remembered. */
struct passqueue_item *passqueue_item(struct passqueue *queue, size_t n);

/* The next of those that workers have taken, or NULL. */
struct connection *passqueue_next_taken(struct passqueue *queue);

/* One that nobody has taken, with its descriptor, out of the queue; NULL: there is none. */
struct connection *passqueue_take_back(struct passqueue *queue);

/* One of the workers, whoever is next, is told to end: a message without anything, which reads as an end of file does.
 * Returns false where there is no room for it. */
bool passqueue_dismiss_one(struct passqueue *queue);

/* All of them are, behind what waits. */
void passqueue_end(struct passqueue *queue);

/* Whether a message of passqueue_dismiss_one(), which was sent when nobody waited, has been heard of by nobody yet. */
bool passqueue_is_dismissing(const struct passqueue *queue);

/* What was taken out of FROM, and not told of, is told of by TO, which is new. Returns 0 or -ENOMEM. */
int passqueue_move_taken(struct passqueue *from, struct passqueue *to);

/* For an upgrade: takes over the ends of a queue; then remembers a CONNECTION that is in the queue already, which
 * returns 0 or -ENOMEM; then that the first COUNT of them were taken. */
void passqueue_adopt(struct passqueue *queue, int own_write_fd, int own_read_fd);
int passqueue_remember(struct passqueue *queue, struct connection *connection, uint64_t cookie, uint32_t size);
void passqueue_note_taken(struct passqueue *queue, size_t count);
