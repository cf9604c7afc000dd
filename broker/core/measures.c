#include "core/measures.h"

#include "net/connection.h"

const char *const outcome_names[OUTCOME_N] = {
        [OUTCOME_OK] = "ok",           [OUTCOME_FAILED] = "failed",   [OUTCOME_SIGNAL] = "signal",
        [OUTCOME_STOPPED] = "stopped", [OUTCOME_OVERRAN] = "overran", [OUTCOME_LAUNCH_FAILED] = "launch_failed",
};

static struct measures *have(struct measures **measures) {
        if (!*measures)
                *measures = calloc(1, sizeof(**measures));
        return *measures;
}

/* accepted_at is the time of an iteration of the loop, and so the earlier one; a sum that wraps would never be right
 * again. */
static usec_t since(usec_t from, usec_t to) {
        return to > from ? to - from : 0;
}

enum outcome measures_outcome(const struct process_end *end) {
        if (end->launch_failed)
                return OUTCOME_LAUNCH_FAILED;
        if (end->reason == PROCESS_OVERRAN)
                return OUTCOME_OVERRAN;
        if (end->reason == PROCESS_STOPPED)
                return OUTCOME_STOPPED;
        if (exitinfo_is_success(&end->exit))
                return OUTCOME_OK;
        return end->exit.code == CLD_EXITED ? OUTCOME_FAILED : OUTCOME_SIGNAL;
}

void measures_started(struct measures **measures, const struct process *process) {
        if (have(measures) && process->connection)
                histogram_add(&(*measures)->start_latency,
                              since(process->connection->accepted_at, process->started_at));
}

void measures_connection_ended(struct measures **measures, enum outcome outcome, usec_t duration) {
        if (!have(measures))
                return;
        (*measures)->connections[outcome]++;
        histogram_add(&(*measures)->duration, duration);
}

void measures_connection_taken(struct measures **measures, usec_t latency) {
        if (have(measures))
                histogram_add(&(*measures)->start_latency, latency);
}

void measures_ended(struct measures **measures, const struct process_end *end) {
        enum outcome outcome = measures_outcome(end);

        /* A connection without a program is among those that the service counts as failed. */
        if (end->connection && end->launch_failed)
                return;
        if (end->connection)
                measures_connection_ended(measures, outcome, since(end->connection->accepted_at, end->ended_at));
        else if (have(measures))
                (*measures)->servers[outcome]++;
}

void measures_restarted(struct measures **measures) {
        if (have(measures))
                (*measures)->restarts++;
}

void measures_ready(struct measures **measures, usec_t latency) {
        if (have(measures))
                histogram_add(&(*measures)->ready_latency, latency);
}

void measures_answered(struct measures **measures, const struct handoff_answered *answered) {
        if (!have(measures))
                return;
        if (!(*measures)->answers)
                (*measures)->answers = calloc(1, sizeof(struct answers));
        if ((*measures)->answers)
                answers_add((*measures)->answers, answered);
}

struct measures *measures_free(struct measures *measures) {
        if (measures)
                free(measures->answers);
        free(measures);
        return NULL;
}
