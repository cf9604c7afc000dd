/* What is said on stderr of connections and of the processes that serve them. */
#pragma once

#include "activate/program.h"
#include "base/rate.h"
#include "net/connection.h"
#include "proc/launch.h"

#include <signal.h>

struct record {
        const struct options *options;
        const struct program *program;
        struct rate failures; /* said so far */
};

/* Somebody may connect as often as he likes, and workers may fail for ever: a failure is not said each time. */
bool record_may_say(struct record *record);

/* The program cannot be executed: ERROR, a negative errno. */
void record_failure(struct record *record, int error);

/* PID serves CONNECTION. */
void record_start(const struct record *record, struct connection *connection, pid_t pid);

/* A process has not become the program. */
void record_launch_failure(struct record *record, const struct launch_failure *failure);

/* One has ended that did. */
void record_end(const struct record *record, const siginfo_t *info);

/* Likewise a worker, by itself; HAS_FAILED: whoever waits for it should know. */
void record_worker_end(struct record *record, const siginfo_t *info, bool has_failed);
