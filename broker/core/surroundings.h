/* What the machine around us is like: how busy it is, and what time it is where it stands. Asked rarely, since neither
 * changes quickly. */
#pragma once

#include "base/defs.h"

struct surroundings {
        usec_t load_at; /* monotonic; when the load was asked for last */
        uint32_t load;
        usec_t minute_at; /* which minute since 1970 it was then */
        unsigned minute;
};

#define SURROUNDINGS_NULL ((struct surroundings){.load_at = USEC_INFINITY, .minute_at = USEC_INFINITY})

/* The load average of the last minute in hundredths (sysinfo(2)), at most a second old at NOW (monotonic). */
uint32_t surroundings_load(struct surroundings *surroundings, usec_t now);

/* The minute of the day, 0 to 1439, in the time zone of the broker (tzset(3)). */
unsigned surroundings_minute(struct surroundings *surroundings);
