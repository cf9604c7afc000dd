/* All that one service answers without a program: what builtins.c, builtin.c, builtindatagram.c and builtinkeep.c
 * share. Internal to this way of handing over.
 *
 * As with relays, a connection that is over is only put on a list by whoever finds out, and told to the service by
 * builtins_deliver(), which is the last thing any callback does: the service may close the handoff then. */
#pragma once

#include "handoff/builtin.h"
#include "handoff/builtinseen.h"

struct builtins {
        struct handoff handoff; /* first */
        struct list open;       /* about by when something moved last */
        struct list brief;      /* asking, by when they began */
        struct list busy;       /* those that have more to do at once */
        struct list over;       /* to be told */
        sd_event_source *timer; /* the earliest of all that is to end */
        usec_t timer_at;
        usec_t counted_for;       /* the connection_timeout that open is ordered for */
        sd_event_source *turn;    /* enabled while there are busy ones, or some are over and nobody is telling */
        char *pattern;            /* chargen's */
        struct builtinseen *seen; /* whose addresses are their own; NULL before the first */
        bool has_datagrams;
};

static inline struct builtins *builtins_of(struct handoff *handoff) {
        return (struct builtins *)handoff;
}

static inline const struct handoff_builtin *builtins_setup(const struct builtins *builtins) {
        return builtins->handoff.setup.builtin;
}

usec_t builtins_now(const struct builtins *builtins);

/* Has what is busy, or over, looked at from the loop. */
void builtins_run_soon(struct builtins *builtins);

/* What a new client is told at once, and then nothing more; into OUT, which stays empty where it is not so. */
void builtins_reply(struct builtins *builtins, struct buf *out);

/* Watches the connection of BUILTIN. 0 or a negative errno. */
int builtins_watch(struct builtin *builtin);

/* Puts one that was made again among the others. */
void builtins_join(struct builtin *builtin);

/* Takes BUILTIN out of everything: it is to be told. */
void builtins_end(struct builtin *builtin, enum handoff_outcome outcome, int error);

/* builtindatagram.c: see handoff_ops. */
int builtins_take_datagrams(struct handoff *handoff, const struct handoff_datagrams *request);
