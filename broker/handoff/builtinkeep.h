/* Built-ins' connections while the broker is upgraded: what is to be known of each, and making them again. Nothing is
 * buffered here, so that a descriptor and some numbers are all. */
#pragma once

#include "handoff/handoff.h"

#define BUILTINKEEP_STEP_N 2
extern const char *const builtinkeep_step_names[BUILTINKEEP_STEP_N];

struct builtinkeep_connection {
        struct connection *connection;
        unsigned step; /* by its place among the names */
        unsigned position;
        usec_t since;
        uint64_t received;
        uint64_t sent;
};

/* Calls EACH for all of them. */
void builtinkeep_each(struct handoff *handoff,
                      void (*each)(void *userdata, const struct builtinkeep_connection *connection), void *userdata);

/* Whether the service was told of all that are over. */
bool builtinkeep_is_settled(const struct handoff *handoff);

/* Makes one again; it goes on from the loop. 0, or a negative errno. */
int builtinkeep_add(struct handoff *handoff, const struct builtinkeep_connection *own_connection);
