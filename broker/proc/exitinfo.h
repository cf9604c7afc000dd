/* How a process ended, and how to say it. */
#pragma once

#include "base/defs.h"

#include <signal.h>
#include <stdbool.h>

/* A code of ours: it was not our child, so nobody told us. */
#define EXITINFO_UNKNOWN (-1)

struct exitinfo {
        int code;   /* CLD_EXITED, CLD_KILLED or CLD_DUMPED (waitid(2)), or EXITINFO_UNKNOWN */
        int status; /* the exit status or the signal's number */
};

/* "exit:0", "signal:KILL", "core:SEGV", "unknown": one word, for log fields. */
#define EXITINFO_TEXT_MAX 32
void exitinfo_format(const struct exitinfo *info, char text[EXITINFO_TEXT_MAX]);

/* The status a shell would show: the program's own, or 128 and the signal; 0 where it is unknown. */
int exitinfo_shell_status(const struct exitinfo *info);

/* What is unknown counts as success: nothing says that it failed. */
static inline bool exitinfo_is_success(const struct exitinfo *info) {
        return info->code == EXITINFO_UNKNOWN || (info->code == CLD_EXITED && info->status == 0);
}
