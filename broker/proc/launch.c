/* The parent's side of a start, and the pool of slots (proc/slot.h). A slot is busy from clone(2) until the kernel has
 * cleared its report's tid. */
#include "proc/launch.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "proc/child.h"
#include "proc/rawcall.h"
#include "proc/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS_MAX 64

/* How long we wait for a slot when all children are still on their way to exec: then the machine, not we, is behind. */
#define SLOT_WAIT_NS (2 * 1000 * 1000)

/* A child that has not exec'ed after this, with all slots taken, is not slow but stopped, by its user. */
#define SLOT_STUCK (5 * USEC_PER_SEC)

#define PID_FS_MAGIC_NUMBER 0x50494446

struct launcher {
        enum launch_mode mode;
        bool pidfdid;
        bool share_table;
        pid_t pid;                    /* ours */
        unsigned next;                /* where to look for a free slot first */
        struct child_report *reports; /* one per slot, in memory shared even with a child that got a copy */
        struct slot slots[SLOTS_MAX];
};

const char *const child_stage_names[CHILD_STAGE_N] = {
        [CHILD_STAGE_NONE] = "nothing",
        [CHILD_STAGE_UNSHARE] = "leaving the descriptor table",
        [CHILD_STAGE_SESSION] = "starting a session",
        [CHILD_STAGE_FDS] = "placing descriptors",
        [CHILD_STAGE_PIDFD] = "opening its pidfd",
        [CHILD_STAGE_OOM_SCORE_ADJ] = "setting oom_score_adj",
        [CHILD_STAGE_RLIMITS] = "setting ulimits",
        [CHILD_STAGE_NICE] = "setting nice",
        [CHILD_STAGE_CPUSET] = "setting cpuset",
        [CHILD_STAGE_ROOT_DIR] = "entering root_dir",
        [CHILD_STAGE_GROUPS] = "setting groups",
        [CHILD_STAGE_GID] = "changing the group",
        [CHILD_STAGE_BOUNDING] = "dropping capabilities",
        [CHILD_STAGE_KEEP_CAPS] = "keeping capabilities",
        [CHILD_STAGE_UID] = "changing the user",
        [CHILD_STAGE_CAPABILITIES] = "setting capabilities",
        [CHILD_STAGE_AMBIENT] = "adding capabilities",
        [CHILD_STAGE_WORKING_DIR] = "entering working_dir",
        [CHILD_STAGE_NO_NEW_PRIVILEGES] = "setting no_new_privileges",
        [CHILD_STAGE_DEATH_SIGNAL] = "tying its life to the broker's",
        [CHILD_STAGE_SIGNALS] = "unblocking signals",
        [CHILD_STAGE_EXEC] = "executing the program",
};

static bool kernel_has_pidfs(void) {
        AUTO(fd_closep) int fd = (int)RAWCALL_2(pidfd_open, getpid(), 0);
        struct statfs st;

        return fd >= 0 && fstatfs(fd, &st) == 0 && (unsigned)st.f_type == PID_FS_MAGIC_NUMBER;
}

int launcher_new(enum launch_mode mode, struct launcher **ret) {
        struct launcher *launcher = calloc(1, sizeof(*launcher));

        if (!launcher)
                return err_raise(-ENOMEM);
        launcher->reports = mmap(NULL, SLOTS_MAX * sizeof(*launcher->reports), PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (launcher->reports == MAP_FAILED) {
                free(launcher);
                return err_raise(-ENOMEM);
        }
        for (size_t i = 0; i < SLOTS_MAX; i++)
                launcher->slots[i].apart_fd = -EBADF;
        launcher->mode = RAWCALL_NATIVE ? mode : LAUNCH_VFORK;
        launcher->pidfdid = kernel_has_pidfs();
        launcher->pid = getpid();
        *ret = launcher;
        return 0;
}

struct launcher *launcher_free(struct launcher *launcher) {
        if (!launcher)
                return NULL;
        /* A child that is still on its way runs in this memory: leave it to the end of us both. */
        if (!launcher_is_idle(launcher))
                return NULL;
        for (size_t i = 0; i < SLOTS_MAX; i++)
                if (launcher->slots[i].memory)
                        munmap(launcher->slots[i].memory, SLOT_GUARD + SLOT_STACK + SLOT_SCRATCH);
        munmap(launcher->reports, SLOTS_MAX * sizeof(*launcher->reports));
        free(launcher);
        return NULL;
}

void launcher_share_table(struct launcher *launcher, bool on) {
        launcher->share_table = on && launcher->mode == LAUNCH_BESIDE;
}

bool launcher_has_pidfdid(const struct launcher *launcher) {
        return launcher->pidfdid;
}

static uint32_t report_tid(const struct child_report *report) {
        return __atomic_load_n(&report->tid, __ATOMIC_ACQUIRE);
}

static bool report_has_failure(const struct child_report *report) {
        return __atomic_load_n(&report->stage, __ATOMIC_ACQUIRE) != CHILD_STAGE_NONE;
}

/* Sleeps while the report says TID. The kernel's wake-up at exec is for waiters in shared memory: no FUTEX_PRIVATE. */
static void report_wait(struct child_report *report, uint32_t tid, const struct timespec *timeout) {
        if (report_tid(report) == tid)
                RAWCALL_4(futex, &report->tid, FUTEX_WAIT, tid, timeout);
}

static int slot_map(struct slot *slot) {
        char *memory;

        if (slot->memory)
                return 0;
        memory = mmap(NULL, SLOT_GUARD + SLOT_STACK + SLOT_SCRATCH, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
                return err_raise(-ENOMEM);
        mprotect(memory, SLOT_GUARD, PROT_NONE);
        slot->memory = memory;
        return 0;
}

/* The kernel clears the tid of a child in our memory; for one apart that is left to us. */
static bool slot_is_busy(struct launcher *launcher, size_t at) {
        struct slot *slot = &launcher->slots[at];
        char nothing;

        if (slot->apart_fd >= 0 && read(slot->apart_fd, &nothing, 1) == 0) {
                slot->apart_fd = fd_close(slot->apart_fd);
                __atomic_store_n(&launcher->reports[at].tid, 0, __ATOMIC_RELEASE);
        }
        return report_tid(&launcher->reports[at]) != 0;
}

/* A failure stays until launcher_failure() has been asked for it. */
static bool slot_is_free(struct launcher *launcher, size_t at) {
        return !slot_is_busy(launcher, at) && !report_has_failure(&launcher->reports[at]);
}

/* Round about, so that the slot tried first is the one that has had the longest time to become free. */
static int slot_find(struct launcher *launcher) {
        for (unsigned i = 0; i < SLOTS_MAX; i++) {
                unsigned at = (launcher->next + i) % SLOTS_MAX;

                if (slot_is_free(launcher, at))
                        return (int)at;
                if (!launcher->slots[at].memory)
                        break;
        }
        return -EBUSY;
}

/* So that one user's stopped children do not keep everybody else's programs from being started. */
static void kill_stuck(struct launcher *launcher) {
        usec_t now = clock_monotonic();

        for (size_t i = 0; i < SLOTS_MAX; i++)
                if (slot_is_busy(launcher, i) && now - launcher->slots[i].started > SLOT_STUCK)
                        kill(launcher->slots[i].pid, SIGKILL);
}

/* Prefers slots that were used before: their pages are there. */
static int slot_take(struct launcher *launcher, struct slot **ret) {
        const struct timespec timeout = {.tv_nsec = SLOT_WAIT_NS};
        struct slot *slot;
        int at, r;

        if (slot_is_free(launcher, 0))
                launcher->next = 0;
        at = slot_find(launcher);
        if (at < 0) {
                report_wait(&launcher->reports[launcher->next], report_tid(&launcher->reports[launcher->next]),
                            &timeout);
                at = slot_find(launcher);
        }
        if (at < 0) {
                kill_stuck(launcher);
                return err_raise(-EBUSY);
        }
        slot = &launcher->slots[at];
        r = slot_map(slot);
        if (r < 0)
                return r;
        launcher->next = ((unsigned)at + 1) % SLOTS_MAX;
        slot->generation++;
        slot->used = 0;
        slot->overflow = false;
        slot->order = (struct child_order){.report = &launcher->reports[at], .parent = launcher->pid};
        *ret = slot;
        return at;
}

/* Our memory until exec. */
static int clone_beside(struct slot *slot, struct launched *ret) {
        int flags = CLONE_VM | CLONE_PIDFD | CLONE_CHILD_CLEARTID | SIGCHLD;
        struct child_report *report = slot->order.report;
        pid_t pid;

        if (slot->order.shared_fds_up_to >= 0)
                flags |= CLONE_FILES;
        __atomic_store_n(&report->tid, CHILD_BORN, __ATOMIC_RELEASE);
        pid = clone(child_main, slot->memory + SLOT_GUARD + SLOT_STACK, flags, &slot->order, &ret->pidfd, NULL,
                    &report->tid);
        if (pid < 0) {
                pid = -errno;
                __atomic_store_n(&report->tid, 0, __ATOMIC_RELEASE);
                return err_raise(pid);
        }
        while (slot->order.shared_fds_up_to >= 0 && report_tid(report) == CHILD_BORN)
                report_wait(report, CHILD_BORN, NULL);
        ret->pid = pid;
        return 0;
}

/* A copy of our memory, and of our descriptor table. The pipe's writing end is the child's alone, out of the way of
 * what it is to be given, so that the end shows its exec. */
static int clone_apart(struct slot *slot, struct launched *ret) {
        AUTO(fd_closep) int read_end = -EBADF, low = -EBADF, high = -EBADF;
        int ends[2], highest = 2;
        pid_t pid;

        for (size_t i = 0; i < slot->order.fd_count; i++)
                highest = MAX_OF(highest, slot->order.fds[i].to);
        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
                return err_raise(-errno);
        read_end = ends[0];
        low = ends[1];
        high = fcntl(low, F_DUPFD_CLOEXEC, highest + 1);
        if (high < 0)
                return err_raise(-errno);
        low = fd_close(low);
        slot->order.shared_fds_up_to = -1;
        __atomic_store_n(&slot->order.report->tid, CHILD_BORN, __ATOMIC_RELEASE);
        pid = clone(child_main, slot->memory + SLOT_GUARD + SLOT_STACK, CLONE_PIDFD | SIGCHLD, &slot->order,
                    &ret->pidfd);
        if (pid < 0) {
                pid = -errno;
                __atomic_store_n(&slot->order.report->tid, 0, __ATOMIC_RELEASE);
                return err_raise(pid);
        }
        slot->apart_fd = take_fd(read_end);
        ret->pid = pid;
        return 0;
}

/* A copy of our memory under valgrind, ours elsewhere; either way the child has its words when this returns. */
static int clone_vfork(struct slot *slot, struct launched *ret) {
        pid_t pid = clone(child_main, slot->memory + SLOT_GUARD + SLOT_STACK, CLONE_VM | CLONE_VFORK | SIGCHLD,
                          &slot->order);
        long pidfd;

        if (pid < 0)
                return err_raise(-errno);
        pidfd = RAWCALL_2(pidfd_open, pid, 0);
        if (pidfd < 0) {
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                /* Nobody will ask what it failed of, and until then its slot would be taken. */
                slot->order.report->stage = CHILD_STAGE_NONE;
                return err_raise((int)pidfd);
        }
        /* pidfd_open(2) says close-on-exec is always set. */
        ret->pidfd = (int)pidfd;
        ret->pid = pid;
        return 0;
}

static int clone_child(const struct launcher *launcher, struct slot *slot, struct launched *ret) {
        const struct plan_rare *rare = slot->order.plan->rare;

        if (launcher->mode != LAUNCH_BESIDE)
                return clone_vfork(slot, ret);
        return rare && rare->oom_score_adj[0] ? clone_apart(slot, ret) : clone_beside(slot, ret);
}

int launcher_start(struct launcher *launcher, const struct launch_request *request, struct launched *ret) {
        struct launched launched;
        struct slot *slot = NULL;
        sigset_t all, saved;
        int at, r;

        at = slot_take(launcher, &slot);
        if (at < 0)
                return at;
        r = slot_prepare(slot, request, launcher->share_table, launcher->pidfdid);
        if (r < 0)
                return r;
        /* Nothing is delivered to a child that still has our memory; it unblocks as the last thing before exec. */
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &saved);
        r = clone_child(launcher, slot, &launched);
        sigprocmask(SIG_SETMASK, &saved, NULL);
        if (r < 0)
                return r;
        slot->pid = launched.pid;
        slot->started = clock_monotonic();
        launched.slot = (unsigned)at;
        launched.generation = slot->generation;
        *ret = launched;
        return 0;
}

/* Generations are counted from 0, and never come that far. */
void launcher_disown(struct launched *launched) {
        launched->slot = 0;
        launched->generation = UINT_MAX;
}

bool launcher_failure(struct launcher *launcher, const struct launched *launched, struct launch_failure *ret) {
        struct child_report *report = &launcher->reports[launched->slot];

        /* Somebody else's by now: it was given away only because this one had exec'ed. Else to ask whether it is busy,
         * which it is not, closes the descriptor of a child apart: the next start may be long in coming. */
        if (launcher->slots[launched->slot].generation != launched->generation ||
            slot_is_busy(launcher, launched->slot) || !report_has_failure(report))
                return false;
        *ret = (struct launch_failure){.stage = report->stage, .error = report->error};
        report->stage = CHILD_STAGE_NONE;
        return true;
}

bool launcher_has_execed(struct launcher *launcher, const struct launched *launched) {
        return launcher->slots[launched->slot].generation != launched->generation ||
               slot_is_free(launcher, launched->slot);
}

bool launcher_is_idle(struct launcher *launcher) {
        for (size_t i = 0; i < SLOTS_MAX; i++)
                if (slot_is_busy(launcher, i))
                        return false;
        return true;
}
