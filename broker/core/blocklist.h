/* Sources that have touched a sensor, and until when they are refused. Strangers decide how many there are, so their
 * number is bounded: the one that has been quiet for longest makes room. */
#pragma once

#include "base/list.h"
#include "net/prefix.h"

#include <stdbool.h>

#define BLOCKLIST_MAX 65536 /* sources; some 130 bytes each */

struct blocked;

struct blocklist {
        struct blocked *by_source;
        struct list order; /* quiet for longest first */
        size_t count;
        struct prefix *lengths; /* which lengths there are in it; the addresses mean nothing */
        size_t length_count;
};

void blocklist_init(struct blocklist *list);
void blocklist_deinit(struct blocklist *list);

/* Whether ADDRESS lies in a source that is blocked at NOW (monotonic). */
bool blocklist_has(struct blocklist *list, const struct prefix *address, usec_t now);

/* Calls EACH for all of them, in the order in which they would make room. */
void blocklist_each(const struct blocklist *list,
                    void (*each)(void *userdata, const struct prefix *source, usec_t until), void *userdata);

/* Blocks SOURCE until UNTIL; what is there already for longer stays so. Returns 1 when it is new, 0, or -ENOMEM. */
int blocklist_add(struct blocklist *list, const struct prefix *source, usec_t until);
