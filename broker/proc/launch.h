/* Starting programs without holding the event loop.
 *
 * The child of clone(CLONE_VM) without CLONE_VFORK runs beside us in our memory, on a stack of its own out of a
 * small pool, until it execs; CLONE_CHILD_CLEARTID tells when its stack is free again. With thousands of listening
 * sockets, copying the descriptor table and closing the copies at exec would cost several times what the rest does:
 * then the child shares our table too (CLONE_FILES), its first act is to leave it with the few low descriptors it
 * needs, and only for that do we wait. t/bench/spawnhold measures what this is about.
 *
 * A plan with an oom_score_adj cannot be started beside us, since that belongs to the memory and not to the process:
 * such a child gets a copy of our memory, as from fork(2), and a pipe tells when it has exec'ed. It holds us while the
 * page tables are copied, and not until exec as vfork(2) would, which a user could make for ever by stopping it.
 *
 * A copy of the table also keeps descriptors open that the parent closes meanwhile, until the child has exec'ed:
 * what is watched by epoll has to be taken out by EPOLL_CTL_DEL, closing alone does not do it. */
#pragma once

#include "proc/plan.h"

#include <stdbool.h>
#include <sys/types.h>

enum launch_mode {
        LAUNCH_BESIDE, /* as above */
        LAUNCH_VFORK,  /* hold the parent until exec: under sanitizers and valgrind, and on other processors */
};

/* Where a start failed. The order is that in which the child does it. */
enum child_stage {
        CHILD_STAGE_NONE,
        CHILD_STAGE_UNSHARE,
        CHILD_STAGE_SESSION,
        CHILD_STAGE_FDS,
        CHILD_STAGE_PIDFD,
        CHILD_STAGE_OOM_SCORE_ADJ,
        CHILD_STAGE_RLIMITS,
        CHILD_STAGE_NICE,
        CHILD_STAGE_CPUSET,
        CHILD_STAGE_ROOT_DIR,
        CHILD_STAGE_GROUPS,
        CHILD_STAGE_GID,
        CHILD_STAGE_BOUNDING,
        CHILD_STAGE_KEEP_CAPS,
        CHILD_STAGE_UID,
        CHILD_STAGE_CAPABILITIES,
        CHILD_STAGE_AMBIENT,
        CHILD_STAGE_WORKING_DIR,
        CHILD_STAGE_NO_NEW_PRIVILEGES,
        CHILD_STAGE_DEATH_SIGNAL,
        CHILD_STAGE_SIGNALS,
        CHILD_STAGE_EXEC,
        CHILD_STAGE_N,
};

/* Descriptor FROM of the parent becomes TO in the child. */
struct launch_fd {
        int from;
        int to;
};

/* What one start has beside its plan. Borrowed for the call. */
struct launch_request {
        const struct launch_plan *plan;
        const struct launch_fd *fds;
        size_t fd_count;
        const char *const *env; /* more NAME=VALUE entries; copied */
        size_t env_count;
        const char *remote_addr; /* for ${remote_addr}; NULL: "" */
        const char *remote_port;
        const char *spare_settings; /* it is a spare's (proc/spare.h); NULL: the program itself */
};

/* A started child. */
struct launched {
        pid_t pid;
        int pidfd;     /* close-on-exec; the caller closes it */
        unsigned slot; /* for launcher_failure() */
        unsigned generation;
};

struct launch_failure {
        enum child_stage stage;
        int error; /* errno */
};

struct launcher;

/* MODE as far as the machine allows. Returns 0 or -ENOMEM. */
int launcher_new(enum launch_mode mode, struct launcher **ret);
struct launcher *launcher_free(struct launcher *launcher);

/* Whether children share our descriptor table at first (see above) rather than get a copy: worth it where many
 * descriptors are open. Off to begin with. */
void launcher_share_table(struct launcher *launcher, bool on);

/* Starts a program. Descriptors may be closed as soon as it returns. Returns 0, or a negative errno when there is no
 * process: -EAGAIN (the limit of processes), -ENOMEM and -EBUSY (all children we have stacks for are still on their way
 * to exec) are shortages that pass; -E2BIG: the words do not fit. That the program could not be
 * executed shows later: the process then ends and launcher_failure() says why. */
int launcher_start(struct launcher *launcher, const struct launch_request *request, struct launched *ret);

/* Once the process has ended: whether it never became the program, and why. Has to be asked once for every process that
 * ended, since a failure keeps its slot until then. */
bool launcher_failure(struct launcher *launcher, const struct launched *launched, struct launch_failure *ret);

/* For a child that another binary has started in this process, before it became this one: its slot is not there any
 * more, and launcher_failure() says false. */
void launcher_disown(struct launched *launched);

/* Whether it has become the program. */
bool launcher_has_execed(struct launcher *launcher, const struct launched *launched);

/* Whether no child reads our memory any more: then plans may be changed or freed. A child takes as long as its exec
 * does, which can be for ever: its user may stop it, its working_dir may hang. So nobody waits for it. */
bool launcher_is_idle(struct launcher *launcher);

/* Whether programs get LISTEN_PIDFDID: the kernel has a file system for pidfds (Linux 6.9). */
bool launcher_has_pidfdid(const struct launcher *launcher);

extern const char *const child_stage_names[CHILD_STAGE_N];
