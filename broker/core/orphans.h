/* Children we did not start: as PID 1 of a container, and as a child subreaper everywhere, the broker inherits every
 * process whose parent has died, and has to wait for it. */
#pragma once

struct manager;

/* Becomes a subreaper and watches for orphans that end. Returns 0 or a negative errno. */
int orphans_watch(struct manager *manager);

/* Looks for them soon, though no signal has told of any. */
void orphans_look(struct manager *manager);
