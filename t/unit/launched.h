/* For tests that start programs. */
#pragma once

#include "base/fd.h"
#include "proc/exitinfo.h"
#include "proc/launch.h"
#include "unit.h"

#include <sys/wait.h>

/* How a program has ended, once it has. */
static inline struct exitinfo wait_for(struct launched *launched) {
        siginfo_t info = {0};

        assert_int_equal(waitid(P_PIDFD, (id_t)launched->pidfd, &info, WEXITED), 0);
        launched->pidfd = fd_close(launched->pidfd);
        return (struct exitinfo){.code = info.si_code, .status = info.si_status};
}
