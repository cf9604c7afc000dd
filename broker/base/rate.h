/* "At most N in INTERVAL", on whatever clock the caller passes in as now. */
#pragma once

#include "base/defs.h"

#include <stdbool.h>

struct rate_limit {
        unsigned burst;  /* 0: unlimited */
        usec_t interval; /* microseconds */
};

struct rate {
        usec_t begin; /* start of the current window */
        unsigned count;
};

/* Counts one event at NOW. Returns whether it is within the limit. */
static inline bool rate_take(struct rate *rate, const struct rate_limit *limit, usec_t now) {
        if (limit->burst == 0)
                return true;
        if (rate->count == 0 || now - rate->begin >= limit->interval) {
                rate->begin = now;
                rate->count = 0;
        }
        return ++rate->count <= limit->burst;
}

static inline void rate_reset(struct rate *rate) {
        *rate = (struct rate){0};
}
