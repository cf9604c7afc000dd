/* Timers of the loop, for those who carry them over an upgrade of the broker. */
#pragma once

#include "base/defs.h"

#include <systemd/sd-event.h>

/* When TIMER, which may be NULL, is due (of its clock); USEC_INFINITY: it is not set. */
static inline usec_t timer_due(sd_event_source *timer) {
        uint64_t at;

        if (!timer || sd_event_source_get_enabled(timer, NULL) <= 0 || sd_event_source_get_time(timer, &at) < 0)
                return USEC_INFINITY;
        return at;
}
