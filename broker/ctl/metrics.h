/* `broker: {metrics: ADDRESS}`: an HTTP server inside the loop, for /metrics, /healthz and /readyz (ctl/pages). It
 * starts, moves and ends with the definitions. */
#pragma once

#include "core/manager.h"

struct metrics_server;

struct metrics {
        struct manager *manager; /* borrowed */
        struct companion companion;
        struct metrics_server *current; /* NULL: the definitions have none */
        struct metrics_server *next;    /* while definitions change */
        bool changes;                   /* likewise: next is to take the place of current */
};

#define METRICS_NULL ((struct metrics){0})

/* Before the first definitions are read. */
void metrics_init(struct metrics *metrics, struct manager *manager);

/* Before the manager ends. */
void metrics_deinit(struct metrics *metrics);
