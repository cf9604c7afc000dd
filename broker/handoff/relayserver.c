/* The server behind a proxy's target: started by the first connection, stopped when there has been none for
 * long. It gets no socket. */
#include "base/clock.h"
#include "handoff/fdplan.h"
#include "handoff/relays.h"

#include <errno.h>

#define BLOCKED_DELAY (20 * USEC_PER_MSEC) /* until it is looked again whether the one before has ended */

static usec_t saturating_add(usec_t a, usec_t b) {
        return b > USEC_INFINITY - a ? USEC_INFINITY : a + b;
}

static int start(struct relays *relays) {
        struct handoff *handoff = &relays->handoff;
        struct launch_fd fds[FDPLAN_STDIO_MAX];
        struct launch_request request = {.plan = handoff->setup.plan, .fds = fds};
        int r = handoff->setup.events->prepare(handoff->setup.userdata, handoff, relays->server_again);

        if (r < 0)
                return r;
        request.fd_count = fdplan_standard(&handoff->setup, -EBADF, fds);
        r = handoff_start_process(handoff, &request, NULL);
        if (r < 0)
                return r;
        relays->server = RELAY_SERVER_RUNNING;
        relays->server_proved = relays->server_wanted = relays->server_again = false;
        relays->idle_since = relays_now(relays);
        relays->down = false;
        relays->retry_delay = 0;
        return 0;
}

static usec_t next_delay(struct relays *relays) {
        const struct handoff_relay *setup = relays_setup(relays);

        relays->server_delay = relays->server_delay == 0 ? setup->restart_delay
                                                         : MIN_OF(relays->server_delay * 2, setup->restart_delay_max);
        return relays->server_delay;
}

int relayserver_want(struct relays *relays, usec_t now) {
        int r;

        if (!relays_setup(relays)->has_server || relays->server == RELAY_SERVER_RUNNING)
                return 1;
        if (relays->server == RELAY_SERVER_STOPPING || now < relays->server_at)
                return 0;
        r = start(relays);
        relays->server_error = r;
        if (r == 0)
                return 1;
        relays->server_at = saturating_add(now, r == -EBUSY ? BLOCKED_DELAY : next_delay(relays));
        return r == -EBUSY ? 0 : r;
}

static void stop(struct relays *relays, enum process_reason reason) {
        struct process *server = list_first(&relays->handoff.processes, struct process, link);

        relays->server_wanted = relays->server_again = false;
        if (relays->server != RELAY_SERVER_RUNNING)
                return;
        relays->server = RELAY_SERVER_STOPPING;
        process_stop(server, reason);
}

void relayserver_stop(struct relays *relays) {
        stop(relays, PROCESS_STOPPED);
}

static usec_t idle_at(const struct relays *relays) {
        if (relays->server != RELAY_SERVER_RUNNING || relays->handoff.connection_count > 0)
                return USEC_INFINITY;
        return saturating_add(relays->idle_since, relays_setup(relays)->idle_stop);
}

/* Who waits may be connecting already, to what a server that has ended was about to listen to. */
bool relayserver_is_wanted(const struct relays *relays) {
        return relays->server_wanted || !list_is_empty(&relays->waiting);
}

void relayserver_run(struct relays *relays, usec_t now) {
        if (now >= idle_at(relays))
                stop(relays, PROCESS_IDLE);
        if (relayserver_is_wanted(relays))
                relayserver_want(relays, now);
}

usec_t relayserver_next(const struct relays *relays) {
        if (relays_setup(relays)->has_server && relays->server == RELAY_SERVER_NONE && relayserver_is_wanted(relays))
                return relays->server_at;
        return idle_at(relays);
}

void relayserver_on_end(struct relays *relays, const struct process_end *end) {
        const struct handoff_relay *setup = relays_setup(relays);
        bool ours = end->reason == PROCESS_STOPPED || end->reason == PROCESS_IDLE;
        bool failed = end->launch_failed || end->reason != PROCESS_ENDED || !exitinfo_is_success(&end->exit);
        usec_t ran = end->ended_at - end->started_at;

        relays->server = RELAY_SERVER_NONE;
        relays->server_error = end->launch_failed ? -end->failure.error : 0;
        if (ours || relays->server_proved || ran > setup->restart_delay_max)
                relays->server_delay = 0;
        relays->server_at = end->ended_at;
        if (!ours && !relays->server_proved)
                relays->server_at = saturating_add(end->ended_at, next_delay(relays));
        if (!ours && !relays->retired && (setup->restarts_always || (setup->restarts && failed))) {
                relays->server_wanted = relays->server_again = true;
                relays->server_at = MAX_OF(relays->server_at, saturating_add(end->ended_at, setup->restart_delay));
        }
}
