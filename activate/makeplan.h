/* The plan of a program that is started more than once, out of the command line. */
#pragma once

#include "activate/options.h"
#include "activate/program.h"
#include "proc/plan.h"

/* Fills in PLAN, which borrows from OPTIONS and PROGRAM, and takes what PROGRAM has found out: its path, and who it is
 * to be. Raises RLIMIT_NOFILE for ourselves. Returns 0 or a negative errno. */
int makeplan(const struct options *options, struct program *program, struct launch_plan *plan);
