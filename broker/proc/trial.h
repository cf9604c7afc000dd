/* What the kernel would refuse, found out at load: a process that ends at once tries it. */
#pragma once

#include "proc/plan.h"

/* Whether a program may be given these CPUs. Returns 0, -EINVAL where it could run on none of them, or another negative
 * errno. */
int trial_cpus(const cpu_set_t *cpus);

/* Whether a program may be given this value. Returns 0, -EACCES where it is lower than we may go, or another negative
 * errno. */
int trial_oom_score_adj(int32_t value);
