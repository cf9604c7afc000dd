/* --pass: programs that stay, and take accepted connections out of a queue (broker.yaml(5), handoff: pass). There are
 * as many as --workers says; one that ends is replaced, after a delay when it has not lived for long. */
#pragma once

#include "activate/children.h"
#include "net/passqueue.h"

struct workers {
        size_t wanted;
        struct passqueue queue;
        int room_fd;       /* readable when something has been taken out of the queue; an epoll of its writing end */
        usec_t restart_at; /* nobody is started earlier; monotonic */
        usec_t delay;
};

#define WORKERS_NULL ((struct workers){.queue = PASSQUEUE_NULL, .room_fd = -EBADF})

/* Returns 0 or a negative errno. */
int workers_init(struct workers *workers, size_t wanted);
void workers_deinit(struct workers *workers);

/* Puts CONNECTION into the queue, and closes its descriptor. Returns 0 or a negative errno. */
int workers_put(struct workers *workers, struct connection *connection);

/* Whether there are fewer than there should be of CHILDREN; and when the next one may be started. */
bool workers_are_short(const struct workers *workers, const struct children *children);

/* After -EPIPE, or when it is shut: opens another one, for which workers are to be started, and puts what waits into
 * it. Returns 0 or a negative errno. */
int workers_replace_queue(struct workers *workers);

/* One that was started at STARTED_AT has ended. Returns whether it is the first of those that end together. */
bool workers_note_end(struct workers *workers, usec_t started_at);

/* Whether one more connection may wait for them; forgets those that were taken. */
bool workers_have_room(struct workers *workers, const struct children *children);

/* After room_fd was readable. Returns whether a worker has shut the queue down. */
bool workers_clear_room(struct workers *workers);

/* How many wait. */
static inline size_t workers_waiting(struct workers *workers) {
        return passqueue_waiting(&workers->queue);
}
