/* One slot of the launcher: the stack that a child runs on, the memory that its words are written to, and what it is
 * told. Internal to proc. */
#pragma once

#include "proc/child.h"
#include "proc/launch.h"

#define SLOT_STACK ((size_t)64 * 1024)
#define SLOT_SCRATCH ((size_t)448 * 1024) /* untouched pages cost nothing */
#define SLOT_GUARD ((size_t)4096)

struct slot {
        char *memory; /* guard page, stack, scratch; NULL until first used */
        unsigned generation;
        pid_t pid;      /* of the child it was given to last */
        usec_t started; /* when, monotonic */
        struct child_order order;
        size_t used; /* of the scratch */
        bool overflow;
        int apart_fd; /* of a child apart: at its end once the child has exec'ed or died; -EBADF */
};

/* Writes what REQUEST gives the child into SLOT's memory, and fills in its order but for the report. SHARE_TABLE: the
 * child may share our descriptor table at first; PIDFDID: there are LISTEN_PIDFDID variables. Returns 0 or -E2BIG. */
int slot_prepare(struct slot *slot, const struct launch_request *request, bool share_table, bool pidfdid);
