/* The part of a plan that takes rights: capabilities, root directory, CPUs, the OOM score. What the broker cannot give
 * is found out here, at load, where that is possible. */
#pragma once

#include "conf/servicedef.h"
#include "proc/plan.h"

/* Fills in PLAN, whose creds are resolved already. Returns 0, -EINVAL after an error in DIAG, or -ENOMEM. */
int planrights_make(const struct service_def *def, struct launch_plan *plan, struct diag *diag);
