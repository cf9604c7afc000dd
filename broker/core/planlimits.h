/* The part of a plan that sets resource limits. */
#pragma once

#include "core/planmake.h"

/* Adds the limits of DEF to PLAN. `unlimited` is the highest the kernel gives where it gives everything but that: for
 * descriptors. A number above it is cut with a warning in DIAG. Returns 0 or -ENOMEM. */
int planlimits_make(const struct planmake_base *base, const struct service_def *def, struct launch_plan *plan,
                    struct diag *diag);
