#include "handoff/answers.h"

#include "base/err.h"

#include <errno.h>

const usec_t answers_bounds[ANSWERS_CLASSES] = {
        100 * USEC_PER_MSEC, 250 * USEC_PER_MSEC, 500 * USEC_PER_MSEC, 750 * USEC_PER_MSEC, USEC_PER_SEC, USEC_INFINITY,
};

const char *const answers_class_names[ANSWERS_CLASSES] = {
        "0-100", "100-250", "250-500", "500-750", "750-1000", "1000-",
};

const char *const answers_names[HANDOFF_ANSWER_N] = {
        [HANDOFF_ANSWER_REPLIED] = "replied",
        [HANDOFF_ANSWER_TIMED_OUT] = "timed_out",
        [HANDOFF_ANSWER_FAILED] = "failed",
        [HANDOFF_ANSWER_DROPPED] = "dropped",
};

const char *answers_why(int error) {
        switch (error) {
        case -EPIPE:
                return "its worker has ended, or closed its stdin or stdout";
        case -EPROTO:
                return "its worker wrote what nobody had asked for, or too much";
        case -ENOBUFS:
                return "as many wait as may (queue)";
        case -ETIMEDOUT:
                return "busy_timeout";
        case -EMSGSIZE:
                return "it is longer than max_size";
        default:
                return err_text(error);
        }
}

void answers_add(struct answers *answers, const struct handoff_answered *answered) {
        size_t class = 0;

        answers->counts[answered->answer]++;
        answers->delayed += answered->is_delayed;
        if (answered->answer != HANDOFF_ANSWER_REPLIED)
                return;
        histogram_add(&answers->latency, answered->latency);
        while (answered->latency > answers_bounds[class])
                class ++;
        answers->classes[class]++;
}

uint64_t answers_total(const struct answers *answers) {
        uint64_t total = 0;

        for (size_t i = 0; i < HANDOFF_ANSWER_N; i++)
                total += answers->counts[i];
        return total;
}
