#include "core/record.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/manager.h"

void record_start(const struct program *program, const struct process *process) {
        char peer[CONNECTION_PEER_MAX], proxy[CONNECTION_PEER_MAX];
        const struct connection *connection = process->connection;

        if (!log_is_enabled(LOG_LEVEL_INFO))
                return;
        log_event(LOG_LEVEL_INFO,
                  LOG_FIELDS(LOG_STRING("service", program->service->name),
                             LOG_STRING("peer", connection ? connection_format_peer(connection, peer) : NULL),
                             LOG_STRING("proxy", connection ? connection_format_proxy(connection, proxy) : NULL),
                             LOG_INTEGER("pid", process->launched.pid)),
                  connection      ? "connection accepted"
                  : program->pool ? "worker started"
                                  : "server started");
}

void record_end(const struct program *program, const struct process_end *end) {
        static const char *const reasons[PROCESS_REASON_N] = {
                [PROCESS_ENDED] = NULL,
                [PROCESS_STOPPED] = "stopped",
                [PROCESS_OVERRAN] = "max_runtime",
                [PROCESS_LATE] = "start_timeout",
                [PROCESS_SILENT] = "watchdog",
                [PROCESS_IDLE] = "idle_stop",
                [PROCESS_BUSY] = "busy_timeout",
                [PROCESS_MUTE] = "closed its stdin or stdout",
                [PROCESS_CHATTY] = "wrote what nobody had asked for, or too much",
        };
        char peer[CONNECTION_PEER_MAX], status[EXITINFO_TEXT_MAX];
        bool misbehaved = end->reason == PROCESS_BUSY || end->reason == PROCESS_CHATTY || end->reason == PROCESS_MUTE;
        bool unexpected = end->launch_failed || misbehaved ||
                          (!end->connection && end->reason == PROCESS_ENDED && !exitinfo_is_success(&end->exit));
        enum log_level level = unexpected ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO;

        if (!log_is_enabled(level))
                return;
        exitinfo_format(&end->exit, status);
        log_event(level,
                  LOG_FIELDS(LOG_STRING("service", program->service->name),
                             LOG_STRING("peer", end->connection ? connection_format_peer(end->connection, peer) : NULL),
                             LOG_INTEGER("pid", end->pid), LOG_DURATION("duration", end->ended_at - end->started_at),
                             LOG_STRING("status", status), LOG_STRING("reason", reasons[end->reason]),
                             LOG_STRING("killed", end->killed ? "after stop_grace_period" : NULL),
                             LOG_STRING("failed", end->launch_failed ? child_stage_names[end->failure.stage] : NULL),
                             LOG_STRING("error", end->launch_failed ? err_text(end->failure.error) : NULL)),
                  end->connection ? "connection ended"
                  : program->pool ? "worker ended"
                                  : "server ended");
}

/* A target that is down is one event, however many clients there are. */
static enum log_level finish_level(const struct service *service, const struct handoff_finish *finish) {
        if (finish->outcome != HANDOFF_TARGET_FAILED && finish->outcome != HANDOFF_UNANSWERED)
                return LOG_LEVEL_INFO;
        return manager_may_tell_of_clients(service->manager) ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG;
}

static const char *why(const struct handoff_finish *finish) {
        return finish->outcome == HANDOFF_UNANSWERED ? answers_why(finish->error) : err_text(finish->error);
}

static void record_other(const struct service *service, const struct connection *connection,
                         const struct handoff_finish *finish) {
        static const char *const reasons[HANDOFF_OUTCOME_N] = {
                [HANDOFF_RESET] = "reset",
                [HANDOFF_TIMED_OUT] = "connection_timeout",
                [HANDOFF_STOPPED] = "stopped",
                [HANDOFF_CLIENT_LEFT] = "the client left before the target had taken it",
                [HANDOFF_TARGET_FAILED] = "the target has not taken it",
                [HANDOFF_UNANSWERED] = "a request was not answered",
                [HANDOFF_NOT_WAITED] = "the client left before its answer",
        };
        enum log_level level = finish_level(service, finish);
        char peer[CONNECTION_PEER_MAX], proxy[CONNECTION_PEER_MAX];

        if (!log_is_enabled(level))
                return;
        log_event(level,
                  LOG_FIELDS(LOG_STRING("service", service->name),
                             LOG_STRING("peer", connection_format_peer(connection, peer)),
                             LOG_STRING("proxy", connection_format_proxy(connection, proxy)),
                             LOG_DURATION("duration", clock_monotonic() - connection->accepted_at),
                             LOG_INTEGER("from_client", (int64_t)finish->from_client),
                             LOG_INTEGER("from_target", (int64_t)finish->from_target),
                             LOG_STRING("reason", reasons[finish->outcome]),
                             LOG_STRING("error", finish->error < 0 ? why(finish) : NULL)),
                  "connection ended");
}

/* To a worker: it is the end of what we see. */
static void record_passed(const struct service *service, const struct connection *connection) {
        char peer[CONNECTION_PEER_MAX], proxy[CONNECTION_PEER_MAX];

        if (!log_is_enabled(LOG_LEVEL_INFO))
                return;
        log_event(LOG_LEVEL_INFO,
                  LOG_FIELDS(LOG_STRING("service", service->name),
                             LOG_STRING("peer", connection_format_peer(connection, peer)),
                             LOG_STRING("proxy", connection_format_proxy(connection, proxy)),
                             LOG_DURATION("waited", clock_monotonic() - connection->accepted_at)),
                  "connection passed");
}

void record_finish(const struct service *service, const struct connection *connection,
                   const struct handoff_finish *finish) {
        if (finish->outcome == HANDOFF_TAKEN)
                record_passed(service, connection);
        else
                record_other(service, connection, finish);
}
