/* What a process takes on before it becomes a program: limits, root directory, user, capabilities. */
#pragma once

#include "proc/launch.h"

/* Leaves every sanitizer out: a child that execs never returns from its frames. */
#define IN_CHILD __attribute__((no_sanitize("address", "undefined")))

/* Makes the calling process what PLAN says. System calls only: it runs in a child that shares our memory (proc/child.c)
 * as well as in activate, which becomes the program itself. PARENT is who has to be alive when the plan has a death
 * signal. Returns 0, or the kernel's negative errno with the step in *RET_STAGE: then the process is something in
 * between, fit only to report that and end. credentials(7), capabilities(7). */
long identity_assume(const struct launch_plan *plan, pid_t parent, enum child_stage *ret_stage);
