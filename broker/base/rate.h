/* "At most N in INTERVAL", on whatever clock the caller passes in as now: counted in windows, for what ought not to
 * happen at all, or by a token bucket, for traffic. */
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

/* A token bucket: `burst` events at once, and `burst` in each `interval` in the long run. Filled with time, not with
 * tokens: an event costs its share of the interval. */
struct bucket {
        usec_t at; /* when it was looked at last */
        usec_t fill;
        bool used;
};

static inline usec_t bucket_cost(const struct rate_limit *limit) {
        return MAX_OF(limit->interval / limit->burst, (usec_t)1);
}

/* Whether there is room for one more event at NOW. */
static inline bool bucket_has_room(struct bucket *bucket, const struct rate_limit *limit, usec_t now) {
        if (limit->burst == 0)
                return true;
        bucket->fill = bucket->used ? MIN_OF(bucket->fill + (now - bucket->at), limit->interval) : limit->interval;
        bucket->used = true;
        bucket->at = now;
        return bucket->fill >= bucket_cost(limit);
}

/* Counts one event at NOW. Returns whether there was room for it; if not it costs what is left. */
static inline bool bucket_take(struct bucket *bucket, const struct rate_limit *limit, usec_t now) {
        bool room = bucket_has_room(bucket, limit, now);

        if (limit->burst > 0)
                bucket->fill -= MIN_OF(bucket_cost(limit), bucket->fill);
        return room;
}
