#include "activate/record.h"

#include "activate/say.h"
#include "base/clock.h"
#include "base/err.h"

#include <stdio.h>

bool record_may_say(struct record *record) {
        static const struct rate_limit limit = {.burst = 5, .interval = 10 * USEC_PER_SEC};

        return rate_take(&record->failures, &limit, clock_monotonic());
}

void record_failure(struct record *record, int error) {
        if (record_may_say(record))
                program_say_failure(record->program, error);
}

void record_start(const struct record *record, struct connection *connection, pid_t pid) {
        AUTO(buf_deinit) struct buf words = BUF_NULL, local = BUF_NULL;
        char peer[CONNECTION_PEER_MAX];

        connection_format_peer(connection, peer);
        if (!record->options->systemd) {
                say_note("connection from %s: pid %d", peer, pid);
                return;
        }
        if (connection->peer.sa.sa_family == AF_UNIX)
                snprintf(peer, sizeof(peer), "PID %d/UID %u", connection->cred.pid, connection->cred.uid);
        if (connection_find_local(connection) == 0)
                addr_format_sockaddr(&connection->local, connection->local_size, &local);
        program_format(record->program, &words);
        say_note("Connection from %s to %s", peer, buf_text(&local));
        say_note("Spawned %s as PID %d.", buf_text(&words), pid);
}

void record_launch_failure(struct record *record, const struct launch_failure *failure) {
        if (failure->stage == CHILD_STAGE_EXEC)
                record_failure(record, -failure->error);
        else if (failure->stage != CHILD_STAGE_DEATH_SIGNAL)
                say_error("cannot start '%s': %s: %s", record->options->command[0], child_stage_names[failure->stage],
                          err_text(failure->error));
}

static const char *how(const siginfo_t *info) {
        return info->si_code == CLD_EXITED ? "status" : "signal";
}

void record_end(const struct record *record, const siginfo_t *info) {
        if (record->options->verbose && !record->options->systemd)
                say_note("pid %d ended: %s %d", info->si_pid, how(info), info->si_status);
}

void record_worker_end(struct record *record, const siginfo_t *info, bool has_failed) {
        if (has_failed && record_may_say(record))
                say_error("worker %d has ended (%s %d), and is replaced", info->si_pid, how(info), info->si_status);
        record_end(record, info);
}
