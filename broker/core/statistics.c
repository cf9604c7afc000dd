#include "core/statistics.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/manager.h"
#include "core/servicefsm.h"

#include <stdio.h>

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

void statistics_log(struct manager *manager) {
        struct service *service;

        list_for_each(service, &manager->services, link)
                log_service(manager, service);
}

void statistics_log_processes(struct manager *manager) {
        struct process *process;
        char peer[CONNECTION_PEER_MAX];

        list_for_each(process, &manager->host.running, host_link) {
                const struct handoff *handoff = process->userdata;
                const struct program *program;

                /* The broker's own. */
                if (!handoff_owns(process))
                        continue;
                program = handoff->setup.userdata;
                if (process->connection)
                        connection_format_peer(process->connection, peer);
                log_event(LOG_LEVEL_INFO,
                          LOG_FIELDS(LOG_STRING("service", program->service->name),
                                     LOG_STRING("peer", process->connection ? peer : NULL),
                                     LOG_INTEGER("pid", process->launched.pid),
                                     LOG_DURATION("running", clock_monotonic() - process->started_at)),
                          "process");
        }
}
