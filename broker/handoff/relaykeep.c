#include "handoff/relaykeep.h"

#include "base/err.h"
#include "base/fd.h"
#include "handoff/relays.h"

#include <errno.h>

void relaykeep_look(const struct handoff *handoff, struct relaykeep *ret) {
        const struct relays *relays = (const struct relays *)handoff;

        *ret = (struct relaykeep){
                .retired = relays->retired,
                .booted = relays->booted,
                .server_runs = relays->server == RELAY_SERVER_RUNNING,
                .server_proved = relays->server_proved,
                .server_wanted = relays->server_wanted,
                .server_again = relays->server_again,
                .server_at = relays->server_at,
                .server_delay = relays->server_delay,
                .server_error = relays->server_error,
                .idle_since = relays->idle_since,
        };
}

static struct relaykeep_direction look_at_direction(const struct relay_direction *direction) {
        const struct pipe *pipe = direction->pipe;

        return (struct relaykeep_direction){
                .bytes = direction->bytes,
                .over = direction->over,
                .copies = direction->copies,
                .read_fd = pipe ? pipe->read_fd : -EBADF,
                .write_fd = pipe ? pipe->write_fd : -EBADF,
                .size = pipe ? pipe->size : 0,
        };
}

/* One that is just connecting tries again: nothing has been said yet. */
static struct relaykeep_relay look_at(const struct relay *relay) {
        return (struct relaykeep_relay){
                .connection = relay->connection,
                .target_fd = relay->step == RELAY_RUNNING ? relay->ends[RELAY_TARGET].fd : -EBADF,
                .since = relay->since,
                .error = relay->error,
                .broken = relay->broken,
                .from_client = look_at_direction(&relay->directions[RELAY_CLIENT]),
                .from_target = look_at_direction(&relay->directions[RELAY_TARGET]),
        };
}

void relaykeep_each(struct handoff *handoff, void (*each)(void *userdata, const struct relaykeep_relay *relay),
                    void *userdata) {
        struct relays *relays = relays_of(handoff);
        struct list *const lists[] = {&relays->waiting, &relays->running};
        struct relay *relay;

        for (size_t i = 0; i < LENGTH_OF(lists); i++)
                list_for_each(relay, lists[i], link) {
                        const struct relaykeep_relay kept = look_at(relay);

                        each(userdata, &kept);
                }
}

bool relaykeep_is_settled(const struct handoff *handoff) {
        return list_is_empty(&((const struct relays *)handoff)->over);
}

void relaykeep_restore(struct handoff *handoff, const struct relaykeep *kept) {
        struct relays *relays = relays_of(handoff);

        relays->retired = kept->retired;
        relays->booted = kept->booted;
        if (handoff->process_count > 0)
                relays->server = kept->server_runs ? RELAY_SERVER_RUNNING : RELAY_SERVER_STOPPING;
        relays->server_proved = kept->server_proved;
        relays->server_wanted = kept->server_wanted;
        relays->server_again = kept->server_again;
        relays->server_at = kept->server_at;
        relays->server_delay = kept->server_delay;
        relays->server_error = kept->server_error;
        relays->idle_since = kept->idle_since;
        relays->counted_for = relays_setup(relays)->connection_timeout;
        relays_run_soon(relays);
}

static int restore_direction(struct relay_direction *direction, const struct relaykeep_direction *kept) {
        direction->bytes = kept->bytes;
        direction->over = kept->over;
        direction->copies = kept->copies;
        if (kept->read_fd >= 0)
                direction->pipe = pipes_adopt(kept->read_fd, kept->write_fd, kept->size);
        return kept->read_fd >= 0 && !direction->pipe ? err_raise(-ENOMEM) : 0;
}

/* Whatever was ready is told once more by the kernel, since both ends are watched anew. */
static int watch(struct relay *relay) {
        struct relays *relays = relay->relays;
        struct relay_end *target = &relay->ends[RELAY_TARGET];
        int r = relays_watch_client(relay);

        if (r < 0 || target->fd < 0) {
                list_append(&relays->waiting, &relay->link);
                return r;
        }
        relay->step = RELAY_RUNNING;
        target->readable = target->writable = true;
        list_append(&relays->running, &relay->link);
        list_append(&relays->busy, &relay->busy_link);
        return relaytarget_watch(relay);
}

int relaykeep_add(struct handoff *handoff, const struct relaykeep_relay *own_relay) {
        struct relays *relays = relays_of(handoff);
        struct relay *relay = calloc(1, sizeof(*relay));
        int first, second, r;

        if (!relay)
                return err_raise(-ENOMEM);
        relay->relays = relays;
        relay->connection = own_relay->connection;
        relay->ends[RELAY_TARGET].fd = own_relay->target_fd;
        relay->since = own_relay->since;
        relay->error = own_relay->error;
        relay->broken = own_relay->broken;
        list_init(&relay->link);
        list_init(&relay->busy_link);
        handoff->connection_count++;
        first = restore_direction(&relay->directions[RELAY_CLIENT], &own_relay->from_client);
        second = restore_direction(&relay->directions[RELAY_TARGET], &own_relay->from_target);
        r = watch(relay);
        if (r == 0)
                r = first < 0 ? first : second;
        if (r < 0)
                relays_end(relay, HANDOFF_RESET, r);
        relays_run_soon(relays);
        return r;
}
