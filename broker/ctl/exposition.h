/* What the broker counts, as text for Prometheus and its like: OpenMetrics 1.0.0, or the older text format, version
 * 0.0.4. The names are documented in broker(8). A service name is the only label that is not from a fixed set. */
#pragma once

#include "base/buf.h"
#include "core/manager.h"

enum exposition_format {
        EXPOSITION_OPENMETRICS,
        EXPOSITION_TEXT,
        EXPOSITION_FORMAT_N,
};

/* For the header Content-Type. */
extern const char *const exposition_types[EXPOSITION_FORMAT_N];

/* Writes everything about MANAGER and its services to OUT. */
void exposition_write(struct manager *manager, enum exposition_format format, struct buf *out);
