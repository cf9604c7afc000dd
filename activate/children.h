/* The processes that serve connections, until each has been reaped. A plain array: to look through it costs nothing
 * beside starting and ending a process. */
#pragma once

#include "net/connection.h"
#include "proc/launch.h"

#include <stdbool.h>

struct child {
        struct launched launched; /* its pidfd is not kept: until it is reaped, by us, its pid is no one else's */
        int spare_link; /* of one that was a spare: where it says that it could not become the program; else -EBADF */
        struct prefix source;
        usec_t started_at; /* of a worker */
        bool is_told;      /* likewise: to end */
};

struct children {
        struct child *items;
        size_t count;
        size_t room;
};

#define CHILDREN_NULL ((struct children){0})

void children_deinit(struct children *children);

/* Makes room for one more, so that children_add() cannot fail once there is a process. Returns 0 or -ENOMEM. */
int children_reserve(struct children *children);
void children_add(struct children *children, const struct child *child);

/* Takes out the one with PID. Returns false when there is none. */
bool children_remove(struct children *children, pid_t pid, struct child *ret);

/* Closes what nobody needs to know any more of those that were spares. */
void children_settle(struct children *children);

/* How many serve a client of this source. */
size_t children_count_source(const struct children *children, const struct prefix *source);

/* Tells all workers to end, by SIGTERM. */
void children_tell(struct children *children);

/* Sends SIGNAL to all, with GROUPS to everything in their process groups. */
void children_signal(const struct children *children, int signal, bool groups);
