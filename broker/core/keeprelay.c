/* A proxy's relays on their way to the next binary (core/keep.h): connections go on with what is in their pipes. */
#include "base/err.h"
#include "core/keep.h"
#include "handoff/builtinkeep.h"
#include "handoff/pass.h"
#include "handoff/relaykeep.h"
#include "handoff/requests.h"

static void direction_save(const struct relaykeep_direction *direction, struct state_out out) {
        state_put_integer(out, "bytes", (int64_t)direction->bytes);
        state_put_flag(out, "over", direction->over);
        state_put_flag(out, "copies", direction->copies);
        if (direction->read_fd < 0)
                return;
        state_put_fd(out, "read", direction->read_fd);
        state_put_fd(out, "write", direction->write_fd);
        state_put_integer(out, "size", (int64_t)direction->size);
}

static struct relaykeep_direction direction_restore(struct state_in in) {
        return (struct relaykeep_direction){
                .bytes = (uint64_t)state_get_integer(in, "bytes", 0),
                .over = state_get_flag(in, "over"),
                .copies = state_get_flag(in, "copies"),
                .read_fd = state_take_fd(in, "read"),
                .write_fd = state_take_fd(in, "write"),
                .size = (size_t)state_get_integer(in, "size", 0),
        };
}

static void relay_save(void *userdata, const struct relaykeep_relay *relay) {
        const struct state_out *list = userdata;
        struct state_out out = state_add_object(*list);

        connection_save(relay->connection, state_put_object(out, "connection"));
        state_put_fd(out, "target", relay->target_fd);
        state_put_usec(out, "since", relay->since);
        state_put_integer(out, "error", relay->error);
        state_put_flag(out, "broken", relay->broken);
        direction_save(&relay->from_client, state_put_object(out, "from_client"));
        direction_save(&relay->from_target, state_put_object(out, "from_target"));
}

static void relay_restore(struct program *program, struct state_in in) {
        struct service *service = program->service;
        struct relaykeep_relay relay = {
                .connection = connection_restore(service->manager, service, state_get_object(in, "connection")),
                .target_fd = state_take_fd(in, "target"),
                .since = state_get_usec(in, "since"),
                .error = (int)state_get_integer(in, "error", 0),
                .broken = state_get_flag(in, "broken"),
                .from_client = direction_restore(state_get_object(in, "from_client")),
                .from_target = direction_restore(state_get_object(in, "from_target")),
        };
        int r;

        if (!relay.connection)
                return;
        r = relaykeep_add(program->handoff, &relay);
        if (r < 0)
                state_reader_fail(in.reader, "a relayed connection of service %s cannot be taken over: %s",
                                  service->name, err_text(r));
}

void relays_save(const struct program *program, struct state_out out) {
        struct state_out relays;
        struct relaykeep kept;

        relaykeep_look(program->handoff, &kept);
        state_put_usec(out, "connection_timeout", program->relay->setup.connection_timeout);
        state_put_flag(out, "retired", kept.retired);
        state_put_flag(out, "booted", kept.booted);
        state_put_flag(out, "server_runs", kept.server_runs);
        state_put_flag(out, "server_proved", kept.server_proved);
        state_put_flag(out, "server_wanted", kept.server_wanted);
        state_put_flag(out, "server_again", kept.server_again);
        state_put_usec(out, "server_at", kept.server_at);
        state_put_usec(out, "server_delay", kept.server_delay);
        state_put_integer(out, "server_error", kept.server_error);
        state_put_usec(out, "idle_since", kept.idle_since);
        relays = state_put_list(out, "relays");
        relaykeep_each(program->handoff, relay_save, &relays);
}

void relays_restore(struct program *program, struct state_in in) {
        struct state_in relays = state_get_list(in, "relays");
        const struct relaykeep kept = {
                .retired = state_get_flag(in, "retired"),
                .booted = state_get_flag(in, "booted"),
                .server_runs = state_get_flag(in, "server_runs"),
                .server_proved = state_get_flag(in, "server_proved"),
                .server_wanted = state_get_flag(in, "server_wanted"),
                .server_again = state_get_flag(in, "server_again"),
                .server_at = state_get_usec(in, "server_at"),
                .server_delay = state_get_usec(in, "server_delay"),
                .server_error = (int)state_get_integer(in, "server_error", 0),
                .idle_since = state_get_usec(in, "idle_since"),
        };

        if (!program->relay) {
                state_reader_fail(in.reader, "service %s was a proxy, and is none", program->service->name);
                return;
        }
        program->relay->setup.connection_timeout = state_get_usec(in, "connection_timeout");
        relaykeep_restore(program->handoff, &kept);
        for (size_t i = 0; i < state_count(relays); i++)
                relay_restore(program, state_entry(relays, i));
}

static bool is_settled(const struct program *program) {
        if (program && program->builtin && !builtinkeep_is_settled(program->handoff))
                return false;
        if (program && program->handoff->ops->type == HANDOFF_TYPE_PASS)
                return pass_is_settled(pass_of(program->handoff));
        if (program && program->handoff->ops->type == HANDOFF_TYPE_REQUEST)
                return list_is_empty(&requests_of(program->handoff)->over);
        return !program || !program->relay || relaykeep_is_settled(program->handoff);
}

static bool service_is_settled(struct service *service) {
        const struct program *program;

        list_for_each(program, &service->retired, link)
                if (!is_settled(program))
                        return false;
        return is_settled(service->program);
}

bool manager_is_settled(struct manager *manager) {
        struct service *service;

        list_for_each(service, &manager->services, link)
                if (!service_is_settled(service))
                        return false;
        list_for_each(service, &manager->leaving, link)
                if (!service_is_settled(service))
                        return false;
        return true;
}
