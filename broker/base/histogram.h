/* How long something took, counted in classes: for the status and the metrics. Adding allocates nothing. */
#pragma once

#include "base/defs.h"

#include <stdint.h>

#define HISTOGRAM_CLASSES 16

struct histogram {
        uint64_t count;
        usec_t sum;
        uint64_t classes[HISTOGRAM_CLASSES]; /* each by itself, not cumulated */
};

/* The longest that still belongs to each class, in microseconds: 100 us to about 5 minutes; the last is
 * USEC_INFINITY. */
extern const usec_t histogram_bounds[HISTOGRAM_CLASSES];
extern const char *const histogram_names[HISTOGRAM_CLASSES]; /* for fields of the log */

void histogram_add(struct histogram *histogram, usec_t value);
