/* Services and their ports on their way to the next binary (core/keep.h). */
#include "base/err.h"
#include "core/access.h"
#include "core/fdstore.h"
#include "core/keep.h"
#include "core/servicefsm.h"
#include "handoff/timer.h"

#include <string.h>

void port_save(const struct port *port, const struct inherit *inherit, struct state_out out) {
        if (!port->inherited)
                state_put_fd(out, "fd", port->fd);
        addr_save(&port->addr, state_put_object(out, "address"));
        state_put_integer(out, "listen", (int64_t)port->listen_index);
        if (port->inherited)
                state_put_integer(out, "inherited", port->inherited - inherit->items);
        state_put_integer(out, "device", (int64_t)port->file.device);
        state_put_integer(out, "inode", (int64_t)port->file.inode);
        state_put_flag(out, "shared", port->shared);
}

struct port *port_restore(struct service *service, struct state_in in) {
        struct inherit *inherit = &service->manager->inherit;
        uint64_t listen = (uint64_t)state_get_integer(in, "listen", 0);
        uint64_t inherited = (uint64_t)state_get_integer(in, "inherited", 0);
        struct port like = {
                .service = service,
                .listen_index = listen,
                .file =
                        {
                                .device = (dev_t)state_get_integer(in, "device", 0),
                                .inode = (ino_t)state_get_integer(in, "inode", 0),
                        },
                .shared = state_get_flag(in, "shared"),
        };
        struct port *port = NULL;
        int fd = -EBADF, r = -EINVAL;

        addr_restore(&like.addr, state_get_object(in, "address"));
        if (state_has(in, "inherited") && inherited < inherit->count) {
                like.inherited = &inherit->items[inherited];
                like.inherited->taken = true;
                fd = like.inherited->fd;
        } else if (!state_has(in, "inherited")) {
                fd = state_take_fd(in, "fd");
        }
        if (listen < service->def->listen.count && fd >= 0) {
                like.def = &service->def->listen.items[listen];
                r = port_reopen(service->manager->event, &like, fd, &port);
        }
        if (r < 0)
                state_reader_fail(in.reader, "a socket of service %s cannot be taken over: %s", service->name,
                                  err_text(r));
        return port;
}

static void save_access(const struct access *access, struct state_out out) {
        if (!access)
                return;
        state_put_flag(out, "rate_used", access->rate.used);
        state_put_usec(out, "rate_at", access->rate.at);
        state_put_usec(out, "rate_fill", access->rate.fill);
        state_put_usec(out, "rate_over_until", access->rate_over_until);
}

static void restore_admission(struct service *service, struct state_in in) {
        struct access *access;

        limits_set(&service->admission.limits, service->def->instances);
        if (access_new(service->def, &access) < 0) {
                state_reader_fail(in.reader, "memory ran out");
                return;
        }
        service->admission.access = access;
        if (!access || !state_get_flag(in, "rate_used"))
                return;
        access->rate = (struct bucket){
                .at = state_get_usec(in, "rate_at"),
                .fill = state_get_usec(in, "rate_fill"),
                .used = true,
        };
        if (state_has(in, "rate_over_until"))
                access->rate_over_until = state_get_usec(in, "rate_over_until");
}

static void save_store(const struct fdstore *store, struct state_out out) {
        AUTO(freep) struct handoff_stored *items = NULL;
        struct state_out list;
        size_t count = 0;

        if (!store)
                return;
        if (fdstore_list(store, &items, &count) < 0)
                state_writer_fail(out.writer, "memory ran out");
        list = state_put_list(out, "stored");
        for (size_t i = 0; i < count; i++) {
                struct state_out entry = state_add_object(list);

                state_put_fd(entry, "fd", items[i].fd);
                state_put_text(entry, "name", items[i].name);
                state_put_flag(entry, "poll", fdstore_is_polled(store, i));
        }
}

static void restore_store(struct service *service, struct state_in in) {
        struct state_in list = state_get_list(in, "stored");

        if (state_count(list) > 0 && fdstore_new(service->manager->event, &service->fdstore) < 0) {
                state_reader_fail(in.reader, "memory ran out");
                return;
        }
        for (size_t i = 0; i < state_count(list); i++) {
                struct state_in entry = state_entry(list, i);
                AUTO(freep) char *name = state_get_text(entry, "name");
                const struct fdstore_item_request request = {
                        .name = name ? name : "stored", .poll = state_get_flag(entry, "poll"), .max = SIZE_MAX};
                int r = fdstore_add(service->fdstore, &request, state_take_fd(entry, "fd"));

                if (r < 0)
                        state_reader_fail(in.reader, "a descriptor that service %s has stored cannot be kept: %s",
                                          service->name, err_text(r));
        }
}

static const char *const after_stop_names[] = {
        [AFTER_STOP_OPEN] = "open",
        [AFTER_STOP_LISTEN] = "listen",
        [AFTER_STOP_RUN] = "run",
};

static const char *const replacement_names[] = {
        [REPLACEMENT_NONE] = "none",
        [REPLACEMENT_DONE] = "done",
        [REPLACEMENT_FAILED] = "failed",
};

static void save_state(const struct service *service, struct state_out out) {
        state_put_name(out, "state", service_state_names, SERVICE_STATE_N, service->state);
        state_put_usec(out, "since", service->since);
        state_put_usec(out, "timer_at", timer_due(service->timer));
        state_put_name(out, "pause", service_pause_names, SERVICE_PAUSE_N, service->pause);
        state_put_name(out, "after_stop", after_stop_names, LENGTH_OF(after_stop_names), service->after_stop);
        state_put_name(out, "replacement", replacement_names, LENGTH_OF(replacement_names), service->replacement);
        state_put_usec(out, "deadline", service->deadline);
        state_put_flag(out, "outdated", service->outdated);
        state_put_name(out, "exit_reason", process_reason_names, PROCESS_REASON_N, service->last_reason);
        state_put_integer(out, "pause_error", service->pause_error);
        if (service->pause_stage != CHILD_STAGE_NONE)
                state_put_name(out, "pause_stage", child_stage_names, CHILD_STAGE_N, service->pause_stage);
        state_put_usec(out, "shortage_delay", service->shortage_delay);
        state_put_usec(out, "restart_delay", service->restart_delay);
        state_put_usec(out, "trigger_begin", service->trigger.begin);
        state_put_integer(out, "trigger_count", service->trigger.count);
        state_put_integer(out, "exit_code", service->last_exit.code);
        state_put_integer(out, "exit_status", service->last_exit.status);
        state_put_usec(out, "last_runtime", service->last_runtime);
        state_put_flag(out, "last_launch_failed", service->last_launch_failed);
        state_put_flag(out, "load_told", service->load_told);
}

static void restore_state(struct service *service, struct state_in in) {
        service->state = state_get_name(in, "state", service_state_names, SERVICE_STATE_N, SERVICE_STATE_N);
        service->since = state_get_usec(in, "since");
        service->pause = state_get_name(in, "pause", service_pause_names, SERVICE_PAUSE_N, PAUSE_NONE);
        service->after_stop =
                state_get_name(in, "after_stop", after_stop_names, LENGTH_OF(after_stop_names), AFTER_STOP_OPEN);
        service->replacement =
                state_get_name(in, "replacement", replacement_names, LENGTH_OF(replacement_names), REPLACEMENT_NONE);
        service->deadline = state_get_usec(in, "deadline");
        service->outdated = state_get_flag(in, "outdated");
        service->last_reason = state_get_name(in, "exit_reason", process_reason_names, PROCESS_REASON_N, PROCESS_ENDED);
        service->pause_error = (int)state_get_integer(in, "pause_error", 0);
        service->pause_stage = state_get_name(in, "pause_stage", child_stage_names, CHILD_STAGE_N, CHILD_STAGE_NONE);
        service->shortage_delay = state_has(in, "shortage_delay") ? state_get_usec(in, "shortage_delay") : 0;
        service->restart_delay = state_has(in, "restart_delay") ? state_get_usec(in, "restart_delay") : 0;
        service->trigger = (struct rate){
                .begin = state_get_usec(in, "trigger_begin"),
                .count = (unsigned)state_get_integer(in, "trigger_count", 0),
        };
        service->last_exit = (struct exitinfo){
                .code = (int)state_get_integer(in, "exit_code", 0),
                .status = (int)state_get_integer(in, "exit_status", 0),
        };
        service->last_runtime = state_has(in, "last_runtime") ? state_get_usec(in, "last_runtime") : 0;
        service->last_launch_failed = state_get_flag(in, "last_launch_failed");
        service->load_told = state_get_flag(in, "load_told");
        if (service->state == SERVICE_STATE_N)
                state_reader_fail(in.reader, "service %s has no state", service->name);
}

void service_save(const struct service *service, struct state_out out) {
        struct state_out ports, retired, held;
        const struct connection *connection;
        const struct program *program;

        state_put_text(out, "name", service->name);
        state_put_integer(out, "worker", service->worker);
        definition_save(service->def, state_put_object(out, "definition"));
        save_state(service, out);
        counters_save(service, out);
        save_store(service->fdstore, out);
        save_access(service->admission.access, out);
        ports = state_put_list(out, "ports");
        for (size_t i = 0; i < service->port_count; i++)
                port_save(service->ports[i], &service->manager->inherit, state_add_object(ports));
        if (service->program)
                program_save(service->program, state_put_object(out, "program"));
        retired = state_put_list(out, "retired");
        list_for_each(program, &service->retired, link)
                program_save(program, state_add_object(retired));
        held = state_put_list(out, "held");
        list_for_each(connection, &service->held, link)
                connection_save(connection, state_add_object(held));
}

static void restore_ports(struct service *service, struct state_in list) {
        size_t count = state_count(list);

        if (count == 0)
                return;
        service->ports = calloc(count, sizeof(*service->ports));
        if (!service->ports) {
                state_reader_fail(list.reader, "memory ran out");
                return;
        }
        for (size_t i = 0; i < count; i++) {
                struct port *port = port_restore(service, state_entry(list, i));

                if (!port)
                        return;
                service->ports[service->port_count++] = port;
        }
}

static void restore_programs(struct service *service, struct state_in in) {
        struct state_in retired = state_get_list(in, "retired"), held = state_get_list(in, "held");

        if (state_has(in, "program"))
                service->program = program_restore_current(service, state_get_object(in, "program"));
        for (size_t i = 0; i < state_count(retired); i++) {
                struct program *program = program_restore_retired(service, state_entry(retired, i));

                if (program)
                        list_append(&service->retired, &program->link);
        }
        for (size_t i = 0; i < state_count(held); i++) {
                struct connection *connection = connection_restore(service->manager, service, state_entry(held, i));

                if (connection)
                        list_append(&service->held, &connection->link);
        }
}

static struct service *make_service(struct manager *manager, struct state_in in, bool leaves) {
        AUTO(freep) char *name = state_get_text(in, "name");
        struct service_def *def = definition_restore(state_get_object(in, "definition"));
        struct service *service;

        if (!name || !def || service_new(manager, name, def, &service) < 0) {
                state_reader_fail(in.reader, "a service of the running broker cannot be taken over");
                service_def_free(def);
                return NULL;
        }
        service->worker = (unsigned)state_get_integer(in, "worker", 1);
        if (leaves)
                list_append(&manager->leaving, &service->link);
        else
                manager_add(manager, service);
        return service;
}

void service_restore(struct manager *manager, struct state_in in, bool leaves) {
        struct service *service = make_service(manager, in, leaves);

        if (!service)
                return;
        restore_admission(service, in);
        counters_restore(service, in);
        restore_store(service, in);
        restore_ports(service, state_get_list(in, "ports"));
        if (!state_reader_failed(in.reader))
                restore_programs(service, in);
        restore_state(service, in);
        if (!state_reader_failed(in.reader) && servicefsm_restore(service, state_get_usec(in, "timer_at")) < 0)
                state_reader_fail(in.reader, "the sockets of service %s cannot be watched", service->name);
}
