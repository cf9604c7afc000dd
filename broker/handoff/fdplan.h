/* Which descriptor goes where in a program, worked out from a handoff's setup. */
#pragma once

#include "handoff/handoff.h"

#define FDPLAN_STDIO_MAX 3

/* Writes what becomes 0, 1 and 2 when SOCKET is handed over as stdin and stdout (STDIO), or beside them; SOCKET may be
 * -EBADF where several are and none is the one. Returns how many entries of OUT were used. */
size_t fdplan_standard(const struct handoff_setup *setup, int socket, struct launch_fd out[FDPLAN_STDIO_MAX]);
