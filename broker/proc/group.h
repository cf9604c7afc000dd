/* Process groups, as /proc shows them. */
#pragma once

#include <sys/types.h>

/* Whether no process of the group can run: all their threads are stopped, or have ended. Returns 1 or 0, or a negative
 * errno where /proc does not tell. */
int group_is_stopped(pid_t group);
