/* The signals of broker(8): TERM and INT drain, a second one kills; HUP reloads; USR1 and USR2 log statistics. They are
 * blocked and read by the loop; there are no handlers. */
#pragma once

#include "core/manager.h"

struct signals {
        struct manager *manager;     /* borrowed */
        const struct strlist *paths; /* borrowed: what to read again on HUP */
        sd_event_source *sources[5];
};

#define SIGNALS_NULL ((struct signals){0})

/* Blocks what will be watched and sets everything else to its default, as the first thing in main(): nothing may arrive
 * in between, and programs must not inherit what whoever started us ignored. */
void signals_block(void);

int signals_init(struct signals *signals, struct manager *manager, const struct strlist *paths);
void signals_deinit(struct signals *signals);
