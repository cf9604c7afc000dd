/* proxy. Relays bytes between accepted connections and a target, which may be a server that is started on
 * demand. Everything that happens after a while goes by one timer: relays are in lists by age, and the first of
 * each is looked at. */
#include "handoff/relays.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define STEP_MAX USEC_PER_SEC /* how inexact the order of running relays may be */

static usec_t saturating_add(usec_t a, usec_t b) {
        return b > USEC_INFINITY - a ? USEC_INFINITY : a + b;
}

usec_t relays_now(const struct relays *relays) {
        uint64_t now;

        if (sd_event_now(relays->handoff.setup.host->event, CLOCK_MONOTONIC, &now) < 0)
                return clock_monotonic();
        return now;
}

/* Where nothing moved since a relay was put at the end of its list, and for as long as it may have been left there
 * although something did: then connection_timeout is over for certain. */
static usec_t order_step(const struct relays *relays) {
        return MIN_OF(relays_setup(relays)->connection_timeout / 8, STEP_MAX);
}

static usec_t timeout_at(const struct relays *relays, const struct relay *relay) {
        return saturating_add(relay->since,
                              saturating_add(relays_setup(relays)->connection_timeout, order_step(relays)));
}

static usec_t deadline_of(const struct relays *relays, const struct relay *relay) {
        return saturating_add(relay->since, relays_setup(relays)->start_timeout);
}

void relays_run_soon(struct relays *relays) {
        sd_event_source_set_enabled(relays->turn, SD_EVENT_ONESHOT);
}

void relays_end(struct relay *relay, enum handoff_outcome outcome, int error) {
        struct relays *relays = relay->relays;

        if (relay->step == RELAY_OVER)
                return;
        /* It may have been the one that tries the target for all. */
        if (relay->step == RELAY_CONNECTING && relays->down) {
                relays->retry_at = relays_now(relays);
                relays_run_soon(relays);
        }
        relay_settle(relay, &relays->handoff.setup.host->pipes,
                     outcome == HANDOFF_RESET || outcome == HANDOFF_CLIENT_LEFT);
        for (enum relay_side side = RELAY_CLIENT; side < RELAY_SIDE_N; side++)
                relay->ends[side].io = sd_event_source_disable_unref(relay->ends[side].io);
        relay->ends[RELAY_TARGET].fd = fd_close(relay->ends[RELAY_TARGET].fd);
        list_remove(&relay->busy_link);
        list_remove(&relay->link);
        list_append(&relays->over, &relay->link);
        relay->step = RELAY_OVER;
        relay->outcome = (unsigned char)outcome;
        relay->error = error;
}

static usec_t next_at(const struct relays *relays) {
        usec_t next = MIN_OF(relaytarget_next(relays), relayserver_next(relays));

        if (!list_is_empty(&relays->waiting))
                next = MIN_OF(next, deadline_of(relays, list_entry(relays->waiting.next, struct relay, link)));
        if (!list_is_empty(&relays->running))
                next = MIN_OF(next, timeout_at(relays, list_entry(relays->running.next, struct relay, link)));
        return next;
}

/* What is set for too early does no harm: then it is looked again. */
static void arm(struct relays *relays) {
        usec_t next = next_at(relays);

        if (next >= relays->timer_at)
                return;
        relays->timer_at = next;
        sd_event_source_set_time(relays->timer, next);
        sd_event_source_set_enabled(relays->timer, SD_EVENT_ONESHOT);
}

/* Returns false when RELAYS may be gone. */
static bool deliver(struct relays *relays, struct relay *relay) {
        struct handoff *handoff = &relays->handoff;
        struct connection *connection = relay->connection;
        const struct handoff_finish finish = {
                .outcome = relay->outcome,
                .error = relay->error,
                .from_client = relay->directions[RELAY_CLIENT].bytes,
                .from_target = relay->directions[RELAY_TARGET].bytes,
        };
        bool last;

        list_remove(&relay->link);
        free(relay);
        if (finish.outcome == HANDOFF_GIVEN_BACK)
                fd_set_nonblock(connection->fd, false);
        handoff->connection_count--;
        if (handoff->connection_count == 0) {
                relays->idle_since = relays_now(relays);
                if (relays->retired)
                        relayserver_stop(relays);
                arm(relays);
        }
        last = !handoff_is_busy(handoff);
        handoff->setup.events->finished(handoff->setup.userdata, handoff, connection, &finish);
        return !last;
}

void relays_deliver(struct relays *relays) {
        struct relay *relay;

        while ((relay = list_first(&relays->over, struct relay, link)))
                if (!deliver(relays, relay))
                        return;
}

static void note_moved(struct relay *relay) {
        struct relays *relays = relay->relays;
        usec_t now;

        if (relays_setup(relays)->connection_timeout == USEC_INFINITY)
                return;
        now = relays_now(relays);
        if (now < relay->since + order_step(relays))
                return;
        relay->since = now;
        list_remove(&relay->link);
        list_append(&relays->running, &relay->link);
}

static void pump(struct relay *relay) {
        struct relays *relays = relay->relays;
        bool moved;
        enum relay_verdict verdict = relay_pump(relay, &relays->handoff.setup.host->pipes, &moved);

        list_remove(&relay->busy_link);
        switch (verdict) {
        case RELAY_DONE:
                relays_end(relay, HANDOFF_DONE, 0);
                return;
        case RELAY_RESET:
                relays_end(relay, HANDOFF_RESET, 0);
                return;
        case RELAY_BUSY:
                list_append(&relays->busy, &relay->busy_link);
                relays_run_soon(relays);
                break;
        case RELAY_IDLE:
                break;
        }
        if (moved)
                note_moved(relay);
}

/* A client that has gone before the target has taken it. Of an AF_UNIX one a hang-up says no more than an end does of
 * a TCP one: what it has said before is still delivered. */
static bool has_left(const struct relay *relay, uint32_t events) {
        char byte;

        if (events & EPOLLERR)
                return true;
        return events & EPOLLHUP && recv(relay->ends[RELAY_CLIENT].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

void relays_note(struct relay *relay, enum relay_side side, uint32_t events) {
        if (relay->step == RELAY_OVER)
                return;
        relay_note(relay, side, events);
        if (relay->step == RELAY_RUNNING)
                pump(relay);
        else if (has_left(relay, events))
                relays_end(relay, HANDOFF_CLIENT_LEFT, 0);
}

void relays_begin(struct relay *relay) {
        struct relays *relays = relay->relays;
        struct relay_end *end = &relay->ends[RELAY_TARGET];

        relay->step = RELAY_RUNNING;
        relay->error = 0;
        end->readable = end->writable = true;
        relay->since = relays_now(relays);
        list_remove(&relay->link);
        list_append(&relays->running, &relay->link);
        if (relays_setup(relays)->connection_timeout != USEC_INFINITY && relays->running.next == &relay->link)
                relays_run_soon(relays);
        pump(relay);
}

static int on_client_io(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events, void *userdata) {
        struct relay *relay = userdata;
        struct relays *relays = relay->relays;

        relays_note(relay, RELAY_CLIENT, events);
        relays_deliver(relays);
        return 0;
}

static void end_late(struct relays *relays, usec_t now) {
        struct relay *relay;

        while ((relay = list_first(&relays->waiting, struct relay, link)) && deadline_of(relays, relay) <= now)
                relays_end(relay, HANDOFF_TARGET_FAILED,
                           relay->error < 0           ? relay->error
                           : relays->server_error < 0 ? relays->server_error
                                                      : -ETIMEDOUT);
        while ((relay = list_first(&relays->running, struct relay, link)) && timeout_at(relays, relay) <= now)
                relays_end(relay, HANDOFF_TIMED_OUT, 0);
}

static int on_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        struct relays *relays = userdata;

        relays->timer_at = USEC_INFINITY;
        relays_run(relays);
        relays_deliver(relays);
        return 0;
}

void relays_run(struct relays *relays) {
        usec_t now = relays_now(relays);

        end_late(relays, now);
        relaytarget_run(relays, now);
        relayserver_run(relays, now);
        arm(relays);
}

/* Each of those that are busy now has one turn; whoever stays busy has the next one after everybody else. */
static int on_turn(sd_event_source *source UNUSED, void *userdata) {
        struct relays *relays = userdata;
        struct list turn;
        struct relay *relay;

        list_init(&turn);
        while ((relay = list_first(&relays->busy, struct relay, busy_link))) {
                list_remove(&relay->busy_link);
                list_append(&turn, &relay->busy_link);
        }
        while ((relay = list_first(&turn, struct relay, busy_link)))
                pump(relay);
        relays_run(relays);
        relays_deliver(relays);
        return 0;
}

static int relays_open(struct handoff *handoff) {
        struct relays *relays = relays_of(handoff);
        sd_event *event = handoff->setup.host->event;
        int r;

        list_init(&relays->waiting);
        list_init(&relays->running);
        list_init(&relays->busy);
        list_init(&relays->over);
        relays->timer_at = USEC_INFINITY;
        relays->counted_for = relays_setup(relays)->connection_timeout;
        r = sd_event_add_time(event, &relays->timer, CLOCK_MONOTONIC, 0, 1, on_timer, relays);
        if (r >= 0)
                r = sd_event_source_set_enabled(relays->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(event, &relays->turn, on_turn, relays);
        if (r >= 0)
                r = sd_event_source_set_enabled(relays->turn, SD_EVENT_OFF);
        return r < 0 ? err_raise(r) : 0;
}

static struct relay *relay_free(struct relay *relay) {
        if (!relay)
                return NULL;
        list_remove(&relay->link);
        for (enum relay_side side = RELAY_CLIENT; side < RELAY_SIDE_N; side++)
                sd_event_source_disable_unref(relay->ends[side].io);
        fd_close(relay->ends[RELAY_TARGET].fd);
        free(relay);
        return NULL;
}

static void relay_freep(struct relay **relay) {
        *relay = relay_free(*relay);
}

int relays_watch_client(struct relay *relay) {
        const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
        struct relay_end *end = &relay->ends[RELAY_CLIENT];
        int r;

        end->fd = relay->connection->fd;
        end->readable = end->writable = true;
        r = fd_set_nonblock(end->fd, true);
        if (r == 0)
                r = sd_event_add_io(relay->relays->handoff.setup.host->event, &end->io, end->fd, events, on_client_io,
                                    relay);
        setsockopt(end->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        return r < 0 ? err_raise(r) : 0;
}

/* 0, or the shortage that keeps it from getting on. */
static int get_on(struct relay *relay) {
        struct relays *relays = relay->relays;
        int r = relays_watch_client(relay);

        if (r == 0)
                r = relayserver_want(relays, relay->since);
        if (r > 0)
                r = relays->down ? 0 : relaytarget_connect(relay, true);
        return r;
}

static int relays_take_connection(struct handoff *handoff, struct connection *connection) {
        struct relays *relays = relays_of(handoff);
        AUTO(relay_freep) struct relay *relay = calloc(1, sizeof(*relay));
        int r;

        if (!relay)
                return err_raise(-ENOMEM);
        relay->relays = relays;
        relay->connection = connection;
        relay->ends[RELAY_TARGET].fd = -EBADF;
        relay->since = relays_now(relays);
        list_init(&relay->busy_link);
        list_init(&relay->link);
        list_append(&relays->waiting, &relay->link);
        handoff->connection_count++;
        r = get_on(relay);
        if (r < 0) {
                handoff->connection_count--;
                fd_set_nonblock(connection->fd, false);
                return r;
        }
        if (relay->step == RELAY_OVER)
                relays_run_soon(relays);
        else
                arm(relays);
        take_ptr(relay);
        return 0;
}

static void relays_boot(struct handoff *handoff) {
        struct relays *relays = relays_of(handoff);

        if (relays->booted)
                return;
        relays->booted = relays->server_wanted = true;
        relays_run_soon(relays);
}

static void relays_on_process_end(struct handoff *handoff, const struct process_end *end) {
        relayserver_on_end(relays_of(handoff), end);
        relays_run_soon(relays_of(handoff));
}

/* Nobody has kept count while there was no timeout, or a longer one. */
static void relays_on_policy(struct handoff *handoff) {
        struct relays *relays = relays_of(handoff);
        usec_t now = relays_now(relays);
        struct relay *relay;

        if (relays->counted_for != relays_setup(relays)->connection_timeout)
                list_for_each(relay, &relays->running, link)
                        relay->since = now;
        relays->counted_for = relays_setup(relays)->connection_timeout;
        relays_run_soon(relays);
}

static void end_all(struct list *list, enum handoff_outcome outcome) {
        struct relay *relay;

        while ((relay = list_first(list, struct relay, link)))
                relays_end(relay, outcome, 0);
}

static void relays_retire(struct handoff *handoff, enum handoff_retirement how) {
        struct relays *relays = relays_of(handoff);

        relays->retired = true;
        relays->server_wanted = false;
        if (how == HANDOFF_REPLACED)
                end_all(&relays->waiting, HANDOFF_GIVEN_BACK);
        if (how == HANDOFF_REPLACED || handoff->connection_count == 0)
                relayserver_stop(relays);
        relays_run_soon(relays);
}

static bool relays_cut(struct handoff *handoff) {
        struct relays *relays = relays_of(handoff);

        end_all(&relays->waiting, HANDOFF_STOPPED);
        end_all(&relays->running, HANDOFF_STOPPED);
        relays_run_soon(relays);
        return handoff->connection_count > 0;
}

static void relays_stop(struct handoff *handoff) {
        relays_cut(handoff);
        relayserver_stop(relays_of(handoff));
}

static void relays_restart(struct handoff *handoff) {
        struct relays *relays = relays_of(handoff);
        bool wanted = relays->server != RELAY_SERVER_NONE || relays->server_wanted || relays->booted;

        relays_stop(handoff);
        relays->server_wanted = wanted;
        relays->server_at = 0;
        relays->server_delay = 0;
}

static bool relays_is_waiting(const struct handoff *handoff) {
        return ((const struct relays *)handoff)->server_wanted;
}

static bool relays_is_failing(const struct handoff *handoff, int *ret_error) {
        const struct relays *relays = (const struct relays *)handoff;

        *ret_error = relays->server_error;
        return relays->server == RELAY_SERVER_NONE && relays->server_delay > 0 && relayserver_is_wanted(relays);
}

static void relays_abandon(struct handoff *handoff) {
        struct relays *relays = relays_of(handoff);
        struct relay *relay;

        end_all(&relays->waiting, HANDOFF_STOPPED);
        end_all(&relays->running, HANDOFF_STOPPED);
        while ((relay = list_first(&relays->over, struct relay, link))) {
                connection_close(relay->connection);
                free(relay->connection);
                relay_free(relay);
        }
        handoff->connection_count = 0;
}

static void relays_close(struct handoff *handoff) {
        struct relays *relays = relays_of(handoff);

        relays->turn = sd_event_source_disable_unref(relays->turn);
        relays->timer = sd_event_source_disable_unref(relays->timer);
}

const struct handoff_ops relay_ops = {
        .type = HANDOFF_TYPE_RELAY,
        .size = sizeof(struct relays),
        .take_connection = relays_take_connection,
        .open = relays_open,
        .boot = relays_boot,
        .on_process_end = relays_on_process_end,
        .on_policy = relays_on_policy,
        .retire = relays_retire,
        .stop = relays_stop,
        .restart = relays_restart,
        .cut = relays_cut,
        .is_waiting = relays_is_waiting,
        .is_failing = relays_is_failing,
        .abandon = relays_abandon,
        .close = relays_close,
};
