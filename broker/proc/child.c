/* Everything here runs in a child that shares the parent's memory while the parent goes on: it may call the kernel and
 * write to what is its own (its stack, its order, its report), and nothing else. No C library functions beyond memcpy
 * and memmove, no errno, no allocation.
 *
 * A user of the same uid cannot trace us in that time: the change of uid makes the shared memory non-dumpable
 * (prctl(2), PR_SET_DUMPABLE). He can stop or kill this process, which leaves the parent as it is. */
#include "proc/child.h"

#include "proc/identity.h"
#include "proc/rawcall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define KERNEL_SIGSET_SIZE 8

IN_CHILD static _Noreturn void child_fail(struct child_report *report, enum child_stage stage, long error) {
        report->error = (int)-error;
        __atomic_store_n(&report->stage, stage, __ATOMIC_RELEASE);
        for (;;)
                RAWCALL_1(exit_group, stage == CHILD_STAGE_EXEC && error == -ENOENT ? 127 : 126);
}

#define CHILD_TRY(order, stage, call)                                                                                  \
        do {                                                                                                           \
                long r_ = (call);                                                                                      \
                                                                                                                       \
                if (__builtin_expect(r_ < 0, 0))                                                                       \
                        child_fail((order)->report, (stage), r_);                                                      \
        } while (0)

/* Leaves the shared descriptor table with a copy of its lowest part and tells the parent, who waits for it. */
IN_CHILD static void leave_table(struct child_order *order) {
        if (order->shared_fds_up_to < 0)
                return;
        CHILD_TRY(order, CHILD_STAGE_UNSHARE,
                  RAWCALL_3(close_range, order->shared_fds_up_to + 1, ~0U, CLOSE_RANGE_UNSHARE));
        __atomic_store_n(&order->report->tid, CHILD_APART, __ATOMIC_RELEASE);
        RAWCALL_3(futex, &order->report->tid, FUTEX_WAKE, 1);
}

/* Puts every descriptor in its place. Sources that stand where another is to go are moved out of the way first. */
IN_CHILD static void place_fds(struct child_order *order) {
        int highest = 2;

        for (size_t i = 0; i < order->fd_count; i++)
                if (order->fds[i].to > highest)
                        highest = order->fds[i].to;
        for (size_t i = 0; i < order->fd_count; i++) {
                struct launch_fd *fd = &order->fds[i];

                if (fd->from <= highest && fd->from != fd->to) {
                        long moved = RAWCALL_3(fcntl, fd->from, F_DUPFD_CLOEXEC, highest + 1);

                        CHILD_TRY(order, CHILD_STAGE_FDS, moved);
                        fd->from = (int)moved;
                }
        }
        for (size_t i = 0; i < order->fd_count; i++) {
                const struct launch_fd *fd = &order->fds[i];

                /* dup3(2) refuses equal numbers; there only the flag is to go. */
                if (fd->from == fd->to)
                        CHILD_TRY(order, CHILD_STAGE_FDS, RAWCALL_3(fcntl, fd->to, F_SETFD, 0));
                else
                        CHILD_TRY(order, CHILD_STAGE_FDS, RAWCALL_3(dup3, fd->from, fd->to, 0));
        }
}

IN_CHILD static void patch_number(const struct child_patch *patch, uint64_t value) {
        char digits[CHILD_DIGITS];
        size_t n = 0;

        do
                digits[n++] = (char)('0' + value % 10);
        while ((value /= 10) > 0);
        for (size_t i = 0; i < n; i++)
                patch->at[i] = digits[n - 1 - i];
        memmove(patch->at + n, patch->at + CHILD_DIGITS, strlen(patch->at + CHILD_DIGITS) + 1);
}

IN_CHILD static uint64_t own_pidfd_inode(struct child_order *order, long pid) {
        struct stat st;
        long fd = RAWCALL_2(pidfd_open, pid, 0);

        CHILD_TRY(order, CHILD_STAGE_PIDFD, fd);
#ifdef SYS_newfstatat
        CHILD_TRY(order, CHILD_STAGE_PIDFD, RAWCALL_4(newfstatat, fd, "", &st, AT_EMPTY_PATH));
#else
        CHILD_TRY(order, CHILD_STAGE_PIDFD, RAWCALL_2(fstat, fd, &st));
#endif
        RAWCALL_1(close, fd);
        return st.st_ino;
}

/* Later patches first: filling one moves what stands behind it in the same word. */
IN_CHILD static void fill_numbers(struct child_order *order) {
        long pid;

        if (order->patch_count == 0)
                return;
        pid = RAWCALL_0(getpid);
        for (size_t i = order->patch_count; i-- > 0;) {
                const struct child_patch *patch = &order->patches[i];

                patch_number(patch, patch->number == CHILD_PID ? (uint64_t)pid : own_pidfd_inode(order, pid));
        }
}

IN_CHILD static long become_program(struct child_order *order) {
        if (order->image >= 0)
                return RAWCALL_5(execveat, order->image, "", order->argv, order->envp, AT_EMPTY_PATH);
        return RAWCALL_3(execve, order->plan->path, order->argv, order->envp);
}

IN_CHILD int child_main(void *userdata) {
        struct child_order *order = userdata;
        const uint64_t no_signals = 0;
        enum child_stage stage = CHILD_STAGE_NONE;
        long r;

        leave_table(order);
        if (order->plan->new_session)
                CHILD_TRY(order, CHILD_STAGE_SESSION, RAWCALL_0(setsid));
        place_fds(order);
        /* Before the limits: a pidfd takes a descriptor. */
        fill_numbers(order);
        r = identity_assume(order->plan, order->parent, &stage);
        if (r < 0)
                child_fail(order->report, stage, r);
        CHILD_TRY(order, CHILD_STAGE_SIGNALS,
                  RAWCALL_4(rt_sigprocmask, SIG_SETMASK, &no_signals, 0, KERNEL_SIGSET_SIZE));
        child_fail(order->report, CHILD_STAGE_EXEC, become_program(order));
}
