/* The table of all metrics. Everything of one metric has to stand together, so that the services are gone through once
 * for each. */
#include "ctl/exposition.h"

#include "config.h"
#include "core/servicefsm.h"
#include "core/snapshot.h"
#include "ctl/samples.h"

#include <sys/resource.h>
#include <sys/stat.h>

const char *const exposition_types[EXPOSITION_FORMAT_N] = {
        [EXPOSITION_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
        [EXPOSITION_TEXT] = "text/plain; version=0.0.4; charset=utf-8",
};

static void write_accepted(struct writer *w, const struct metric *metric, const struct service *service) {
        if (service_accepts(service))
                samples_add(w, metric, service, NULL, service->counters.accepted);
}

static void write_datagrams(struct writer *w, const struct metric *metric, const struct service *service) {
        if (service->def->builtin != BUILTIN_NONE)
                samples_add(w, metric, service, NULL, service->counters.datagrams);
}

/* Of those alone that keep some ready. */
static void write_spares(struct writer *w, const struct metric *metric, const struct service *service) {
        if (service->def->spare > 0)
                samples_add(w, metric, service, NULL, service->program ? service->program->handoff->spare_count : 0);
}

static void write_active(struct writer *w, const struct metric *metric, const struct service *service) {
        if (service_accepts(service))
                samples_add(w, metric, service, NULL, service->admission.limits.taken);
}

static void write_outcomes(struct writer *w, const struct metric *metric, const struct service *service,
                           const uint64_t *counts, uint64_t failed) {
        for (size_t i = 0; i < OUTCOME_N; i++)
                samples_add(w, metric, service, &(struct label){"outcome", outcome_names[i]},
                            (counts ? counts[i] : 0) + (i == OUTCOME_LAUNCH_FAILED ? failed : 0));
}

static void write_ended(struct writer *w, const struct metric *metric, const struct service *service) {
        if (service_accepts(service) && (service->measures || service->counters.failed > 0))
                write_outcomes(w, metric, service, service->measures ? service->measures->connections : NULL,
                               service->counters.failed);
}

static void write_refused(struct writer *w, const struct metric *metric, const struct service *service) {
        for (size_t i = 0; service->refusals && i < REFUSAL_N; i++)
                samples_add(w, metric, service, &(struct label){"reason", refusal_names[i]},
                            refusals_count(service->refusals, (enum refusal)i));
}

static void write_latency(struct writer *w, const struct metric *metric, const struct service *service) {
        if (service_accepts(service) && service->measures)
                samples_add_histogram(w, metric, service, &service->measures->start_latency);
}

static void write_readiness(struct writer *w, const struct metric *metric, const struct service *service) {
        if (service->def->ready == READY_NOTIFY && service->measures)
                samples_add_histogram(w, metric, service, &service->measures->ready_latency);
}

static void write_duration(struct writer *w, const struct metric *metric, const struct service *service) {
        if (service_accepts(service) && service->measures)
                samples_add_histogram(w, metric, service, &service->measures->duration);
}

/* The kernel does not tell of every socket: of VSOCK, or of another network namespace. */
static void write_queue(struct writer *w, const struct metric *metric, const struct service *service) {
        uint64_t sum = 0;
        bool known = false;

        for (size_t i = 0; i < service->port_count; i++) {
                uint32_t length;

                if (!port_is_connectable(service->ports[i]) ||
                    backlog_length(&w->backlog, service->ports[i]->fd, &length) < 0)
                        continue;
                known = true;
                sum += length;
        }
        if (known)
                samples_add(w, metric, service, NULL, sum);
}

static void write_processes(struct writer *w, const struct metric *metric, const struct service *service) {
        samples_add(w, metric, service, NULL, service_process_count(service));
}

static bool has_servers(const struct service *service) {
        return service->def->wait || service_def_is_pool(service->def) ||
               (service->def->proxy && service->def->command.count > 0);
}

static void write_starts(struct writer *w, const struct metric *metric, const struct service *service) {
        if (has_servers(service))
                samples_add(w, metric, service, NULL, service->counters.starts);
}

static void write_restarts(struct writer *w, const struct metric *metric, const struct service *service) {
        if (has_servers(service))
                samples_add(w, metric, service, NULL, service->measures ? service->measures->restarts : 0);
}

static void write_server_ends(struct writer *w, const struct metric *metric, const struct service *service) {
        if (has_servers(service) && service->measures)
                write_outcomes(w, metric, service, service->measures->servers, 0);
}

static const struct answers *answers_of(const struct service *service) {
        return service->measures ? service->measures->answers : NULL;
}

static void write_requests(struct writer *w, const struct metric *metric, const struct service *service) {
        const struct answers *answers = answers_of(service);

        for (size_t i = 0; answers && i < HANDOFF_ANSWER_N; i++)
                samples_add(w, metric, service, &(struct label){"result", answers_names[i]}, answers->counts[i]);
}

static void write_delayed(struct writer *w, const struct metric *metric, const struct service *service) {
        if (answers_of(service))
                samples_add(w, metric, service, NULL, answers_of(service)->delayed);
}

static void write_replies(struct writer *w, const struct metric *metric, const struct service *service) {
        if (answers_of(service))
                samples_add_histogram(w, metric, service, &answers_of(service)->latency);
}

static void write_workers(struct writer *w, const struct metric *metric, const struct service *service) {
        struct handoff_tally tally;

        if (!service->def->request)
                return;
        service_tally(service, &tally);
        samples_add(w, metric, service, &(struct label){"state", "idle"}, tally.idle);
        samples_add(w, metric, service, &(struct label){"state", "busy"}, tally.busy);
        samples_add(w, metric, service, &(struct label){"state", "leaving"}, tally.leaving);
}

static void write_waiting(struct writer *w, const struct metric *metric, const struct service *service) {
        struct handoff_tally tally;

        if (!service->def->request)
                return;
        service_tally(service, &tally);
        samples_add(w, metric, service, NULL, tally.waiting);
}

static void write_state(struct writer *w, const struct metric *metric, const struct service *service) {
        for (size_t i = 0; i < SERVICE_STATE_N; i++)
                samples_add(w, metric, service, &(struct label){metric->name, service_state_names[i]},
                            i == service->state);
}

static void write_up(struct writer *w, const struct metric *metric, const struct service *service) {
        static const bool up[SERVICE_STATE_N] = {
                [SERVICE_LISTENING] = true, [SERVICE_FULL] = true,    [SERVICE_RUNNING] = true,
                [SERVICE_REPLACING] = true, [SERVICE_CLAIMED] = true,
        };

        samples_add(w, metric, service, NULL, up[service->state]);
}

static void write_paused(struct writer *w, const struct metric *metric, const struct service *service) {
        static const char *const reasons[] = {
                [PAUSE_SHORTAGE] = "shortage", [PAUSE_TRIGGER] = "trigger_limit", [PAUSE_PROGRAM] = "program",
                [PAUSE_RATE] = "cps",          [PAUSE_LOAD] = "max_load",
        };

        if (service->state == SERVICE_PAUSED && service->pause != PAUSE_NONE)
                samples_add(w, metric, service, &(struct label){"reason", reasons[service->pause]}, 1);
}

static void write_build(struct writer *w, const struct metric *metric) {
        samples_add(w, metric, NULL, &(struct label){"version", VERSION}, 1);
}

static void write_start_time(struct writer *w, const struct metric *metric) {
        samples_add_time(w, metric, w->manager->started_at);
}

static void write_reloads(struct writer *w, const struct metric *metric) {
        samples_add(w, metric, NULL, &(struct label){"result", "ok"}, w->manager->reloads_done);
        samples_add(w, metric, NULL, &(struct label){"result", "failed"}, w->manager->reloads_failed);
}

static void write_services(struct writer *w, const struct metric *metric) {
        samples_add(w, metric, NULL, NULL, w->manager->service_count);
}

static void write_all_processes(struct writer *w, const struct metric *metric) {
        const struct service *service;
        size_t count = 0;

        list_for_each(service, &w->manager->services, link)
                count += service_process_count(service);
        list_for_each(service, &w->manager->leaving, link)
                count += service_process_count(service);
        samples_add(w, metric, NULL, NULL, count);
}

static void write_blocked(struct writer *w, const struct metric *metric) {
        samples_add(w, metric, NULL, NULL, w->manager->blocked.count);
}

/* How many there are the kernel says since Linux 6.2, without a list of them. */
static void write_open_fds(struct writer *w, const struct metric *metric) {
        struct stat st;

        if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
                samples_add(w, metric, NULL, NULL, (uint64_t)st.st_size);
}

static void write_max_fds(struct writer *w, const struct metric *metric) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
                samples_add(w, metric, NULL, NULL, limit.rlim_cur);
}

static const struct metric metrics[] = {
        {
                .name = "sockbroker_build",
                .type = METRIC_INFO,
                .help = "The version of the broker.",
                .of_broker = write_build,
        },
        {
                .name = "sockbroker_start_time_seconds",
                .type = METRIC_GAUGE,
                .unit = "seconds",
                .help = "When the broker was started, since the epoch.",
                .of_broker = write_start_time,
        },
        {
                .name = "sockbroker_reloads",
                .type = METRIC_COUNTER,
                .help = "Reloads of the definitions.",
                .of_broker = write_reloads,
        },
        {
                .name = "sockbroker_services",
                .type = METRIC_GAUGE,
                .help = "Services in force.",
                .of_broker = write_services,
        },
        {
                .name = "sockbroker_processes",
                .type = METRIC_GAUGE,
                .help = "Processes of all services, and of those that were removed.",
                .of_broker = write_all_processes,
        },
        {
                .name = "sockbroker_blocked_sources",
                .type = METRIC_GAUGE,
                .help = "Sources that are refused since they touched a sensor.",
                .of_broker = write_blocked,
        },
        {
                .name = "sockbroker_open_fds",
                .type = METRIC_GAUGE,
                .help = "Descriptors the broker has open.",
                .of_broker = write_open_fds,
        },
        {
                .name = "sockbroker_max_fds",
                .type = METRIC_GAUGE,
                .help = "Descriptors it may have open.",
                .of_broker = write_max_fds,
        },
        {
                .name = "sockbroker_connections_accepted",
                .type = METRIC_COUNTER,
                .help = "Connections that the broker has accepted.",
                .of_service = write_accepted,
        },
        {
                .name = "sockbroker_datagrams",
                .type = METRIC_COUNTER,
                .help = "Datagrams that built-ins have taken.",
                .of_service = write_datagrams,
        },
        {
                .name = "sockbroker_connections_active",
                .type = METRIC_GAUGE,
                .help = "Connections that have a place now.",
                .of_service = write_active,
        },
        {
                .name = "sockbroker_spare_processes",
                .type = METRIC_GAUGE,
                .help = "Processes that stand ready for a connection.",
                .of_service = write_spares,
        },
        {
                .name = "sockbroker_connections_ended",
                .type = METRIC_COUNTER,
                .help = "Connections that are over, by what became of their process.",
                .of_service = write_ended,
        },
        {
                .name = "sockbroker_connections_refused",
                .type = METRIC_COUNTER,
                .help = "Connections that were turned away, by the key behind it.",
                .of_service = write_refused,
        },
        {
                .name = "sockbroker_connection_start_latency_seconds",
                .type = METRIC_HISTOGRAM,
                .unit = "seconds",
                .help = "Time from accepting a connection to the process that serves it.",
                .of_service = write_latency,
        },
        {
                .name = "sockbroker_server_start_latency_seconds",
                .type = METRIC_HISTOGRAM,
                .unit = "seconds",
                .help = "Time from starting a server to its READY=1, where ready is notify.",
                .of_service = write_readiness,
        },
        {
                .name = "sockbroker_connection_duration_seconds",
                .type = METRIC_HISTOGRAM,
                .unit = "seconds",
                .help = "Time from accepting a connection to its end.",
                .of_service = write_duration,
        },
        {
                .name = "sockbroker_queue_length",
                .type = METRIC_GAUGE,
                .help = "Clients in the backlog of the sockets, not accepted yet.",
                .of_service = write_queue,
        },
        {
                .name = "sockbroker_service_processes",
                .type = METRIC_GAUGE,
                .help = "Processes of the service.",
                .of_service = write_processes,
        },
        {
                .name = "sockbroker_server_starts",
                .type = METRIC_COUNTER,
                .help = "Starts of servers, and of workers.",
                .of_service = write_starts,
        },
        {
                .name = "sockbroker_server_restarts",
                .type = METRIC_COUNTER,
                .help = "Starts of servers that had ended by themselves, after restart_delay.",
                .of_service = write_restarts,
        },
        {
                .name = "sockbroker_servers_ended",
                .type = METRIC_COUNTER,
                .help = "Servers that have ended, by how.",
                .of_service = write_server_ends,
        },
        {
                .name = "sockbroker_requests",
                .type = METRIC_COUNTER,
                .help = "Requests to workers that are over, by what became of them.",
                .of_service = write_requests,
        },
        {
                .name = "sockbroker_requests_delayed",
                .type = METRIC_COUNTER,
                .help = "Requests that had to wait for a worker.",
                .of_service = write_delayed,
        },
        {
                .name = "sockbroker_requests_waiting",
                .type = METRIC_GAUGE,
                .help = "Requests that wait for a worker now.",
                .of_service = write_waiting,
        },
        {
                .name = "sockbroker_request_latency_seconds",
                .type = METRIC_HISTOGRAM,
                .unit = "seconds",
                .help = "Time from a request to its reply.",
                .of_service = write_replies,
        },
        {
                .name = "sockbroker_request_workers",
                .type = METRIC_GAUGE,
                .help = "Workers that answer requests, by what they are doing.",
                .of_service = write_workers,
        },
        {
                .name = "sockbroker_service_state",
                .type = METRIC_STATESET,
                .help = "The state of the service.",
                .of_service = write_state,
        },
        {
                .name = "sockbroker_service_up",
                .type = METRIC_GAUGE,
                .help = "Whether clients are served: 1, or 0.",
                .of_service = write_up,
        },
        {
                .name = "sockbroker_service_paused",
                .type = METRIC_GAUGE,
                .help = "1 while the service is paused, with the reason.",
                .of_service = write_paused,
        },
};

void exposition_write(struct manager *manager, enum exposition_format format, struct buf *out) {
        struct writer w = {.manager = manager, .format = format, .out = out};
        const struct service *service;

        for (size_t i = 0; i < LENGTH_OF(metrics); i++) {
                const struct metric *metric = &metrics[i];

                samples_add_head(&w, metric);
                if (metric->of_broker)
                        metric->of_broker(&w, metric);
                else
                        list_for_each(service, &manager->services, link)
                                metric->of_service(&w, metric, service);
        }
        if (format == EXPOSITION_OPENMETRICS)
                buf_add_string(out, "# EOF\n");
        backlog_deinit(&w.backlog);
}
