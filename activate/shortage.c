#include "activate/shortage.h"

#include "activate/say.h"
#include "base/clock.h"

#include <errno.h>

#define DELAY_MIN (50 * USEC_PER_MSEC)
#define DELAY_MAX USEC_PER_SEC

bool shortage_is(int error) {
        return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS || error == -EAGAIN ||
               error == -EBUSY;
}

static const char *shortage_text(int error) {
        switch (error) {
        case -EMFILE:
                return "our limit of open files (ulimit -n)";
        case -ENFILE:
                return "the system's limit of open files (fs.file-max)";
        case -EAGAIN:
                return "the limit of processes (ulimit -u, or the container's pids limit)";
        default:
                return "memory";
        }
}

void shortage_say(struct shortage *shortage, int error) {
        static const struct rate_limit once_a_minute = {.burst = 1, .interval = 60 * USEC_PER_SEC};

        /* Busy: all that were started are still on their way to exec. No limit was reached; the next attempt
         * succeeds. */
        if (error != -EBUSY && rate_take(&shortage->said, &once_a_minute, clock_monotonic()))
                say_error("%s is reached: clients wait until it is not", shortage_text(error));
}

void shortage_begin(struct shortage *shortage, int error) {
        shortage->delay = shortage->delay == 0 ? DELAY_MIN : MIN_OF(2 * shortage->delay, DELAY_MAX);
        shortage->resume_at = clock_monotonic() + shortage->delay;
        shortage_say(shortage, error);
}

bool shortage_is_waiting(struct shortage *shortage, usec_t now) {
        if (shortage->resume_at != 0 && now >= shortage->resume_at)
                shortage->resume_at = 0;
        return shortage->resume_at != 0;
}
