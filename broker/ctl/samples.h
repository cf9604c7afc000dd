/* Lines of the text that Prometheus and its like read, and what a metric is. */
#pragma once

#include "base/buf.h"
#include "core/manager.h"
#include "ctl/exposition.h"
#include "net/backlog.h"

enum metric_type {
        METRIC_COUNTER,
        METRIC_GAUGE,
        METRIC_HISTOGRAM,
        METRIC_INFO,
        METRIC_STATESET,
        METRIC_TYPE_N,
};

struct writer {
        struct manager *manager;
        enum exposition_format format;
        struct buf *out;
        struct backlog backlog;
};

struct metric {
        const char *name; /* without the endings _total and _info that its type has */
        enum metric_type type;
        const char *unit; /* NULL: none; the name ends in it */
        const char *help;
        /* Writes the samples: of one service, or the broker's. */
        void (*of_service)(struct writer *w, const struct metric *metric, const struct service *service);
        void (*of_broker)(struct writer *w, const struct metric *metric); /* exactly one of the two */
};

/* What stands between the braces beside the service. */
struct label {
        const char *name;
        const char *value;
};

/* The lines that say what METRIC is. */
void samples_add_head(struct writer *w, const struct metric *metric);

/* One sample. SERVICE may be NULL, and LABEL. */
void samples_add(struct writer *w, const struct metric *metric, const struct service *service,
                 const struct label *label, uint64_t value);

/* The broker's own, in seconds. */
void samples_add_time(struct writer *w, const struct metric *metric, usec_t time);

void samples_add_histogram(struct writer *w, const struct metric *metric, const struct service *service,
                           const struct histogram *histogram);

/* Adds TEXT as it stands between the quotes of a label. */
void samples_escape(const char *text, struct buf *out);
