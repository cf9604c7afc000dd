/* One running program, watched by its pidfd: its end, its limits in time, and how it is told to stop. Objects are used
 * again, with their event sources, so that a connection allocates nothing. */
#pragma once

#include "base/list.h"
#include "proc/exitinfo.h"
#include "proc/launch.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct connection;
struct process;

/* What all processes share; owned by whoever runs the loop. */
struct process_host {
        sd_event *event;           /* borrowed */
        struct launcher *launcher; /* borrowed */
        int null_fd;               /* /dev/null, borrowed */
        struct list running;       /* all that run, by host_link */
        struct list idle;          /* process objects waiting to be used again */
        size_t idle_count;
};

void process_host_init(struct process_host *host, sd_event *event, struct launcher *launcher, int null_fd);
void process_host_deinit(struct process_host *host);

/* The running process with this pid, or NULL: then it is an orphan that has become our child. */
struct process *process_host_find(struct process_host *host, pid_t pid);

struct process_policy {
        int stop_signal;
        bool process_only;        /* signals are for the process alone, not for its group */
        usec_t stop_grace_period; /* from stop_signal to SIGKILL */
        usec_t max_runtime;       /* USEC_INFINITY: none */
};

enum process_reason {
        PROCESS_ENDED,   /* by itself */
        PROCESS_STOPPED, /* we told it to */
        PROCESS_OVERRAN, /* max_runtime was over */
};

struct process {
        struct list link;      /* in its owner's list, or the host's idle ones */
        struct list host_link; /* among the host's running ones */
        struct process_host *host;
        struct launched launched;
        struct connection *connection; /* the one it serves; NULL for a server. Not touched here */
        struct process_policy policy;
        usec_t started_at; /* monotonic */
        enum process_reason reason;
        bool killed;                  /* the grace period was not enough */
        sd_event_source *exit_source; /* disabled while idle */
        sd_event_source *timer;       /* max_runtime, or the grace period; NULL until first needed */
        void (*on_end)(void *userdata, struct process *process);
        void *userdata;
        struct process_end *end; /* valid inside on_end */
};

struct process_end {
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
        void (*on_end)(void *userdata, struct process *process); /* called once; the object is idle afterwards */
        void *userdata;
};

/* Starts a program and watches it. Returns 0, or a negative errno of launcher_start(). */
int process_start(struct process_host *host, const struct process_order *order, struct process **ret);

/* Sends the stop signal, once, to its process group, or to it alone as its policy says; SIGKILL follows when the grace
 * period is over. */
void process_stop(struct process *process, enum process_reason reason);

/* Sends SIGNAL likewise. */
void process_kill(struct process *process, int signal);

/* Stops watching it and frees the object; the program goes on. */
void process_abandon(struct process *process);
