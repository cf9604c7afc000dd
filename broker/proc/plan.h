/* How to start one service's program: everything that is known before there is a connection, made once at load. The
 * launcher's children read a plan while the parent goes on, so it may be changed or freed only after
 * launcher_is_idle(). */
#pragma once

#include "base/strlist.h"
#include "proc/caps.h"
#include "proc/creds.h"

#include <sched.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#define PLAN_UMASK_UNSET ((mode_t)-1)
#define PLAN_NICE_UNSET INT32_MIN
#define PLAN_OOM_TEXT_MAX 8

struct plan_rlimit {
        int resource;
        struct rlimit limit;
};

/* Words (arguments, environment entries) of which some have ${pid}, ${remote_addr} or ${remote_port} in them. */
struct plan_words {
        char **items; /* NULL-terminated vector; see owned */
        size_t count;
        size_t *dynamic; /* indices of those with placeholders */
        size_t dynamic_count;
        bool shared;          /* items itself is somebody else's, for the plan's whole life */
        struct strlist owned; /* the strings of items that are the plan's own; others are borrowed for its whole life */
};

/* What few plans have; there may be thousands without. */
struct plan_rare {
        char *command; /* what to execute; NULL: the first of argv */
        struct caps_plan caps;
        cpu_set_t *cpus;                       /* where it may run; NULL: where the broker may */
        char *root_dir;                        /* NULL: none */
        char oom_score_adj[PLAN_OOM_TEXT_MAX]; /* as the kernel wants it; "": unset */
};

struct launch_plan {
        char *path; /* of its file, inside root_dir; absolute, or relative to nothing. NULL: not found yet */
        struct plan_words argv;
        struct plan_words env;
        struct creds creds;
        struct plan_rlimit *rlimits;
        size_t rlimit_count;
        struct plan_rare *rare; /* NULL: none of them */
        mode_t umask;           /* PLAN_UMASK_UNSET */
        int32_t nice;           /* PLAN_NICE_UNSET */
        char *working_dir;      /* inside root_dir. NULL: / there, or the broker's own without */
        int death_signal;       /* sent to the program when the broker dies; 0: none */
        bool no_new_privileges;
        bool listen_pid; /* add LISTEN_PID, and LISTEN_PIDFDID where the kernel has it */
        bool new_session;
};

#define PLAN_NULL ((struct launch_plan){.umask = PLAN_UMASK_UNSET, .nice = PLAN_NICE_UNSET, .new_session = true})

void plan_deinit(struct launch_plan *plan);

/* Appends a copy of WORD; with DYNAMIC it is a template (base/template.h) that each start fills in. 0 or -ENOMEM. */
int plan_words_add(struct plan_words *words, const char *word, bool dynamic);

/* Appends WORD itself, which must outlive the plan and is taken as it is. Returns 0 or -ENOMEM. */
int plan_words_add_borrowed(struct plan_words *words, const char *word);

/* Makes ITEMS (COUNT of them, and a NULL) the words, without a copy: thousands of services share one environment. */
void plan_words_share(struct plan_words *words, char **items, size_t count);

/* Appends a resource limit. Returns 0 or -ENOMEM. */
int plan_add_rlimit(struct launch_plan *plan, int resource, const struct rlimit *limit);

/* Gives PLAN those, if it has none yet, all unset. Returns 0 or -ENOMEM. */
int plan_add_rare(struct launch_plan *plan);

/* The text of a value from -1000 to 1000 (proc(5), /proc/PID/oom_score_adj). */
void plan_format_oom_score_adj(int32_t value, char text[PLAN_OOM_TEXT_MAX]);

struct plan_search {
        const char *command;
        const char *path;     /* directories, as in PATH; NULL: the C library's default */
        const char *root_dir; /* where / is, for links too; NULL: where it is for us */
};

/* Finds the file to execute: the command itself where it has a slash, else the first executable of that name in PATH.
 * Returns 0 with *RET, which the caller frees and which counts from root_dir; -ENOENT; -ENOTDIR where root_dir
 * is none; or -EACCES where something is there that cannot be executed. */
int plan_find_program(const struct plan_search *search, char **ret);
