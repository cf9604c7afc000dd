/* Admission: how many connections a service serves at once, in all and from one source. Whoever is admitted holds a
 * ticket until limits_return(); every path gives it back. */
#pragma once

#include "net/connection.h"

#include <stdbool.h>
#include <stdint.h>

struct limits_source;

struct limits {
        uint32_t instances;  /* UINT32_MAX: unlimited */
        uint32_t per_source; /* UINT32_MAX: unlimited; then no sources are kept */
        uint32_t taken;
        struct limits_source *sources; /* by key; only those with connections */
        struct limits_source *idle;    /* entries to be used again */
};

enum admit_outcome {
        ADMIT_OK,
        ADMIT_FULL,        /* as many as `instances` */
        ADMIT_SOURCE_FULL, /* as many from there as `per_source` */
        ADMIT_NO_MEMORY,
};

void limits_init(struct limits *limits);
void limits_deinit(struct limits *limits);

/* Changes the bounds; those admitted stay. */
void limits_set(struct limits *limits, uint32_t instances, uint32_t per_source);

static inline bool limits_is_full(const struct limits *limits) {
        return limits->taken >= limits->instances;
}

/* Admits CONNECTION and puts its ticket into it, or says why not. */
enum admit_outcome limits_admit(struct limits *limits, struct connection *connection);

/* Gives the ticket of CONNECTION back. */
void limits_return(struct limits *limits, struct connection *connection);
