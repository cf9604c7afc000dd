/* --spare=N: processes that are there before the connection they serve (proc/spare.h), and are replaced while there is
 * nothing else to do. */
#pragma once

#include "base/defs.h"
#include "proc/launch.h"

#include <errno.h>
#include <stdbool.h>

struct spare {
        struct launched launched; /* its pidfd is not kept */
        int link;
        bool killed; /* was found stopped, and its end will be heard of */
};

struct spares {
        unsigned wanted; /* 0: none */
        bool stdio;      /* the connection as stdin and stdout, not as the first descriptor behind stderr */
        const struct launch_plan *plan;
        struct launcher *launcher;
        int image;
        struct spare *items;
        size_t count;
        usec_t due;   /* when the next one is to be made; USEC_INFINITY: none is */
        usec_t delay; /* after a failure */
};

#define SPARES_NULL ((struct spares){.image = -EBADF, .due = USEC_INFINITY})

/* What is borrowed outlives SPARES. Returns 0, or a negative errno: there are none,
 * and all else goes on without (spare_error_text()). */
int spares_init(struct spares *spares, unsigned wanted, const struct launch_plan *plan, struct launcher *launcher);

/* Ends them, and waits for that. */
void spares_deinit(struct spares *spares);

/* Makes one that is due, and returns whether it was. */
bool spares_fill(struct spares *spares);

/* Gives SOCKET, with what REQUEST says of it, to one that is ready. False: there is none. */
bool spares_give(struct spares *spares, const struct launch_request *request, int socket, struct spare *ret);

/* The process with PID has ended and was reaped. False: it was none of these. */
bool spares_remove(struct spares *spares, pid_t pid);
