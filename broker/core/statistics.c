#include "core/statistics.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/manager.h"
#include "core/servicefsm.h"
#include "core/snapshot.h"

#include <stdio.h>
#include <string.h>

static void add_addresses(const struct service *service, struct buf *out) {
        for (size_t i = 0; i < service->port_count; i++) {
                if (i > 0)
                        buf_add_string(out, ", ");
                port_format_bound(service->ports[i], out);
        }
}

static void log_service(struct manager *manager, const struct service *service) {
        const struct service_counters *n = &service->counters;
        AUTO(buf_deinit) struct buf addresses = BUF_NULL;
        char names[REFUSAL_N][32];
        struct log_field fields[9 + REFUSAL_N + 4] = {
                LOG_STRING("service", service->name),
                LOG_STRING("state", service_state_names[service->state]),
                LOG_DURATION("since", manager_now(manager) - service->since),
                LOG_STRING("listen", NULL),
                LOG_INTEGER("processes", (int64_t)service_process_count(service)),
                LOG_INTEGER("connections", service->admission.limits.taken),
                LOG_INTEGER("accepted", (int64_t)n->accepted),
                LOG_INTEGER("ended", (int64_t)n->ended),
                LOG_INTEGER("starts", (int64_t)n->starts),
        };
        size_t count = 9;

        add_addresses(service, &addresses);
        fields[3].string = buf_text(&addresses);
        for (size_t i = 0; i < REFUSAL_N; i++) {
                snprintf(names[i], sizeof(names[i]), "refused_%s", refusal_names[i]);
                fields[count++] = LOG_INTEGER(names[i], (int64_t)refusals_count(service->refusals, (enum refusal)i));
        }
        fields[count++] = LOG_INTEGER("refused_claim", (int64_t)n->claims_refused);
        fields[count++] = LOG_INTEGER("datagrams", (int64_t)n->datagrams);
        fields[count] = LOG_INTEGER("failed", (int64_t)n->failed);
        log_event(LOG_LEVEL_INFO, fields, "statistics");
}

/* How long replies took, finer than iotcpd(1) has it. */
static void log_replies(const struct service *service, const struct histogram *latency) {
        struct log_field fields[3 + HISTOGRAM_CLASSES + 1] = {
                LOG_STRING("service", service->name),
                LOG_INTEGER("replies", (int64_t)latency->count),
                LOG_DURATION("mean", latency->count > 0 ? latency->sum / latency->count : 0),
        };

        for (size_t i = 0; i < HISTOGRAM_CLASSES; i++)
                fields[3 + i] = LOG_INTEGER(histogram_names[i], (int64_t)latency->classes[i]);
        log_event(LOG_LEVEL_INFO, fields, "reply times");
}

/* Where iotcpd(1) has its classes. */
static void log_requests(const struct service *service) {
        static const struct answers none;
        const struct answers *answers =
                service->measures && service->measures->answers ? service->measures->answers : &none;
        struct log_field fields[8 + HANDOFF_ANSWER_N + ANSWERS_CLASSES + 1] = {0};
        char names[ANSWERS_CLASSES][16];
        struct handoff_tally tally;
        size_t count = 0;

        if (!service->def->request)
                return;
        service_tally(service, &tally);
        fields[count++] = LOG_STRING("service", service->name);
        fields[count++] = LOG_INTEGER("total", (int64_t)answers_total(answers));
        for (size_t i = 0; i < HANDOFF_ANSWER_N; i++)
                fields[count++] = LOG_INTEGER(answers_names[i], (int64_t)answers->counts[i]);
        fields[count++] = LOG_INTEGER("delayed", (int64_t)answers->delayed);
        fields[count++] = LOG_INTEGER("waiting", (int64_t)tally.waiting);
        fields[count++] = LOG_INTEGER("spawns", (int64_t)service->counters.starts);
        fields[count++] = LOG_INTEGER("idle", (int64_t)tally.idle);
        fields[count++] = LOG_INTEGER("busy", (int64_t)tally.busy);
        fields[count++] = LOG_INTEGER("leaving", (int64_t)tally.leaving);
        for (size_t i = 0; i < ANSWERS_CLASSES; i++) {
                snprintf(names[i], sizeof(names[i]), "ms_%s", answers_class_names[i]);
                *strchr(names[i], '-') = '_';
                fields[count++] = LOG_INTEGER(names[i], (int64_t)answers->classes[i]);
        }
        log_event(LOG_LEVEL_INFO, fields, "requests");
        log_replies(service, &answers->latency);
}

void statistics_log(struct manager *manager) {
        struct service *service;

        list_for_each(service, &manager->services, link) {
                log_service(manager, service);
                log_requests(service);
        }
}

static void log_worker(const struct service *service, const struct process *process,
                       const struct handoff_worker *worker) {
        usec_t now = clock_monotonic();

        log_event(LOG_LEVEL_INFO,
                  LOG_FIELDS(LOG_STRING("service", service->name), LOG_INTEGER("pid", process->launched.pid),
                             LOG_DURATION("running", now - process->started_at), LOG_STRING("state", worker->state),
                             LOG_DURATION("since", now > worker->since ? now - worker->since : 0),
                             LOG_INTEGER("requests", (int64_t)worker->served)),
                  "worker");
}

void statistics_log_processes(struct manager *manager) {
        struct process *process;
        char peer[CONNECTION_PEER_MAX];

        list_for_each(process, &manager->host.running, host_link) {
                const struct handoff *handoff = process->userdata;
                const struct program *program;
                struct handoff_worker worker;

                /* The broker's own. */
                if (!handoff_owns(process))
                        continue;
                program = handoff->setup.userdata;
                if (process->connection)
                        connection_format_peer(process->connection, peer);
                handoff_describe(handoff, process, &worker);
                if (worker.state)
                        log_worker(program->service, process, &worker);
                else
                        log_event(LOG_LEVEL_INFO,
                                  LOG_FIELDS(LOG_STRING("service", program->service->name),
                                             LOG_STRING("peer", process->connection ? peer : NULL),
                                             LOG_INTEGER("pid", process->launched.pid),
                                             LOG_DURATION("running", clock_monotonic() - process->started_at)),
                                  "process");
        }
}
