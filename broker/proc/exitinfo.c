#include "proc/exitinfo.h"

#include <stdio.h>
#include <string.h>

void exitinfo_format(const struct exitinfo *info, char text[EXITINFO_TEXT_MAX]) {
        const char *name;

        if (info->code == EXITINFO_UNKNOWN) {
                snprintf(text, EXITINFO_TEXT_MAX, "unknown");
                return;
        }
        if (info->code == CLD_EXITED) {
                snprintf(text, EXITINFO_TEXT_MAX, "exit:%d", info->status);
                return;
        }
        name = sigabbrev_np(info->status);
        if (name)
                snprintf(text, EXITINFO_TEXT_MAX, "%s:%s", info->code == CLD_DUMPED ? "core" : "signal", name);
        else
                snprintf(text, EXITINFO_TEXT_MAX, "signal:%d", info->status);
}

int exitinfo_shell_status(const struct exitinfo *info) {
        if (info->code == EXITINFO_UNKNOWN)
                return 0;
        return info->code == CLD_EXITED ? info->status : 128 + info->status;
}
