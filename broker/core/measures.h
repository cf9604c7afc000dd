/* What a service counts beyond struct service_counters: how long its programs take, and how they end. Allocated when
 * the first of its programs starts, since most of thousands of services may never see a client; nothing after that
 * allocates, or asks for the time. Outlives reloads. */
#pragma once

#include "base/histogram.h"
#include "handoff/answers.h"
#include "handoff/process.h"

enum outcome {
        OUTCOME_OK,            /* exit status 0 */
        OUTCOME_FAILED,        /* another one */
        OUTCOME_SIGNAL,        /* killed, but not by us */
        OUTCOME_STOPPED,       /* we told it to end */
        OUTCOME_OVERRAN,       /* max_runtime was over */
        OUTCOME_LAUNCH_FAILED, /* it never became the program */
        OUTCOME_N,
};

extern const char *const outcome_names[OUTCOME_N];

struct measures {
        struct histogram start_latency; /* of connections: from accept to a process that serves it */
        struct histogram duration;      /* of connections: from accept to their end */
        struct histogram ready_latency; /* of servers that say when they are ready: from their start to that */
        uint64_t connections[OUTCOME_N];
        uint64_t servers[OUTCOME_N];
        uint64_t restarts;       /* of servers, after restart_delay */
        struct answers *answers; /* owned; NULL before the first request */
};

/* NULL is fine; returns NULL. */
struct measures *measures_free(struct measures *measures);

/* Each allocates *MEASURES first where there are none; without memory nothing is counted. */

/* A program was started; CONNECTION is the one it serves, or NULL for a server. */
void measures_started(struct measures **measures, const struct process *process);

/* It has ended; CONNECTION still is what it served. */
void measures_ended(struct measures **measures, const struct process_end *end);

void measures_restarted(struct measures **measures);

/* A server has said that it is ready, LATENCY after its start. */
void measures_ready(struct measures **measures, usec_t latency);

/* A connection that no process served, relayed or the like, has ended. */
void measures_connection_ended(struct measures **measures, enum outcome outcome, usec_t duration);

/* A connection has come to a worker LATENCY after it was accepted; its end we do not see. */
void measures_connection_taken(struct measures **measures, usec_t latency);

/* A request is over. */
void measures_answered(struct measures **measures, const struct handoff_answered *answered);

/* How a program ended. */
enum outcome measures_outcome(const struct process_end *end);
