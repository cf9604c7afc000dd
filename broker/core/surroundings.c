#include "core/surroundings.h"

#include "base/clock.h"

#include <sys/sysinfo.h>

#define LOAD_AGE USEC_PER_SEC
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)

uint32_t surroundings_load(struct surroundings *surroundings, usec_t now) {
        struct sysinfo info;

        if (surroundings->load_at != USEC_INFINITY && now - surroundings->load_at < LOAD_AGE)
                return surroundings->load;
        surroundings->load_at = now;
        if (sysinfo(&info) == 0)
                surroundings->load = (uint32_t)(info.loads[0] * 100 >> SI_LOAD_SHIFT);
        return surroundings->load;
}

unsigned surroundings_minute(struct surroundings *surroundings) {
        usec_t now = clock_wall(), minute = now / USEC_PER_MINUTE;
        time_t seconds = (time_t)(now / USEC_PER_SEC);
        struct tm tm;

        if (minute == surroundings->minute_at)
                return surroundings->minute;
        /* The zone may be another by now: a machine moves, a file is mounted. */
        tzset();
        if (localtime_r(&seconds, &tm)) {
                surroundings->minute_at = minute;
                surroundings->minute = (unsigned)(tm.tm_hour * 60 + tm.tm_min);
        }
        return surroundings->minute;
}
