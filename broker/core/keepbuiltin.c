/* Connections of built-ins on their way to the next binary (core/keep.h). */
#include "base/err.h"
#include "core/keep.h"
#include "handoff/builtinkeep.h"

const char *const builtin_kind_names[HANDOFF_BUILTIN_N] = {
        [HANDOFF_BUILTIN_ECHO] = "echo",       [HANDOFF_BUILTIN_DISCARD] = "discard",
        [HANDOFF_BUILTIN_DAYTIME] = "daytime", [HANDOFF_BUILTIN_TIME] = "time",
        [HANDOFF_BUILTIN_CHARGEN] = "chargen", [HANDOFF_BUILTIN_STATUS] = "status",
        [HANDOFF_BUILTIN_TCPMUX] = "tcpmux",
};

static void save_one(void *userdata, const struct builtinkeep_connection *connection) {
        const struct state_out *list = userdata;
        struct state_out out = state_add_object(*list);

        connection_save(connection->connection, state_put_object(out, "connection"));
        state_put_name(out, "step", builtinkeep_step_names, BUILTINKEEP_STEP_N, connection->step);
        state_put_integer(out, "position", connection->position);
        state_put_usec(out, "since", connection->since);
        state_put_integer(out, "received", (int64_t)connection->received);
        state_put_integer(out, "sent", (int64_t)connection->sent);
}

static void restore_one(struct program *program, struct state_in in) {
        struct service *service = program->service;
        const struct builtinkeep_connection connection = {
                .connection = connection_restore(service->manager, service, state_get_object(in, "connection")),
                .step = state_get_name(in, "step", builtinkeep_step_names, BUILTINKEEP_STEP_N, 0),
                .position = (unsigned)state_get_integer(in, "position", 0),
                .since = state_get_usec(in, "since"),
                .received = (uint64_t)state_get_integer(in, "received", 0),
                .sent = (uint64_t)state_get_integer(in, "sent", 0),
        };
        int r;

        if (!connection.connection)
                return;
        r = builtinkeep_add(program->handoff, &connection);
        if (r < 0)
                state_reader_fail(in.reader, "a connection of service %s cannot be taken over: %s", service->name,
                                  err_text(r));
}

void builtins_save(const struct program *program, struct state_out out) {
        struct state_out list;

        state_put_name(out, "kind", builtin_kind_names, HANDOFF_BUILTIN_N, program->builtin->kind);
        state_put_usec(out, "connection_timeout", program->builtin->connection_timeout);
        list = state_put_list(out, "connections");
        builtinkeep_each(program->handoff, save_one, &list);
}

void builtins_restore(struct program *program, struct state_in in) {
        struct state_in list = state_get_list(in, "connections");

        if (!program->builtin) {
                state_reader_fail(in.reader, "service %s was a built-in, and is none", program->service->name);
                return;
        }
        program->builtin->connection_timeout = state_get_usec(in, "connection_timeout");
        for (size_t i = 0; i < state_count(list); i++)
                restore_one(program, state_entry(list, i));
}
