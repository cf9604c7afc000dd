/* One generation of a service's program: how to start it, where its output goes, and the handoff that owns its
 * processes. A reload makes a new one; the old one stays with its service until its last process has ended. */
#pragma once

#include "core/notifier.h"
#include "core/output.h"
#include "core/planmake.h"
#include "handoff/handoff.h"

struct service;

struct program {
        struct list link;        /* in its service's list of retired ones */
        struct service *service; /* borrowed */
        struct launch_plan plan;
        struct output out;
        struct output err;
        struct handoff *handoff;
        int *listeners;
        struct program_relay *relay;     /* of a proxy; NULL for others */
        struct handoff_builtin *builtin; /* likewise of a built-in */
        struct handoff_pool *pool;       /* likewise of workers */
        struct program_answers *answers; /* likewise of workers that answer requests */
        struct handoff_store *store;     /* NULL: fd_store is 0 */
        struct notifier *notifier;       /* NULL: its servers have nothing to say to us */
};

/* What a proxy's relays go by; its targets are copied, since definitions come and go. */
struct program_relay {
        struct handoff_relay setup;
        struct addr targets[];
};

/* What workers that answer requests go by; the texts are copied, since definitions come and go. */
struct program_answers {
        struct handoff_request setup;
        char texts[];
};

struct program_request {
        struct planmake_request plan;
        struct service *service;
        struct process_host *host;
        const struct handoff_events *events; /* userdata is the program */
        const int *listeners;                /* as many as plan.fd_count; for wait: yes */
        size_t listener_count;
};

/* Makes everything ready that a start needs. What is wrong with the definition goes to DIAG: then -EINVAL. With
 * plan.kept, its outputs are left to output_adopt(). */
int program_new(const struct program_request *request, struct program **ret, struct diag *diag);

/* Makes one that starts nothing any more: a home for processes that were started before the broker was upgraded. */
struct program_retired {
        enum handoff_type type;
        enum handoff_builtin_kind builtin; /* of HANDOFF_TYPE_BUILTIN */
};
int program_new_retired(const struct program_request *request, const struct program_retired *what,
                        struct program **ret);

/* Ends it, once no process is left: closes all it has, and frees it, or leaves that to program_sweep() where a child
 * on its way to exec may still read its plan. NULL is fine; returns NULL. */
struct program *program_free(struct program *program);

/* Frees those of BURIED that nobody can be reading any more. Returns whether some are left. */
bool program_sweep(struct list *buried, struct launcher *launcher);

/* Before a start: finds the program's file if it was missing, opens the pipes to the log. Returns 0; -ENOENT,
 * -ENOTDIR or -EACCES where there is nothing to execute; or another negative errno, a shortage. */
int program_prepare(struct program *program);

/* Takes over from DEF how programs are stopped, and how long those started from now on may run. */
void program_set_policy(struct program *program, const struct service_def *def);

/* Other texts and times for one whose workers answer requests, as they were before the broker was upgraded. Returns 0
 * or -ENOMEM. */
int program_set_answers(struct program *program, const struct request_def *request, usec_t connection_timeout);
