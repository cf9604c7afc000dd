/* The order is the point of this file, and stands in identity_assume() alone: every step needs a right that a later one
 * gives away. All steps are checked; there is none after which a program may start with more than it was to have.
 *
 * Like all that a child runs (proc/child.c): the kernel is called, and nothing written but the own stack. */
#include "proc/identity.h"

#include "proc/rawcall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#define STEP(stage, call)                                                                                              \
        do {                                                                                                           \
                long r_ = (call);                                                                                      \
                                                                                                                       \
                if (__builtin_expect(r_ < 0, 0)) {                                                                     \
                        *ret_stage = (stage);                                                                          \
                        return r_;                                                                                     \
                }                                                                                                      \
        } while (0)

#define TRY(call)                                                                                                      \
        do {                                                                                                           \
                long r_ = (call);                                                                                      \
                                                                                                                       \
                if (__builtin_expect(r_ < 0, 0))                                                                       \
                        return r_;                                                                                     \
        } while (0)

/* The value belongs to the memory, not to the process: a child that shares ours changes the broker's, but for one of
 * vfork(2). The launcher starts such plans apart, see launch.h. */
IN_CHILD static long set_oom_score_adj(const char *text) {
        size_t n = 0;
        long fd, written;

        if (text[0] == '\0')
                return 0;
        while (text[n])
                n++;
        fd = RAWCALL_4(openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
        TRY(fd);
        written = RAWCALL_3(write, fd, text, n);
        RAWCALL_1(close, fd);
        return written < 0 ? written : 0;
}

IN_CHILD static long set_rlimits(const struct launch_plan *plan) {
        for (size_t i = 0; i < plan->rlimit_count; i++)
                TRY(RAWCALL_4(prlimit64, 0, plan->rlimits[i].resource, &plan->rlimits[i].limit, 0));
        return 0;
}

/* Beside the root directory the working directory is a way out of it. */
IN_CHILD static long enter_root(const char *root_dir) {
        if (!root_dir)
                return 0;
        TRY(RAWCALL_1(chroot, root_dir));
        return RAWCALL_1(chdir, "/");
}

IN_CHILD static long change_user(const struct creds *creds) {
        if (!creds->change_user)
                return 0;
        TRY(RAWCALL_3(setresuid, creds->uid, creds->uid, creds->uid));
        /* Under SECBIT_NO_SETUID_FIXUP the kernel leaves what survives exec (capabilities(7)); it was for root. */
        if (!creds->drop_ambient || creds->uid == 0)
                return 0;
        return RAWCALL_5(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

IN_CHILD static long drop_bounding(const struct caps_plan *caps) {
        for (unsigned i = 0; i < 64; i++)
                if (caps->bounding_drop & ((uint64_t)1 << i))
                        TRY(RAWCALL_5(prctl, PR_CAPBSET_DROP, i, 0, 0, 0));
        return 0;
}

IN_CHILD static long set_capabilities(const struct caps_plan *caps) {
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

        for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
                data[i].permitted = data[i].effective = (uint32_t)(caps->permitted >> 32 * i);
                data[i].inheritable = (uint32_t)(caps->inheritable >> 32 * i);
        }
        return RAWCALL_2(capset, &header, data);
}

/* Those that survive exec where the program's user is not root. */
IN_CHILD static long raise_ambient(const struct caps_plan *caps) {
        for (unsigned i = 0; i < 64; i++)
                if (caps->ambient & ((uint64_t)1 << i))
                        TRY(RAWCALL_5(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0));
        return 0;
}

IN_CHILD static long tie_life(const struct launch_plan *plan, pid_t parent) {
        if (plan->death_signal == 0)
                return 0;
        TRY(RAWCALL_5(prctl, PR_SET_PDEATHSIG, plan->death_signal, 0, 0, 0));
        return RAWCALL_0(getppid) == parent ? 0 : -ESRCH;
}

IN_CHILD long identity_assume(const struct launch_plan *plan, pid_t parent, enum child_stage *ret_stage) {
        const struct creds *creds = &plan->creds;
        static const struct plan_rare none;
        const struct plan_rare *rare = plan->rare ? plan->rare : &none;
        const struct caps_plan *caps = &rare->caps;

        /* Before the limits: it takes a descriptor. Before the root directory: /proc is outside. */
        STEP(CHILD_STAGE_OOM_SCORE_ADJ, set_oom_score_adj(rare->oom_score_adj));
        STEP(CHILD_STAGE_RLIMITS, set_rlimits(plan));
        if (plan->nice != PLAN_NICE_UNSET)
                STEP(CHILD_STAGE_NICE, RAWCALL_3(setpriority, 0, 0, plan->nice));
        if (rare->cpus)
                STEP(CHILD_STAGE_CPUSET, RAWCALL_3(sched_setaffinity, 0, sizeof(*rare->cpus), rare->cpus));
        if (plan->umask != PLAN_UMASK_UNSET)
                RAWCALL_1(umask, plan->umask);
        STEP(CHILD_STAGE_ROOT_DIR, enter_root(rare->root_dir));
        /* Groups before the user: afterwards there is no right to change them. */
        if (creds->change_groups)
                STEP(CHILD_STAGE_GROUPS, RAWCALL_2(setgroups, creds->group_count, creds->groups));
        if (creds->change_group)
                STEP(CHILD_STAGE_GID, RAWCALL_3(setresgid, creds->gid, creds->gid, creds->gid));
        /* The change of user clears what is effective, CAP_SETPCAP with it; and all that is permitted, unless told. */
        STEP(CHILD_STAGE_BOUNDING, drop_bounding(caps));
        if (caps->keep)
                STEP(CHILD_STAGE_KEEP_CAPS, RAWCALL_5(prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0));
        STEP(CHILD_STAGE_UID, change_user(creds));
        if (caps->change) {
                STEP(CHILD_STAGE_CAPABILITIES, set_capabilities(caps));
                STEP(CHILD_STAGE_AMBIENT, raise_ambient(caps));
        }
        /* As the user, so that a directory he may not enter is refused. */
        if (plan->working_dir)
                STEP(CHILD_STAGE_WORKING_DIR, RAWCALL_1(chdir, plan->working_dir));
        if (plan->no_new_privileges)
                STEP(CHILD_STAGE_NO_NEW_PRIVILEGES, RAWCALL_5(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        /* A change of credentials clears it, so it comes last. */
        STEP(CHILD_STAGE_DEATH_SIGNAL, tie_life(plan, parent));
        return 0;
}
