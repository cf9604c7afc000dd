/* The child's side of a start: from clone(2) to execve(2), in system calls alone. Internal to proc/. */
#pragma once

#include "proc/launch.h"
#include "proc/plan.h"

#include <stdint.h>

#define CHILD_FDS_MAX 1024   /* descriptors handed to one program */
#define CHILD_PATCHES_MAX 64 /* places that take the child's own pid */
#define CHILD_DIGITS 20      /* room left at each such place */

enum child_number {
        CHILD_PID,     /* getpid() in the child: its number in its own pid namespace */
        CHILD_PIDFDID, /* the inode number of its pidfd */
};

/* A gap of CHILD_DIGITS bytes at AT; the number goes to its start and what follows the gap moves up to it. */
struct child_patch {
        char *at;
        enum child_number number;
};

/* What the child writes for the parent: in memory that both share even where the rest is a copy. */
struct child_report {
        /* A futex. CHILD_BORN, then CHILD_APART once the child has a descriptor table of its own, then 0, set by the
         * kernel when it has exec'ed or died (CLONE_CHILD_CLEARTID). */
        uint32_t tid;
        enum child_stage stage; /* CHILD_STAGE_NONE: it has not failed */
        int error;              /* errno */
};

#define CHILD_BORN 1
#define CHILD_APART 2

struct child_order {
        const struct launch_plan *plan;
        char *const *argv;
        char *const *envp;
        int image; /* what it becomes instead of the plan's program, a descriptor in its place; -1: nothing */
        struct launch_fd *fds; /* the child's own copy: it moves sources about */
        size_t fd_count;
        int shared_fds_up_to; /* the table is the parent's: leave it with 0 to this one; -1: it is a copy already */
        struct child_patch *patches;
        size_t patch_count;
        struct child_report *report;
        pid_t parent;
};

/* Runs in the child; never returns. ORDER is a struct child_order. */
int child_main(void *order);
