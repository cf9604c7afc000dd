#include "core/service.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/access.h"
#include "core/arrival.h"
#include "core/claim.h"
#include "core/command.h"
#include "core/datagram.h"
#include "core/fdstore.h"
#include "core/health.h"
#include "core/idle.h"
#include "core/manager.h"
#include "core/record.h"
#include "core/servicefsm.h"
#include "core/shortage.h"
#include "core/sparelog.h"
#include "core/tcpmux.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int service_new(struct manager *manager, const char *name, struct service_def *def, struct service **ret) {
        struct service *service = calloc(1, sizeof(*service));

        if (!service)
                return err_raise(-ENOMEM);
        service->name = strdup(name);
        if (!service->name) {
                free(service);
                return err_raise(-ENOMEM);
        }
        list_init(&service->link);
        list_init(&service->short_link);
        list_init(&service->retired);
        list_init(&service->held);
        limits_init(&service->admission.limits);
        service->manager = manager;
        service->worker = 1;
        service->def = def;
        service->state = SERVICE_STOPPED;
        service->since = clock_monotonic();
        *ret = service;
        return 0;
}

void service_close_ports(struct service *service) {
        claim_forget(service);
        for (size_t i = 0; i < service->port_count; i++)
                port_close(service->ports[i]);
        free(service->ports);
        service->ports = NULL;
        service->port_count = 0;
}

void service_abandon(struct service *service) {
        struct program *program;

        if (service->program)
                handoff_abandon(service->program->handoff);
        list_for_each(program, &service->retired, link) {
                handoff_abandon(program->handoff);
                program_free(program);
        }
}

void service_prepare_ports(struct service *service) {
        for (size_t i = 0; i < service->port_count && service_accepts(service); i++)
                fd_set_nonblock(service->ports[i]->fd, true);
}

struct service *service_free(struct service *service) {
        if (!service)
                return NULL;
        assert(list_is_empty(&service->retired));
        list_remove(&service->link);
        list_remove(&service->short_link);
        service->refusals = refusals_free(service->refusals);
        service->measures = measures_free(service->measures);
        service->timer = sd_event_source_disable_unref(service->timer);
        arrival_drop_all(service);
        service->program = program_free(service->program);
        service_close_ports(service);
        idle_end(service);
        service->fdstore = fdstore_free(service->fdstore);
        limits_deinit(&service->admission.limits);
        service->admission.access = access_free(service->admission.access);
        service_def_free(service->def);
        free(service->name);
        free(service);
        return NULL;
}

bool service_accepts(const struct service *service) {
        return !service->def->wait;
}

bool service_is_full(const struct service *service) {
        if (!service_accepts(service))
                return false;
        return (service->def->when_full == WHEN_FULL_WAIT && limits_is_full(&service->admission.limits)) ||
               (service->program && handoff_is_full(service->program->handoff));
}

void service_on_traffic(struct service *service) {
        if (service->idle)
                idle_on_arrival(service);
        else
                servicefsm_post(service, SERVICE_EV_TRAFFIC);
}

int service_watch_ports(struct service *service, bool on) {
        int result = 0;

        if (on && service->program)
                handoff_on_listening(service->program->handoff);
        for (size_t i = 0; i < service->port_count; i++) {
                int r = port_watch(service->ports[i], on);

                if (r < 0)
                        result = r;
        }
        return result;
}

void service_watch_datagrams(struct service *service) {
        for (size_t i = 0; i < service->port_count && service_accepts(service); i++)
                if (!port_is_connectable(service->ports[i]))
                        port_watch(service->ports[i], true);
}

int service_start_server(struct service *service) {
        struct handoff *handoff = service->program->handoff;
        int r = program_prepare(service->program);

        handoff->setup.beside_another = service_older_server_count(service) > 0;
        for (size_t i = 0; r == 0 && i < service->port_count && !handoff->setup.beside_another; i++)
                listen_rewind(&service->ports[i]->addr, service->ports[i]->fd);
        if (r == 0)
                r = handoff->ops->start_server(handoff);
        if (r < 0)
                return r;
        if (service->program->notifier)
                notifier_begin(service->program->notifier);
        service->counters.starts++;
        if (service->state == SERVICE_BACKOFF)
                measures_restarted(&service->measures);
        for (size_t i = 0; i < service->port_count; i++)
                service->ports[i]->shared = true;
        return 0;
}

size_t service_process_count(const struct service *service) {
        size_t count = service->program ? service->program->handoff->process_count : 0;
        struct program *program;

        list_for_each(program, &service->retired, link)
                count += program->handoff->process_count;
        return count;
}

bool service_older_are_busy(const struct service *service) {
        struct program *program;

        list_for_each(program, (struct list *)&service->retired, link)
                if (handoff_is_busy(program->handoff))
                        return true;
        return false;
}

bool service_is_busy(const struct service *service) {
        return (service->program && handoff_is_busy(service->program->handoff)) || service_older_are_busy(service);
}

void service_retire(struct service *service) {
        if (service->program)
                handoff_retire(service->program->handoff, HANDOFF_LEAVES);
}

static bool is_server(const struct program *program) {
        return program && program->handoff->ops->start_server;
}

void service_stop_older(struct service *service) {
        struct program *program;

        list_for_each(program, &service->retired, link)
                if (is_server(program))
                        handoff_stop(program->handoff);
}

void service_stop_youngest_older(struct service *service) {
        struct program *program = list_last(&service->retired, struct program, link);

        if (is_server(program))
                handoff_stop(program->handoff);
}

void service_stop_servers(struct service *service) {
        if (is_server(service->program))
                handoff_stop(service->program->handoff);
        service_stop_older(service);
}

void service_stop_all(struct service *service) {
        struct program *program;

        if (service->program)
                handoff_stop(service->program->handoff);
        list_for_each(program, &service->retired, link)
                handoff_stop(program->handoff);
}

void service_restart_all(struct service *service) {
        struct program *program;

        if (service->program)
                handoff_restart(service->program->handoff);
        list_for_each(program, &service->retired, link)
                handoff_stop(program->handoff);
}

static bool cut_connections(struct program *program) {
        return program && handoff_cut(program->handoff);
}

bool service_cut_connections(struct service *service) {
        bool any = cut_connections(service->program);
        struct program *program;

        list_for_each(program, &service->retired, link)
                any = cut_connections(program) || any;
        return any;
}

bool service_has_server_state(const struct service *service) {
        return service->state == SERVICE_STARTING || service->state == SERVICE_RUNNING ||
               service->state == SERVICE_REPLACING || service->state == SERVICE_STOPPING;
}

struct process *service_current_server(const struct service *service) {
        return is_server(service->program) ? list_first(&service->program->handoff->processes, struct process, link)
                                           : NULL;
}

size_t service_server_count(const struct service *service) {
        size_t count = is_server(service->program) ? service->program->handoff->process_count : 0;
        struct program *program;

        list_for_each(program, &service->retired, link)
                if (is_server(program))
                        count += program->handoff->process_count;
        return count;
}

static size_t count_by_stop(const struct program *program, bool told_to_end) {
        struct process *process;
        size_t count = 0;

        list_for_each(process, &program->handoff->processes, link)
                count += (process->reason != PROCESS_ENDED) == told_to_end;
        return count;
}

size_t service_older_server_count(const struct service *service) {
        struct program *program;
        size_t count = 0;

        list_for_each(program, &service->retired, link)
                if (is_server(program))
                        count += count_by_stop(program, false);
        return count;
}

size_t service_stopping_count(const struct service *service) {
        size_t count = service->program ? count_by_stop(service->program, true) : 0;
        struct program *program;

        list_for_each(program, &service->retired, link)
                count += count_by_stop(program, true);
        return count;
}

void service_set_program(struct service *service, struct program *own_program) {
        struct program *old = service->program;

        service->program = own_program;
        if (!old)
                return;
        handoff_retire(old->handoff, HANDOFF_REPLACED);
        if (handoff_is_busy(old->handoff))
                list_append(&service->retired, &old->link);
        else
                program_free(old);
}

void service_take_back_program(struct service *service) {
        struct program *old = list_last(&service->retired, struct program, link);

        list_remove(&old->link);
        program_set_policy(old, service->def);
        service_set_program(service, old);
}

static void on_started(void *userdata, struct handoff *handoff UNUSED, const struct process *process) {
        const struct program *program = userdata;

        measures_started(&program->service->measures, process);
        if (process->watch_error < 0 && manager_may_tell_shortage(program->service->manager))
                log_event(LOG_LEVEL_WARNING, LOG_FIELDS(LOG_STRING("service", program->service->name)),
                          "%s was reached: ends of programs are noticed a little later",
                          shortage_text(process->watch_error));
        program->service->counters.starts += program->relay || program->pool;
        record_start(program, process);
}

static void on_ending(void *userdata, struct handoff *handoff UNUSED) {
        const struct program *program = userdata;

        if (program->notifier)
                notifier_end(program->notifier);
}

static void on_ended(void *userdata, struct handoff *handoff, const struct process_end *end) {
        struct program *program = userdata;
        struct service *service = program->service;
        struct manager *manager = service->manager;
        bool current = program == service->program;

        record_end(program, end);
        measures_ended(&service->measures, end);
        service->counters.ended++;
        service->counters.failed += end->connection && end->launch_failed;
        service->last_exit = end->exit;
        service->last_launch_failed = end->launch_failed;
        service->last_reason = end->reason;
        service->last_runtime = end->ended_at - end->started_at;
        if (end->connection)
                arrival_drop(service, end->connection);
        if (handoff->process_count == 0) {
                output_flush(&program->out);
                output_flush(&program->err);
        }
        if (!current && !handoff_is_busy(handoff))
                program_free(program);
        servicefsm_on_ended(service, end, current);
        command_poke(manager);
        manager_on_freed(manager);
}

/* A target that has not taken it counts as a program that could not be started. */
static void count_finish(struct service *service, const struct connection *connection,
                         const struct handoff_finish *finish) {
        static const enum outcome outcomes[HANDOFF_OUTCOME_N] = {
                [HANDOFF_DONE] = OUTCOME_OK,
                [HANDOFF_RESET] = OUTCOME_FAILED,
                [HANDOFF_TIMED_OUT] = OUTCOME_OVERRAN,
                [HANDOFF_STOPPED] = OUTCOME_STOPPED,
                [HANDOFF_CLIENT_LEFT] = OUTCOME_FAILED,
                [HANDOFF_UNANSWERED] = OUTCOME_FAILED,
                [HANDOFF_NOT_WAITED] = OUTCOME_FAILED,
        };

        service->counters.ended++;
        if (finish->outcome == HANDOFF_TAKEN) {
                measures_connection_taken(&service->measures, clock_monotonic() - connection->accepted_at);
                return;
        }
        if (finish->outcome == HANDOFF_TARGET_FAILED) {
                service->counters.failed++;
                return;
        }
        measures_connection_ended(&service->measures, outcomes[finish->outcome],
                                  clock_monotonic() - connection->accepted_at);
}

/* The new program serves who was accepted for the old one, if it serves anybody. */
static void take_back(struct service *service, struct connection *own_connection) {
        if (!service_accepts(service) || !service->program || service->state == SERVICE_LEAVING ||
            service->state == SERVICE_HALTED) {
                arrival_drop(service, own_connection);
                return;
        }
        list_append(&service->held, &own_connection->link);
        servicefsm_post(service, SERVICE_EV_CHANGED);
}

static void on_finished(void *userdata, struct handoff *handoff, struct connection *own_connection,
                        const struct handoff_finish *finish) {
        struct program *program = userdata;
        struct service *service = program->service;
        struct manager *manager = service->manager;

        if (finish->outcome == HANDOFF_GIVEN_BACK) {
                take_back(service, own_connection);
        } else if (finish->outcome == HANDOFF_FORWARDED) {
                service->counters.ended++;
                tcpmux_forward(service, own_connection, finish->name);
        } else {
                record_finish(service, own_connection, finish);
                count_finish(service, own_connection, finish);
                (finish->parts ? arrival_part : arrival_drop)(service, own_connection);
        }
        if (program != service->program && !handoff_is_busy(handoff))
                program_free(program);
        servicefsm_post(service, SERVICE_EV_ENDED);
        command_poke(manager);
        manager_on_freed(manager);
}

static void on_answered(void *userdata, struct handoff *handoff UNUSED, const struct handoff_answered *answered) {
        struct program *program = userdata;

        measures_answered(&program->service->measures, answered);
}

/* The server of an older generation may still have the target's address. */
static int on_prepare(void *userdata, struct handoff *handoff UNUSED, bool again) {
        struct program *program = userdata, *older;
        int r;

        list_for_each(older, &program->service->retired, link)
                if (older != program && older->relay && older->handoff->process_count > 0)
                        return -EBUSY;
        r = program_prepare(program);
        if (r == 0 && again) {
                program->service->counters.restarts++;
                measures_restarted(&program->service->measures);
        }
        return r;
}

static void describe(void *userdata, struct handoff *handoff UNUSED, struct buf *out) {
        const struct program *program = userdata;

        if (program->builtin->kind == HANDOFF_BUILTIN_TCPMUX)
                tcpmux_list(program->service->manager, out);
        else
                health_say_line(program->service->manager, out);
}

const struct handoff_events service_handoff_events = {
        .started = on_started,
        .ending = on_ending,
        .ended = on_ended,
        .finished = on_finished,
        .spare_ended = sparelog_ended,
        .spare_failed = sparelog_failed,
        .answered = on_answered,
        .prepare = on_prepare,
        .describe = describe,
        .admits = datagram_admits,
};
