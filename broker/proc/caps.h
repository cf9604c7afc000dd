/* Which capabilities a program is to have: sets of bits, by number, worked out at load. capabilities(7). */
#pragma once

#include "base/capability.h"

struct caps_request {
        struct capability_sets own; /* the process that will start the program */
        uint64_t drop, add;         /* CAPABILITY_ALL: all there are */
        bool root;                  /* the program's user is root, to whom exec gives all that is bounding */
        bool changes_user;          /* another user than now, which takes away what is ambient now */
};

/* What the child does. All zero: nothing. */
struct caps_plan {
        bool change;
        bool keep;              /* through the change of user (PR_SET_KEEPCAPS) */
        uint64_t bounding_drop; /* those to take out of the bounding set */
        uint64_t permitted;     /* and effective */
        uint64_t inheritable;
        uint64_t ambient;
};

#define CAPS_PLAN_NULL ((struct caps_plan){0})

/* As docker compose means cap_drop and cap_add: first the one, then the other, `drop: ALL` and `add: [X]` leaving X
 * alone, `add: ALL` all but those that drop names. The base is what we have ourselves. */
void caps_work_out(const struct caps_request *request, struct caps_plan *ret);

/* Those of REQUEST's add that cannot be given, since we do not have them. */
uint64_t caps_missing(const struct caps_request *request);
