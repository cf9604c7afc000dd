/* What runs out, and how long to wait for more of it. */
#pragma once

#include "base/defs.h"
#include "base/rate.h"

/* Waits get longer while nothing helps. */
struct shortage {
        usec_t delay;     /* the last one; 0 while there is none */
        usec_t resume_at; /* monotonic; 0: not waiting */
        struct rate said;
};

/* Whether ERROR (negative errno) passes by itself. */
bool shortage_is(int error);

/* Begins to wait: 50 ms, and double that each time up to a second. Says which limit it is, once a minute at most,
 * and a limit of processes only when it lasts. */
void shortage_begin(struct shortage *shortage, int error);

/* Says which limit it is, likewise, and waits for nothing. */
void shortage_say(struct shortage *shortage, int error);

/* Something was given back: try at once. */
static inline void shortage_retry(struct shortage *shortage) {
        shortage->resume_at = 0;
}

/* It went well. */
static inline void shortage_end(struct shortage *shortage) {
        shortage->delay = shortage->resume_at = 0;
}

/* Whether it is still to be waited for, at NOW. */
bool shortage_is_waiting(struct shortage *shortage, usec_t now);
