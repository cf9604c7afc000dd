/* Whether a process belongs to a program that we started: is it, is in its session, or descends from it. There is no
 * cgroup to ask in a container; what daemonises by itself (setsid(2), and its parent ends) leaves the family.
 *
 * Pids are used again. So every answer is checked afterwards against descriptors that tell whether the processes that
 * were asked about are still the same. */
#pragma once

#include "base/defs.h"

#include <sys/types.h>

/* The program's processes, as far as they can be known from outside. */
struct kinship_family {
        pid_t main;        /* its main process */
        int main_pidfd;    /* of that, borrowed */
        pid_t sessions[2]; /* whose members belong to it; 0: none. The caller knows that these are still the same */
};

enum kinship {
        KINSHIP_MEMBER,
        KINSHIP_STRANGER,
        KINSHIP_GONE, /* it has ended and was waited for: nobody can tell any more. sd_notify_barrier(3) helps */
};

/* Whether the process PID belongs to FAMILY. PIDFD, borrowed, was obtained when PID was learnt; -EBADF where it
 * was gone by then. A process that has ended and was not waited for yet still belongs to its family. PID 0, one
 * that we do not see, does not. */
enum kinship kinship_find(const struct kinship_family *family, pid_t pid, int pidfd);
