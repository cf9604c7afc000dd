#include "core/service.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/manager.h"
#include "core/servicefsm.h"
#include "core/shortage.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* Refusals are logged when they begin, then once in this time with their number. */
#define REFUSAL_INTERVAL (10 * USEC_PER_SEC)

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
        limits_init(&service->limits);
        service->manager = manager;
        service->worker = 1;
        service->def = def;
        service->state = SERVICE_STOPPED;
        service->since = clock_monotonic();
        *ret = service;
        return 0;
}

void service_close_ports(struct service *service) {
        for (size_t i = 0; i < service->port_count; i++)
                port_close(service->ports[i]);
        free(service->ports);
        service->ports = NULL;
        service->port_count = 0;
}

static void drop_connection(struct service *service, struct connection *connection) {
        limits_return(&service->limits, connection);
        connection_close(connection);
        manager_return_connection(service->manager, connection);
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

void service_drop_held(struct service *service) {
        struct connection *connection;

        list_for_each(connection, &service->held, link) {
                list_remove(&connection->link);
                drop_connection(service, connection);
        }
}

struct service *service_free(struct service *service) {
        if (!service)
                return NULL;
        assert(list_is_empty(&service->retired));
        list_remove(&service->link);
        list_remove(&service->short_link);
        service->refusal_timer = sd_event_source_disable_unref(service->refusal_timer);
        service->timer = sd_event_source_disable_unref(service->timer);
        service_drop_held(service);
        service->program = program_free(service->program);
        service_close_ports(service);
        limits_deinit(&service->limits);
        service_def_free(service->def);
        free(service->name);
        free(service);
        return NULL;
}

bool service_accepts(const struct service *service) {
        return !service->def->wait;
}

bool service_wants_connections(const struct service *service) {
        return service->state == SERVICE_LISTENING;
}

void service_on_traffic(struct service *service) {
        servicefsm_post(service, SERVICE_EV_TRAFFIC);
}

int service_watch_ports(struct service *service, bool on) {
        int result = 0;

        for (size_t i = 0; i < service->port_count; i++) {
                int r = port_watch(service->ports[i], on);

                if (r < 0)
                        result = r;
        }
        return result;
}

static int on_refusal_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        struct service *service = userdata;
        uint64_t refused = service->counters.refused_full + service->counters.refused_source;

        if (refused == service->refusals_told)
                return 0;
        log_event(LOG_LEVEL_WARNING,
                  LOG_FIELDS(LOG_STRING("service", service->name),
                             LOG_INTEGER("refused", (int64_t)(refused - service->refusals_told)),
                             LOG_INTEGER("instances", (int64_t)service->counters.refused_full),
                             LOG_INTEGER("per_source", (int64_t)service->counters.refused_source)),
                  "connections were refused in the last 10 seconds");
        service->refusals_told = refused;
        sd_event_source_set_time_relative(service->refusal_timer, REFUSAL_INTERVAL);
        sd_event_source_set_enabled(service->refusal_timer, SD_EVENT_ONESHOT);
        return 0;
}

/* The first refusal is told at once; those of the next ten seconds together. */
static void note_refusal(struct service *service, const struct connection *connection, const char *why) {
        sd_event *event = service->manager->event;
        char peer[CONNECTION_PEER_MAX];
        int enabled = SD_EVENT_OFF;

        if (service->refusal_timer)
                sd_event_source_get_enabled(service->refusal_timer, &enabled);
        if (enabled != SD_EVENT_OFF)
                return;
        connection_format_peer(connection, peer);
        log_event(LOG_LEVEL_WARNING,
                  LOG_FIELDS(LOG_STRING("service", service->name), LOG_STRING("peer", peer), LOG_STRING("limit", why)),
                  "connection refused");
        service->refusals_told = service->counters.refused_full + service->counters.refused_source;
        if (!service->refusal_timer) {
                sd_event_add_time_relative(event, &service->refusal_timer, CLOCK_MONOTONIC, REFUSAL_INTERVAL, 0,
                                           on_refusal_timer, service);
                return;
        }
        sd_event_source_set_time_relative(service->refusal_timer, REFUSAL_INTERVAL);
        sd_event_source_set_enabled(service->refusal_timer, SD_EVENT_ONESHOT);
}

static void refuse(struct service *service, struct connection *connection, enum admit_outcome outcome) {
        if (outcome == ADMIT_SOURCE_FULL)
                service->counters.refused_source++;
        else
                service->counters.refused_full++;
        note_refusal(service, connection, outcome == ADMIT_SOURCE_FULL ? "per_source" : "instances");
        connection_close(connection);
        manager_return_connection(service->manager, connection);
}

/* Hands CONNECTION, which has its ticket, to the program. On a shortage it is held, and the service pauses. */
static bool serve(struct service *service, struct connection *connection) {
        struct handoff *handoff = service->program->handoff;
        int r = program_prepare(service->program);

        if (r == 0)
                r = handoff->ops->take_connection(handoff, connection);
        if (r == 0)
                return true;
        if (shortage_is(r) || r == -ENOENT || r == -ENOTDIR || r == -EACCES) {
                list_append(&service->held, &connection->link);
                if (shortage_is(r))
                        servicefsm_pause_for_shortage(service, r);
                else
                        servicefsm_pause_for_program(service, r);
                return false;
        }
        service->counters.failed++;
        log_event(LOG_LEVEL_ERROR, LOG_FIELDS(LOG_STRING("service", service->name)),
                  "cannot serve a connection, closing it: %s", err_text(r));
        log_err_site(r);
        drop_connection(service, connection);
        return true;
}

bool service_serve_held(struct service *service) {
        struct connection *connection;

        while ((connection = list_first(&service->held, struct connection, link))) {
                list_remove(&connection->link);
                if (!serve(service, connection))
                        return false;
        }
        return true;
}

/* Before anybody is accepted: what is known to be missing is better found with the client still in the backlog. */
static bool program_is_there(struct service *service) {
        int r;

        if (service->program->plan.path)
                return true;
        r = program_prepare(service->program);
        if (r == 0)
                return true;
        if (shortage_is(r))
                servicefsm_pause_for_shortage(service, r);
        else
                servicefsm_pause_for_program(service, r);
        return false;
}

int service_accept(struct service *service, const struct port *port) {
        struct connection *connection;
        enum admit_outcome outcome;
        int r;

        if (!program_is_there(service))
                return ACCEPT_NOTHING;
        connection = manager_take_connection(service->manager);
        r = connection ? connection_accept(port->fd, connection) : ACCEPT_EXHAUSTED;
        if (r != ACCEPT_OK) {
                int error = connection ? -errno : -ENOMEM;

                manager_return_connection(service->manager, connection);
                if (r != ACCEPT_NOTHING)
                        servicefsm_pause_for_shortage(service, r < 0 ? r : error);
                return r;
        }
        service->counters.accepted++;
        connection->accepted_at = manager_now(service->manager);
        connection->protocol = port->addr.protocol;
        if (port->bound_size > 0)
                connection_set_local(connection, &port->bound, port->bound_size);
        outcome = limits_admit(&service->limits, connection);
        if (outcome != ADMIT_OK) {
                refuse(service, connection, outcome);
                return ACCEPT_OK;
        }
        serve(service, connection);
        if (service->state == SERVICE_LISTENING && limits_is_full(&service->limits) &&
            service->def->when_full == WHEN_FULL_WAIT)
                servicefsm_post(service, SERVICE_EV_FULL);
        return ACCEPT_OK;
}

int service_start_server(struct service *service) {
        struct handoff *handoff = service->program->handoff;
        int r = program_prepare(service->program);

        for (size_t i = 0; r == 0 && i < service->port_count; i++)
                listen_rewind(&service->ports[i]->addr, service->ports[i]->fd);
        if (r == 0)
                r = handoff->ops->start_server(handoff);
        if (r < 0)
                return r;
        service->counters.starts++;
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

static bool is_server(const struct program *program) {
        return program && program->handoff->ops->start_server;
}

void service_stop_servers(struct service *service) {
        struct program *program;

        if (is_server(service->program))
                handoff_stop(service->program->handoff);
        list_for_each(program, &service->retired, link)
                if (is_server(program))
                        handoff_stop(program->handoff);
}

size_t service_server_count(const struct service *service) {
        size_t count = is_server(service->program) ? service->program->handoff->process_count : 0;
        struct program *program;

        list_for_each(program, &service->retired, link)
                if (is_server(program))
                        count += program->handoff->process_count;
        return count;
}

static void on_started(void *userdata, struct handoff *handoff UNUSED, const struct process *process) {
        const struct program *program = userdata;
        char peer[CONNECTION_PEER_MAX];

        if (!log_is_enabled(LOG_LEVEL_INFO))
                return;
        if (process->connection)
                connection_format_peer(process->connection, peer);
        log_event(LOG_LEVEL_INFO,
                  LOG_FIELDS(LOG_STRING("service", program->service->name),
                             LOG_STRING("peer", process->connection ? peer : NULL),
                             LOG_INTEGER("pid", process->launched.pid)),
                  process->connection ? "connection accepted" : "server started");
}

static void log_end(const struct service *service, const struct process_end *end) {
        static const char *const reasons[] = {
                [PROCESS_ENDED] = NULL,
                [PROCESS_STOPPED] = "stopped",
                [PROCESS_OVERRAN] = "max_runtime",
        };
        char peer[CONNECTION_PEER_MAX], status[EXITINFO_TEXT_MAX];
        bool unexpected = end->launch_failed ||
                          (!end->connection && end->reason == PROCESS_ENDED && !exitinfo_is_success(&end->exit));
        enum log_level level = unexpected ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO;

        if (!log_is_enabled(level))
                return;
        exitinfo_format(&end->exit, status);
        if (end->connection)
                connection_format_peer(end->connection, peer);
        log_event(
                level,
                LOG_FIELDS(LOG_STRING("service", service->name), LOG_STRING("peer", end->connection ? peer : NULL),
                           LOG_INTEGER("pid", end->pid), LOG_DURATION("duration", end->ended_at - end->started_at),
                           LOG_STRING("status", status),
                           LOG_STRING("reason", end->killed ? "killed after stop_grace_period" : reasons[end->reason]),
                           LOG_STRING("failed", end->launch_failed ? child_stage_names[end->failure.stage] : NULL),
                           LOG_STRING("error", end->launch_failed ? err_text(end->failure.error) : NULL)),
                end->connection ? "connection ended" : "server ended");
}

static void on_ended(void *userdata, struct handoff *handoff, const struct process_end *end) {
        struct program *program = userdata;
        struct service *service = program->service;
        struct manager *manager = service->manager;
        bool current = program == service->program;

        log_end(service, end);
        service->counters.ended++;
        service->last_exit = end->exit;
        service->last_launch_failed = end->launch_failed;
        service->last_runtime = end->ended_at - end->started_at;
        if (end->connection)
                drop_connection(service, end->connection);
        if (handoff->process_count == 0) {
                output_flush(&program->out);
                output_flush(&program->err);
                if (!current)
                        program_free(program);
        }
        servicefsm_on_ended(service, end, current);
        manager_on_freed(manager);
}

const struct handoff_events service_handoff_events = {
        .started = on_started,
        .ended = on_ended,
};
