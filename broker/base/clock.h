/* The two clocks we read, in microseconds. Both are vDSO calls. */
#pragma once

#include "base/defs.h"

#include <time.h>

static inline usec_t clock_usec(clockid_t id) {
        struct timespec ts;

        clock_gettime(id, &ts);
        return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

static inline usec_t clock_monotonic(void) {
        return clock_usec(CLOCK_MONOTONIC);
}

static inline usec_t clock_wall(void) {
        return clock_usec(CLOCK_REALTIME);
}

/* A time that far from another; USEC_INFINITY stays what it is. */
static inline usec_t usec_add(usec_t at, usec_t delay) {
        return delay >= USEC_INFINITY - at ? USEC_INFINITY : at + delay;
}
