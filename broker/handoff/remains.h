/* What is left of process groups that were told to end, and whose leader has: their members have the rest of the grace
 * period, or all of it where the leader has ended by itself, and then they get SIGKILL. Needs Linux 6.9, where a pidfd
 * stands for a group: a number could be somebody else's by then. Before, there are none, and such members live on. */
#pragma once

#include "base/list.h"

#include <systemd/sd-event.h>

struct remains {
        sd_event *event;  /* borrowed */
        struct list list; /* one group each */
        size_t count;
};

void remains_init(struct remains *remains, sd_event *event);

/* SIGKILL for all of them. */
void remains_deinit(struct remains *remains);

/* The group whose leader was the process of OWN_PIDFD, which is consumed, has until UNTIL. What cannot be remembered,
 * for want of memory, gets SIGKILL now rather than never. */
void remains_keep(struct remains *remains, int own_pidfd, usec_t until);

/* Forgets those that have no members any more; to be called when orphans were reaped. Returns how many are left. */
size_t remains_sweep(struct remains *remains);

/* For an upgrade of the broker: calls EACH for all of them, and makes one again. OWN_PIDFD is consumed. Returns 0 or a
 * negative errno. */
void remains_each(const struct remains *remains, void (*each)(void *userdata, int pidfd, usec_t until), void *userdata);
int remains_restore(struct remains *remains, int own_pidfd, usec_t until);
