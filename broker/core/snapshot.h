/* What a service is doing at this moment, in words and numbers for whoever shows it: `broker status` and D-Bus clients
 * by ctl/, and the log. What states, pauses and generations are is known here and not there. */
#pragma once

#include "base/buf.h"
#include "base/histogram.h"
#include "core/service.h"

struct snapshot_process {
        pid_t pid;
        usec_t since;           /* monotonic */
        const char *generation; /* "current"; "older": another one is to take its place, or has */
        const char *state;      /* "running"; or why it is being ended: "stopping", "overran" (max_runtime), "late"
                                 * (start_timeout), "silent" (watchdog), "idle" (idle_stop), "killed" */
        char peer[CONNECTION_PEER_MAX]; /* whom it serves; "" for a server */
};

/* Texts are never NULL. What is borrowed is valid until the loop goes on. */
struct service_snapshot {
        const char *name;        /* borrowed; NAME/2 and on of further workers */
        const char *service;     /* borrowed; NAME alone */
        const char *description; /* borrowed */
        unsigned worker;         /* from 1 */
        const char *state;
        usec_t since;            /* it has been in that state, monotonic */
        usec_t until;            /* when that is over, unless something happens before: a pause, a delay before a
                                  * restart, the time a server has for its start; monotonic, USEC_INFINITY: not known */
        struct buf reason;       /* why it is paused, or who has claimed it */
        const char *status_text; /* borrowed; what its server says of itself */
        struct strlist listen;   /* addresses, with the ports the kernel chose */
        struct strlist names;    /* of these sockets, in the same order */
        size_t process_count;
        pid_t main_pid;       /* of its server; 0: none */
        usec_t watchdog;      /* its server is to speak once in this time; USEC_INFINITY: it need not */
        size_t spares;        /* processes that wait for a connection, not among process_count */
        size_t stored;        /* descriptors that its servers have stored */
        uint32_t connections; /* that have a place now */
        struct service_counters counters;
        bool outdated;                         /* its server was started under an older definition, which it keeps */
        uint64_t refused;                      /* for whatever reason */
        const struct refusals *refusals;       /* borrowed; NULL where there were none */
        struct buf last_exit;                  /* of the process that ended last */
        const struct histogram *start_latency; /* borrowed; NULL where nothing was measured */
        const struct histogram *ready_latency; /* likewise */
        const struct histogram *duration;
        bool answers_requests;
        struct handoff_tally tally;         /* of workers, where it does */
        const struct answers *answers;      /* borrowed; NULL where there were none */
        struct snapshot_process *processes; /* process_count of them, if they were asked for */
};

/* Fills in RET, with its processes or without. It is to be freed in any case. False when memory ran out. */
bool service_snapshot_take(const struct service *service, bool with_processes, struct service_snapshot *ret);
/* What the workers of a service that answers requests are doing, of all generations. */
void service_tally(const struct service *service, struct handoff_tally *ret);

void service_snapshot_deinit(struct service_snapshot *snapshot);
