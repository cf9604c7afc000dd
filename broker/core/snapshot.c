#include "core/snapshot.h"

#include "base/err.h"
#include "core/claim.h"
#include "core/fdstore.h"
#include "core/health.h"
#include "core/manager.h"
#include "core/notifier.h"
#include "core/servicefsm.h"
#include "core/shortage.h"

static const struct process *server_of(const struct program *program) {
        if (!program || !program->handoff->ops->start_server || list_is_empty(&program->handoff->processes))
                return NULL;
        return list_first(&program->handoff->processes, struct process, link);
}

static bool goes_on(const struct process *server) {
        return server && server->reason == PROCESS_ENDED;
}

/* While it is being replaced, and when that has failed, the older one is whom clients meet. */
static const struct program *find_serving(const struct service *service) {
        const struct program *program, *found = service->program;

        if (service->state != SERVICE_REPLACING && goes_on(server_of(found)))
                return found;
        list_for_each(program, &service->retired, link)
                if (goes_on(server_of(program)))
                        found = program;
        return found;
}

static void describe_server(const struct service *service, struct service_snapshot *snapshot) {
        const struct program *program = find_serving(service);
        const struct process *server = server_of(program);

        if (!server)
                return;
        snapshot->main_pid = server->launched.pid;
        if (!program->notifier)
                return;
        snapshot->watchdog = program->notifier->watchdog;
        if (program->notifier->status)
                snapshot->status_text = program->notifier->status;
}

static usec_t until_of(const struct service *service) {
        uint64_t at;

        switch (service->state) {
        case SERVICE_STARTING:
        case SERVICE_REPLACING:
                return service->deadline;
        case SERVICE_PAUSED:
        case SERVICE_BACKOFF:
                return service->timer && sd_event_source_get_time(service->timer, &at) >= 0 ? at : USEC_INFINITY;
        default:
                return USEC_INFINITY;
        }
}

static void explain_pause(const struct service *service, struct buf *out) {
        switch (service->pause) {
        case PAUSE_NONE:
        case SERVICE_PAUSE_N:
                return;
        case PAUSE_SHORTAGE:
                if (shortage_is(service->pause_error))
                        buf_printf(out, "%s was reached", shortage_text(service->pause_error));
                else
                        buf_printf(out, "its socket cannot be accepted from: %s", err_text(service->pause_error));
                return;
        case PAUSE_TRIGGER:
                buf_add_string(out, "trigger_limit: its server ends without taking what has arrived");
                return;
        case PAUSE_PROGRAM:
                buf_add_string(out, "its program cannot be started");
                if (service->pause_stage != CHILD_STAGE_NONE)
                        buf_printf(out, ": %s", child_stage_names[service->pause_stage]);
                if (service->pause_error != 0)
                        buf_printf(out, ": %s", err_text(service->pause_error));
                return;
        case PAUSE_RATE:
                buf_add_string(out, "cps: connections come too fast");
                return;
        case PAUSE_LOAD:
                buf_add_string(out, "max_load: the machine is busy");
                return;
        }
}

static bool add_addresses(const struct service *service, struct service_snapshot *snapshot) {
        for (size_t i = 0; i < service->port_count; i++) {
                AUTO(buf_deinit) struct buf address = BUF_NULL;

                port_format_bound(service->ports[i], &address);
                if (buf_failed(&address) || strlist_add(&snapshot->listen, buf_text(&address)) < 0 ||
                    strlist_add(&snapshot->names, service->ports[i]->name ? service->ports[i]->name : "") < 0)
                        return false;
        }
        return true;
}

static const char *process_state(const struct process *process) {
        static const char *const names[PROCESS_REASON_N] = {
                [PROCESS_ENDED] = "running", [PROCESS_STOPPED] = "stopping", [PROCESS_OVERRAN] = "overran",
                [PROCESS_LATE] = "late",     [PROCESS_SILENT] = "silent",    [PROCESS_IDLE] = "idle",
                [PROCESS_BUSY] = "busy",     [PROCESS_CHATTY] = "chatty",    [PROCESS_MUTE] = "mute",
        };

        return process->killed ? "killed" : names[process->reason];
}

static void add_processes(const struct program *program, const char *generation, struct service_snapshot *snapshot,
                          size_t *count) {
        const struct process *process;

        list_for_each(process, &program->handoff->processes, link) {
                struct snapshot_process *item = &snapshot->processes[*count];
                struct handoff_worker worker;

                if (*count == snapshot->process_count)
                        return;
                *item = (struct snapshot_process){
                        .pid = process->launched.pid,
                        .since = process->started_at,
                        .generation = generation,
                        .state = process_state(process),
                };
                if (process->connection)
                        connection_format_peer(process->connection, item->peer);
                handoff_describe(program->handoff, process, &worker);
                if (worker.state && process->reason == PROCESS_ENDED)
                        item->state = worker.state;
                (*count)++;
        }
}

static bool add_all_processes(const struct service *service, struct service_snapshot *snapshot) {
        const struct program *program;
        size_t count = 0;

        snapshot->processes = calloc(snapshot->process_count + 1, sizeof(*snapshot->processes));
        if (!snapshot->processes)
                return false;
        if (service->program)
                add_processes(service->program, "current", snapshot, &count);
        list_for_each(program, &service->retired, link)
                add_processes(program, "older", snapshot, &count);
        snapshot->process_count = count;
        return true;
}

static void describe_last_exit(const struct service *service, struct buf *out) {
        char text[EXITINFO_TEXT_MAX];

        /* Whoever needs no process has none that ends. */
        if (service->counters.ended == 0 || service->last_exit.code == 0)
                return;
        exitinfo_format(&service->last_exit, text);
        buf_printf(out, "%s%s", text, service->last_launch_failed ? " (not executed)" : "");
}

static void explain_state(const struct service *service, struct buf *out) {
        if (service->state == SERVICE_CLAIMED && service->claim)
                buf_printf(out, "claimed by process %lld of user %lld", (long long)service->claim->pid,
                           (long long)service->claim->uid);
        else if (service->pause != PAUSE_NONE || !health_is_failing(service, out))
                explain_pause(service, out);
}

void service_tally(const struct service *service, struct handoff_tally *ret) {
        const struct program *program;

        *ret = (struct handoff_tally){0};
        if (service->program && service->program->handoff->ops->tally)
                service->program->handoff->ops->tally(service->program->handoff, ret);
        list_for_each(program, &service->retired, link)
                if (program->handoff->ops->tally)
                        program->handoff->ops->tally(program->handoff, ret);
}

bool service_snapshot_take(const struct service *service, bool with_processes, struct service_snapshot *ret) {
        *ret = (struct service_snapshot){
                .name = service->name,
                .service = service->def->name,
                .description = service->def->description ? service->def->description : "",
                .worker = service->worker,
                .state = service_state_names[service->state],
                .since = service->since,
                .until = until_of(service),
                .status_text = "",
                .watchdog = USEC_INFINITY,
                .stored = service->fdstore ? service->fdstore->count : 0,
                .process_count = service_process_count(service),
                .spares = service->program ? service->program->handoff->spare_count : 0,
                .connections = service->admission.limits.taken,
                .counters = service->counters,
                .outdated = service->outdated,
                .refusals = service->refusals,
                .start_latency = service->measures ? &service->measures->start_latency : NULL,
                .ready_latency = service->measures ? &service->measures->ready_latency : NULL,
                .duration = service->measures ? &service->measures->duration : NULL,
        };
        for (int i = 0; i < REFUSAL_N; i++)
                ret->refused += refusals_count(service->refusals, (enum refusal)i);
        describe_server(service, ret);
        ret->answers_requests = service->def->request != NULL;
        ret->answers = service->measures ? service->measures->answers : NULL;
        service_tally(service, &ret->tally);
        explain_state(service, &ret->reason);
        describe_last_exit(service, &ret->last_exit);
        return !buf_failed(&ret->reason) && !buf_failed(&ret->last_exit) && add_addresses(service, ret) &&
               (!with_processes || add_all_processes(service, ret));
}

void service_snapshot_deinit(struct service_snapshot *snapshot) {
        buf_deinit(&snapshot->reason);
        buf_deinit(&snapshot->last_exit);
        strlist_deinit(&snapshot->listen);
        strlist_deinit(&snapshot->names);
        free(snapshot->processes);
}
