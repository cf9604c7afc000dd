/* One running program, watched by its pidfd: its end, its limits in time, and how it is told to stop. Objects are used
 * again, with their event sources, so that a connection allocates nothing. */
#pragma once

#include "base/list.h"
#include "handoff/pipes.h"
#include "handoff/remains.h"
#include "proc/exitinfo.h"
#include "proc/kinship.h"
#include "proc/launch.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct connection;
struct datagrams;
struct process;

/* What all processes share; owned by whoever runs the loop. */
struct process_host {
        sd_event *event;           /* borrowed */
        struct launcher *launcher; /* borrowed */
        int null_fd;               /* /dev/null, borrowed */
        struct list running;       /* all that run, by host_link */
        struct list idle;          /* process objects waiting to be used again */
        size_t idle_count;
        struct pipes pipes;          /* for whoever relays bytes */
        struct datagrams *datagrams; /* for whoever answers datagrams; NULL before the first */
        struct remains remains;      /* of groups whose leader has ended */
        int spare_image;             /* what spares run while they wait; -EBADF before the first */
};

void process_host_init(struct process_host *host, sd_event *event, struct launcher *launcher, int null_fd);
void process_host_deinit(struct process_host *host);

/* The running process with this pid, or NULL: then it is an orphan that has become our child. */
struct process *process_host_find(struct process_host *host, pid_t pid);

struct process_policy {
        int stop_signal;
        bool process_only;        /* signals are for the process alone, not for its group */
        bool ends_group;          /* when it ends by itself, what is left of its group is told to end */
        usec_t stop_grace_period; /* from stop_signal to SIGKILL */
        usec_t max_runtime;       /* USEC_INFINITY: none */
};

enum process_reason {
        PROCESS_ENDED,   /* by itself */
        PROCESS_STOPPED, /* we told it to */
        PROCESS_OVERRAN, /* max_runtime was over */
        PROCESS_LATE,    /* it was not ready within start_timeout */
        PROCESS_SILENT,  /* it did not say in time that it lives: watchdog */
        PROCESS_IDLE,    /* nobody used it for idle_stop */
        PROCESS_BUSY,    /* it did not answer a request within busy_timeout */
        PROCESS_CHATTY,  /* it wrote what nobody had asked for, or more than max_size */
        PROCESS_MUTE,    /* it closed what it was to read requests from, or to answer on */
        PROCESS_REASON_N,
};

struct process {
        struct list link;      /* in its owner's list, or the host's idle ones */
        struct list host_link; /* among the host's running ones */
        struct process_host *host;
        struct launched launched;      /* of its main process, if that is another one than we started, too */
        pid_t group;                   /* of the process we started: its group, and its session */
        int group_pidfd;               /* of that, where its main process is another one; else -EBADF */
        int spare_link;                /* to what was a spare (proc/spare.h), until it is over; else -EBADF */
        struct connection *connection; /* the one it serves; NULL for a server. Not touched here */
        struct process_policy policy;
        usec_t started_at; /* monotonic */
        enum process_reason reason;
        bool killed;                  /* the grace period was not enough */
        sd_event_source *exit_source; /* disabled while idle; that, or NULL, where it cannot be watched */
        int watch_error;              /* why it cannot: negative errno; else 0 */
        sd_event_source *timer;       /* max_runtime, or the grace period; NULL until first needed */
        void (*on_ending)(void *userdata, struct process *process);
        void (*on_end)(void *userdata, struct process *process);
        void *userdata;
        struct process_end *end; /* valid inside on_end */
        bool launch_failed;      /* noted by process_note_failure() */
        struct launch_failure failure;
};

struct process_end {
        const struct process *process; /* for those who know it by its address; it is used again afterwards */
        pid_t pid;
        usec_t started_at;
        usec_t ended_at;
        struct exitinfo exit;
        enum process_reason reason;
        bool killed;
        bool launch_failed; /* it never became the program; failure says why */
        struct launch_failure failure;
        struct connection *connection;
};

struct process_order {
        const struct launch_request *request;
        struct process_policy policy;
        /* It has ended, but is there still as far as the kernel is concerned, so that others can be asked about it; it
         * may get another main process here, and go on. */
        void (*on_ending)(void *userdata, struct process *process);
        void (*on_end)(void *userdata, struct process *process); /* called once; the object is idle afterwards */
        void *userdata;
};

/* Starts a program and watches it. Returns 0, or a negative errno of launcher_start(). */
int process_start(struct process_host *host, const struct process_order *order, struct process **ret);

/* For whoever reaps what has ended: PROCESS has. Where it could not be watched by its pidfd, for want of memory or of
 * epoll watches, that is dealt with here, as if it had been; PROCESS may be no more then. */
void process_end_unwatched(struct process *process);

/* A process that was kept ready serves CONNECTION from now on, as if ORDER had started it just now. */
void process_assign(struct process *process, const struct process_order *order, struct connection *connection);

/* Watches a process again that was started before the broker was upgraded. LIKE says what is to be known about it;
 * its pidfd and its connection belong to the new object, on success. TIMER_AT: when its timer is due; USEC_INFINITY
 * where it has none. Returns 0 or a negative errno; the process itself is not touched. */
int process_restore(struct process_host *host, const struct process *like, usec_t timer_at, struct process **ret);

/* Notes why it never became its program, if so, since only this broker process can know. It has not been reaped yet. */
void process_note_failure(struct process *process);

/* Sends the stop signal, once, to its process group, or to it alone as its policy says; SIGKILL follows when the grace
 * period is over. */
void process_stop(struct process *process, enum process_reason reason);

/* Whether it runs, as far as the kernel knows, and was not told to end. */
bool process_goes_on(const struct process *process);

/* Sends SIGNAL likewise. */
void process_kill(struct process *process, int signal);

/* Says that PID is its main process from now on: its end is the program's. The caller has found that PID belongs to it.
 * Signals go to its group, the new main process, and the group that one leads. The old main process is left to itself,
 * and to whoever reaps orphans. How the new one ends can be known only where it has become our child; else its exitinfo
 * is unknown. OWN_PIDFD is consumed. Returns 0 or a negative errno, when nothing has changed. */
int process_adopt_main(struct process *process, pid_t pid, int own_pidfd);

/* Who belongs to it, now: to be asked each time. */
struct kinship_family process_family(const struct process *process);

/* What runs out next, max_runtime or the grace period, does so after that long from now at the earliest (sd_notify(3),
 * EXTEND_TIMEOUT_USEC). */
void process_extend_timeout(struct process *process, usec_t after);

/* When it gets SIGKILL if it has not ended by then, monotonic. 0: it has got it, or was not told to end;
 * USEC_INFINITY: never. */
usec_t process_kill_time(const struct process *process);

/* Stops watching it and frees the object; the program goes on. */
void process_abandon(struct process *process);
