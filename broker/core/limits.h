/* How many connections a service serves at once, in all and from one source. Who has a place, and a ticket of his
 * source, keeps both until limits_return(); every path gives them back.
 *
 * A source is kept as long as it has connections, so `instances` bounds their number; some are kept for later. */
#pragma once

#include "net/connection.h"
#include "net/prefix.h"

#include <stdbool.h>
#include <stdint.h>

struct limits_source;

struct limits {
        uint32_t instances; /* UINT32_MAX: unlimited */
        uint32_t taken;
        struct limits_source *sources; /* by key; only those with connections */
        struct limits_source *idle;    /* entries to be used again */
        size_t idle_count;
};

enum source_outcome {
        SOURCE_OK,
        SOURCE_FULL,
};

void limits_init(struct limits *limits);
void limits_deinit(struct limits *limits);

/* Changes the bound; those admitted stay. */
void limits_set(struct limits *limits, uint32_t instances);

static inline bool limits_is_full(const struct limits *limits) {
        return limits->taken >= limits->instances;
}

/* Gives CONNECTION a place, unless all are taken. It may have one already. */
bool limits_take_place(struct limits *limits, struct connection *connection);

/* Counts CONNECTION among those of SOURCE, of which there may be LIMIT (UINT32_MAX: any number, and none is counted).
 * Returns a source_outcome or -ENOMEM. */
int limits_take_ticket(struct limits *limits, struct connection *connection, const struct prefix *source,
                       uint32_t limit);

/* Whose ticket CONNECTION has; it has one. */
const struct prefix *limits_ticket_source(const struct connection *connection);

/* Gives CONNECTION the place that it had before the broker was upgraded, whatever the bound is. */
void limits_restore_place(struct limits *limits, struct connection *connection);

/* Gives back what CONNECTION has of these. */
void limits_return(struct limits *limits, struct connection *connection);
