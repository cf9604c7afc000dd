#include "base/histogram.h"

#define MS USEC_PER_MSEC
#define S USEC_PER_SEC

const usec_t histogram_bounds[HISTOGRAM_CLASSES] = {
        100,      250,      500,   1 * MS, 2500,   5 * MS, 10 * MS, 50 * MS,
        100 * MS, 500 * MS, 1 * S, 5 * S,  10 * S, 60 * S, 300 * S, USEC_INFINITY,
};

const char *const histogram_names[HISTOGRAM_CLASSES] = {
        "to_100us", "to_250us", "to_500us", "to_1ms", "to_2500us", "to_5ms",  "to_10ms", "to_50ms",
        "to_100ms", "to_500ms", "to_1s",    "to_5s",  "to_10s",    "to_1min", "to_5min", "longer",
};

void histogram_add(struct histogram *histogram, usec_t value) {
        unsigned i = 0;

        while (value > histogram_bounds[i])
                i++;
        histogram->classes[i]++;
        histogram->count++;
        histogram->sum += value;
}
