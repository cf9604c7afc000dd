/* A paused service: what is said about it, and for how long. */
#pragma once

#include "core/service.h"

/* Logs why SERVICE is paused, and that for DELAY where that is certain; no more often than is good for the log. */
void pause_log(const struct service *service, usec_t delay);

/* How long SERVICE is to pause for this reason; shortages that follow each other make it longer. */
usec_t pause_next_delay(struct service *service, enum service_pause pause);
