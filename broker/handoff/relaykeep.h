/* What a proxy's relays are made of, for those who carry them over an upgrade of the broker. */
#pragma once

#include "handoff/handoff.h"

/* Of a handoff of HANDOFF_TYPE_RELAY, beside its processes and its setup. */
struct relaykeep {
        bool retired;
        bool booted;
        bool server_runs; /* the one process of the handoff; otherwise it is ending, if there is one */
        bool server_proved;
        bool server_wanted;
        bool server_again;
        usec_t server_at; /* monotonic, as all of these */
        usec_t server_delay;
        int server_error;
        usec_t idle_since;
};

/* The direction from one side to the other. */
struct relaykeep_direction {
        uint64_t bytes;
        bool over;
        bool copies;
        int read_fd; /* of its pipe; negative: none */
        int write_fd;
        size_t size; /* of what is in it */
};

struct relaykeep_relay {
        struct connection *connection;
        int target_fd; /* negative: it waits for the target */
        usec_t since;
        int error; /* of the last try */
        bool broken;
        struct relaykeep_direction from_client;
        struct relaykeep_direction from_target;
};

void relaykeep_look(const struct handoff *handoff, struct relaykeep *ret);

/* Calls EACH for all relays but those that are over. What it is given is borrowed. */
void relaykeep_each(struct handoff *handoff, void (*each)(void *userdata, const struct relaykeep_relay *relay),
                    void *userdata);

/* Whether no relay is over that the service was not told of. */
bool relaykeep_is_settled(const struct handoff *handoff);

/* HANDOFF, which is new but for its processes, goes on with this. */
void relaykeep_restore(struct handoff *handoff, const struct relaykeep *kept);

/* The connection and the descriptors are the handoff's from now on. Returns 0 or a negative errno. */
int relaykeep_add(struct handoff *handoff, const struct relaykeep_relay *own_relay);
