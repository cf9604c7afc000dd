/* org.sockbroker.Service: what one service is doing, from its snapshot. One table makes the properties of its object
 * and the dictionaries that Manager.ListServices and GetService return. */
#include "base/clock.h"
#include "core/snapshot.h"
#include "ctl/buspeer.h"

#include <errno.h>
#include <string.h>

struct row {
        const char *name;
        const char *signature;
        int (*append)(sd_bus_message *message, const struct service_snapshot *snapshot);
        bool detail; /* not in the short form */
};

/* Others have no use for the time since the machine was started, so it is given as on the wall. */
static uint64_t wall_time(usec_t monotonic) {
        return clock_wall() - (clock_monotonic() - monotonic);
}

static int append_name(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "s", snapshot->name);
}

static int append_service(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "s", snapshot->service);
}

static int append_worker(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "u", (uint32_t)snapshot->worker);
}

static int append_state(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "s", snapshot->state);
}

static int append_since(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "t", wall_time(snapshot->since));
}

static int append_process_count(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "u", (uint32_t)snapshot->process_count);
}

static int append_connections(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "u", snapshot->connections);
}

static int append_accepted(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "t", snapshot->counters.accepted);
}

static int append_datagrams(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "t", snapshot->counters.datagrams);
}

static int append_ended(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "t", snapshot->counters.ended);
}

static int append_failed(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "t", snapshot->counters.failed);
}

static int append_starts(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "t", snapshot->counters.starts);
}

static int append_restarts(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "t", snapshot->counters.restarts);
}

static int append_refused_count(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "t", snapshot->refused);
}

static int append_last_exit(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "s", buf_text(&snapshot->last_exit));
}

static int append_description(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return bus_append_text(message, snapshot->description);
}

static int append_reason(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return bus_append_text(message, buf_text(&snapshot->reason));
}

static int append_until(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "t", snapshot->until == USEC_INFINITY ? 0 : wall_time(snapshot->until));
}

static int append_main_pid(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "u", (uint32_t)snapshot->main_pid);
}

static int append_watchdog(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "t", snapshot->watchdog == USEC_INFINITY ? 0 : snapshot->watchdog);
}

static int append_spares(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "u", (uint32_t)snapshot->spares);
}

static int append_stored(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "u", (uint32_t)snapshot->stored);
}

static int append_status_text(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return bus_append_text(message, snapshot->status_text);
}

static int append_outdated(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return sd_bus_message_append(message, "b", snapshot->outdated);
}

static int append_listen(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return bus_append_texts(message, &snapshot->listen);
}

static int append_names(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return bus_append_texts(message, &snapshot->names);
}

static int append_refused(sd_bus_message *message, const struct service_snapshot *snapshot) {
        int r = sd_bus_message_open_container(message, 'a', "{st}");

        for (unsigned i = 0; r >= 0 && i < REFUSAL_N; i++) {
                uint64_t count = refusals_count(snapshot->refusals, i);

                if (count > 0)
                        r = sd_bus_message_append(message, "{st}", refusal_names[i], count);
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_process(sd_bus_message *message, const struct snapshot_process *process) {
        int r = sd_bus_message_open_container(message, 'r', "utsss");

        if (r >= 0)
                r = sd_bus_message_append(message, "utss", (uint32_t)process->pid, wall_time(process->since),
                                          process->generation, process->state);
        if (r >= 0)
                r = bus_append_text(message, process->peer);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_processes(sd_bus_message *message, const struct service_snapshot *snapshot) {
        int r = sd_bus_message_open_container(message, 'a', "(utsss)");

        for (size_t i = 0; r >= 0 && i < snapshot->process_count; i++)
                r = append_process(message, &snapshot->processes[i]);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

/* How many, their sum, the bounds of the classes, and how many in each. */
static int append_histogram(sd_bus_message *message, const struct histogram *histogram) {
        static const struct histogram none;
        int r = sd_bus_message_open_container(message, 'r', "ttatat");

        if (!histogram)
                histogram = &none;
        if (r >= 0)
                r = sd_bus_message_append(message, "tt", histogram->count, histogram->sum);
        if (r >= 0)
                r = sd_bus_message_append_array(message, 't', histogram_bounds, sizeof(histogram_bounds));
        if (r >= 0)
                r = sd_bus_message_append_array(message, 't', histogram->classes, sizeof(histogram->classes));
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_start_latency(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return append_histogram(message, snapshot->start_latency);
}

static int append_ready_latency(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return append_histogram(message, snapshot->ready_latency);
}

static int append_duration(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return append_histogram(message, snapshot->duration);
}

struct count {
        const char *name;
        uint64_t value;
};

static int append_counts(sd_bus_message *message, const struct count *counts, size_t count) {
        int r = sd_bus_message_open_container(message, 'a', "{st}");

        for (size_t i = 0; r >= 0 && i < count; i++)
                r = sd_bus_message_append(message, "{st}", counts[i].name, counts[i].value);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static const struct answers *answers_of(const struct service_snapshot *snapshot) {
        static const struct answers none;

        return snapshot->answers ? snapshot->answers : &none;
}

static int append_requests(sd_bus_message *message, const struct service_snapshot *snapshot) {
        const struct answers *answers = answers_of(snapshot);
        struct count counts[HANDOFF_ANSWER_N + 4] = {{"total", answers_total(answers)}};
        size_t count = 1;

        for (size_t i = 0; i < HANDOFF_ANSWER_N; i++)
                counts[count++] = (struct count){answers_names[i], answers->counts[i]};
        counts[count++] = (struct count){"delayed", answers->delayed};
        counts[count++] = (struct count){"spawns", snapshot->counters.starts};
        counts[count++] = (struct count){"waiting", snapshot->tally.waiting};
        return append_counts(message, counts, snapshot->answers_requests ? count : 0);
}

static int append_workers(sd_bus_message *message, const struct service_snapshot *snapshot) {
        const struct count counts[] = {
                {"idle", snapshot->tally.idle},
                {"busy", snapshot->tally.busy},
                {"leaving", snapshot->tally.leaving},
        };

        return append_counts(message, counts, snapshot->answers_requests ? LENGTH_OF(counts) : 0);
}

static int append_request_classes(sd_bus_message *message, const struct service_snapshot *snapshot) {
        struct count counts[ANSWERS_CLASSES];

        for (size_t i = 0; i < ANSWERS_CLASSES; i++)
                counts[i] = (struct count){answers_class_names[i], answers_of(snapshot)->classes[i]};
        return append_counts(message, counts, snapshot->answers_requests ? ANSWERS_CLASSES : 0);
}

static int append_request_latency(sd_bus_message *message, const struct service_snapshot *snapshot) {
        return append_histogram(message, snapshot->answers ? &snapshot->answers->latency : NULL);
}

/* Name, signature, how it is appended, whether it is left out of the short form. */
#define PROPERTIES(X)                                                                                                  \
        X("Name", "s", append_name, false)                                                                             \
        X("Service", "s", append_service, false)                                                                       \
        X("Worker", "u", append_worker, false)                                                                         \
        X("Description", "s", append_description, false)                                                               \
        X("State", "s", append_state, false)                                                                           \
        X("Since", "t", append_since, false)                                                                           \
        X("Until", "t", append_until, false)                                                                           \
        X("Reason", "s", append_reason, false)                                                                         \
        X("StatusText", "s", append_status_text, false)                                                                \
        X("Outdated", "b", append_outdated, false)                                                                     \
        X("Listen", "as", append_listen, false)                                                                        \
        X("Names", "as", append_names, false)                                                                          \
        X("ProcessCount", "u", append_process_count, false)                                                            \
        X("SpareProcesses", "u", append_spares, false)                                                                 \
        X("MainPid", "u", append_main_pid, false)                                                                      \
        X("Watchdog", "t", append_watchdog, false)                                                                     \
        X("StoredDescriptors", "u", append_stored, false)                                                              \
        X("Connections", "u", append_connections, false)                                                               \
        X("Accepted", "t", append_accepted, false)                                                                     \
        X("Datagrams", "t", append_datagrams, false)                                                                   \
        X("Ended", "t", append_ended, false)                                                                           \
        X("Failed", "t", append_failed, false)                                                                         \
        X("Starts", "t", append_starts, false)                                                                         \
        X("Restarts", "t", append_restarts, false)                                                                     \
        X("RefusedCount", "t", append_refused_count, false)                                                            \
        X("Refused", "a{st}", append_refused, false)                                                                   \
        X("LastExit", "s", append_last_exit, false)                                                                    \
        X("Processes", "a(utsss)", append_processes, true)                                                             \
        X("StartLatency", "(ttatat)", append_start_latency, true)                                                      \
        X("Duration", "(ttatat)", append_duration, true)                                                               \
        X("ReadyLatency", "(ttatat)", append_ready_latency, true)                                                      \
        X("Requests", "a{st}", append_requests, true)                                                                  \
        X("Workers", "a{st}", append_workers, true)                                                                    \
        X("RequestClasses", "a{st}", append_request_classes, true)                                                     \
        X("RequestLatency", "(ttatat)", append_request_latency, true)

#define PROPERTY_ROW(name, signature, append, detail) {name, signature, append, detail},
static const struct row rows[] = {PROPERTIES(PROPERTY_ROW)};

static int append_entry(sd_bus_message *message, const struct row *row, const struct service_snapshot *snapshot) {
        int r = sd_bus_message_open_container(message, 'e', "sv");

        if (r >= 0)
                r = sd_bus_message_append(message, "s", row->name);
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'v', row->signature);
        if (r >= 0)
                r = row->append(message, snapshot);
        if (r >= 0)
                r = sd_bus_message_close_container(message);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

int bus_service_append(sd_bus_message *message, const struct service *service, bool all) {
        AUTO(service_snapshot_deinit) struct service_snapshot snapshot;
        int r = 0;

        if (!service_snapshot_take(service, all, &snapshot))
                return -ENOMEM;
        r = sd_bus_message_open_container(message, 'a', "{sv}");
        for (size_t i = 0; r >= 0 && i < LENGTH_OF(rows); i++)
                if (all || !rows[i].detail)
                        r = append_entry(message, &rows[i], &snapshot);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int on_get(sd_bus *connection UNUSED, const char *path UNUSED, const char *interface UNUSED,
                  const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error UNUSED) {
        AUTO(service_snapshot_deinit) struct service_snapshot snapshot;
        const struct row *row = rows;

        while (strcmp(row->name, property) != 0)
                row++;
        if (!service_snapshot_take(userdata, row->append == append_processes, &snapshot))
                return -ENOMEM;
        return row->append(reply, &snapshot);
}

static int on_find(sd_bus *connection UNUSED, const char *path, const char *interface UNUSED, void *userdata,
                   void **ret_found, sd_bus_error *error UNUSED) {
        const struct bus_peer *peer = userdata;
        AUTO(freep) char *name = NULL;
        int r = sd_bus_path_decode(path, BUS_SERVICE_PREFIX, &name);

        if (r <= 0)
                return r;
        *ret_found = manager_find(peer->bus->setup.manager, name);
        return *ret_found != NULL;
}

/* The list and its paths are freed by the library, so they cannot be a strlist's. */
static int on_enumerate(sd_bus *connection UNUSED, const char *prefix UNUSED, void *userdata, char ***ret_nodes,
                        sd_bus_error *error UNUSED) {
        struct manager *manager = ((const struct bus_peer *)userdata)->bus->setup.manager;
        char **nodes = calloc(HASH_COUNT(manager->by_name) + 1, sizeof(*nodes));
        const struct service *service;
        size_t count = 0;
        int r = nodes ? 0 : -ENOMEM;

        list_for_each(service, &manager->services, link) {
                if (r >= 0)
                        r = sd_bus_path_encode(BUS_SERVICE_PREFIX, service->name, &nodes[count]);
                if (r >= 0)
                        count++;
        }
        if (r < 0) {
                for (size_t i = 0; i < count; i++)
                        free(nodes[i]);
                free(nodes);
                return r;
        }
        *ret_nodes = nodes;
        return 0;
}

#define PROPERTY_VTABLE(name, signature, append, detail) SD_BUS_PROPERTY(name, signature, on_get, 0, 0),
static const sd_bus_vtable service_vtable[] = {
        SD_BUS_VTABLE_START(0),
        PROPERTIES(PROPERTY_VTABLE) SD_BUS_VTABLE_END,
};

int bus_service_add(struct bus_peer *peer) {
        int r = sd_bus_add_fallback_vtable(peer->connection, NULL, BUS_SERVICE_PREFIX, "org.sockbroker.Service",
                                           service_vtable, on_find, peer);

        return r < 0 ? r : sd_bus_add_node_enumerator(peer->connection, NULL, BUS_SERVICE_PREFIX, on_enumerate, peer);
}
