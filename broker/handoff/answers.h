/* What the owner of a handoff whose workers answer requests counts of these, by the event `answered`: in all, and how
 * long replies took, in the classes that iotcpd(1) has and in finer ones. */
#pragma once

#include "base/histogram.h"
#include "handoff/handoff.h"

#define ANSWERS_CLASSES 6

struct answers {
        uint64_t counts[HANDOFF_ANSWER_N];
        uint64_t delayed;         /* that had to wait for a worker */
        struct histogram latency; /* of those that were replied to */
        uint64_t classes[ANSWERS_CLASSES];
};

/* The longest that still belongs to each class, and their names: "0-100" and so on, in milliseconds. */
extern const usec_t answers_bounds[ANSWERS_CLASSES];
extern const char *const answers_class_names[ANSWERS_CLASSES];
extern const char *const answers_names[HANDOFF_ANSWER_N];

/* Why a request was not answered, of the ERROR that HANDOFF_UNANSWERED comes with. */
const char *answers_why(int error);

void answers_add(struct answers *answers, const struct handoff_answered *answered);

/* How many requests there were, those that are not over left aside. */
uint64_t answers_total(const struct answers *answers);
