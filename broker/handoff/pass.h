/* handoff: pass. The workers of a pool take connections out of a queue that they share; for pass.c, and those who carry
 * it over an upgrade of the broker. */
#pragma once

#include "handoff/handoff.h"
#include "net/passqueue.h"

struct pass {
        struct handoff handoff;
        struct pool pool;
        struct passqueue queue;
        sd_event_source *taken; /* something has been taken: edge-triggered, on while that is of interest */
        sd_event_source *look;  /* a timer, while something waits: for whether it waits for long */
        bool is_looking;        /* it is set */
        bool was_full;          /* since it was set */
        bool is_retired;        /* no more connections come */
        struct list back;       /* of connections: taken back, and not reported yet */
        enum handoff_outcome back_outcome;
};

static inline struct pass *pass_of(struct handoff *handoff) {
        return (struct pass *)handoff;
}

/* Whether no connection was taken back that the service was not told of. */
bool pass_is_settled(const struct pass *pass);

/* Goes on with a queue that was there before. Returns 0 or a negative errno. */
int pass_adopt_queue(struct pass *pass, int own_write_fd, int own_read_fd);

/* After a restore: processes, connections and the queue are there. */
void pass_resume(struct pass *pass);
