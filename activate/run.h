/* The modes that end by becoming the program. */
#pragma once

#include "activate/options.h"

/* Takes the first connection on any of the sockets and becomes the program that serves it. Returns the exit status when
 * it does not come to that. */
int run_oneshot(const struct options *options);

/* Becomes the program, with all sockets, at the first traffic on any of them, or at once. The same. */
int run_wait(const struct options *options);
