/* builtin. Services that the broker answers itself, inside the loop. Everything that happens after a while goes by one
 * timer: connections are in lists by age, and the first of each is looked at. */
#include "handoff/builtins.h"

#include "base/clock.h"
#include "base/err.h"
#include "handoff/builtintext.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define STEP_MAX USEC_PER_SEC        /* how inexact the order of open ones may be */
#define PATIENCE (10 * USEC_PER_SEC) /* for a tcpmux client's line */
#define EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

static usec_t saturating_add(usec_t a, usec_t b) {
        return b > USEC_INFINITY - a ? USEC_INFINITY : a + b;
}

usec_t builtins_now(const struct builtins *builtins) {
        uint64_t now;

        if (sd_event_now(builtins->handoff.setup.host->event, CLOCK_MONOTONIC, &now) < 0)
                return clock_monotonic();
        return now;
}

void builtins_run_soon(struct builtins *builtins) {
        sd_event_source_set_enabled(builtins->turn, SD_EVENT_ONESHOT);
}

/* As for relays: for so long one may have been left where it is in its list although something has moved. */
static usec_t order_step(const struct builtins *builtins) {
        return MIN_OF(builtins_setup(builtins)->connection_timeout / 8, STEP_MAX);
}

static usec_t end_at(const struct builtin *builtin) {
        const struct builtins *builtins = builtin->builtins;
        usec_t timeout = builtins_setup(builtins)->connection_timeout;

        if (builtin->step != BUILTIN_OPEN)
                return saturating_add(builtin->since, MIN_OF(timeout, PATIENCE));
        return saturating_add(builtin->since, saturating_add(timeout, order_step(builtins)));
}

static void arm(struct builtins *builtins) {
        struct list *const lists[] = {&builtins->open, &builtins->brief};
        usec_t next = builtins->timer_at;

        for (size_t i = 0; i < LENGTH_OF(lists); i++)
                if (!list_is_empty(lists[i]))
                        next = MIN_OF(next, end_at(list_entry(lists[i]->next, struct builtin, link)));
        if (next >= builtins->timer_at)
                return;
        builtins->timer_at = next;
        sd_event_source_set_time(builtins->timer, next);
        sd_event_source_set_enabled(builtins->timer, SD_EVENT_ONESHOT);
}

void builtins_end(struct builtin *builtin, enum handoff_outcome outcome, int error) {
        if (builtin->step == BUILTIN_OVER)
                return;
        builtin->io = sd_event_source_disable_unref(builtin->io);
        list_remove(&builtin->busy_link);
        list_remove(&builtin->link);
        list_append(&builtin->builtins->over, &builtin->link);
        builtin->step = BUILTIN_OVER;
        builtin->outcome = (unsigned char)outcome;
        builtin->error = error;
}

static struct builtin *builtin_free(struct builtin *builtin) {
        if (!builtin)
                return NULL;
        list_remove(&builtin->busy_link);
        list_remove(&builtin->link);
        sd_event_source_disable_unref(builtin->io);
        free(builtin->name);
        free(builtin);
        return NULL;
}

static void builtin_freep(struct builtin **builtin) {
        *builtin = builtin_free(*builtin);
}

/* Returns false when BUILTINS may be gone. */
static bool deliver(struct builtins *builtins, struct builtin *own_builtin) {
        AUTO(builtin_freep) struct builtin *builtin = own_builtin;
        struct handoff *handoff = &builtins->handoff;
        const struct handoff_finish finish = {
                .outcome = builtin->outcome,
                .error = builtin->error,
                .from_client = builtin->received,
                .from_target = builtin->sent,
                .name = builtin->name,
                .parts = builtin->parts,
        };
        bool last;

        list_remove(&builtin->link);
        handoff->connection_count--;
        last = !handoff_is_busy(handoff);
        handoff->setup.events->finished(handoff->setup.userdata, handoff, builtin->connection, &finish);
        return !last;
}

/* Tells the service of those that are over. BUILTINS may be gone afterwards. */
static void builtins_deliver(struct builtins *builtins) {
        struct builtin *builtin;

        while ((builtin = list_first(&builtins->over, struct builtin, link)))
                if (!deliver(builtins, builtin))
                        return;
}

static void note_moved(struct builtin *builtin) {
        struct builtins *builtins = builtin->builtins;
        usec_t now;

        if (builtin->step != BUILTIN_OPEN || builtins_setup(builtins)->connection_timeout == USEC_INFINITY)
                return;
        now = builtins_now(builtins);
        if (now < builtin->since + order_step(builtins))
                return;
        builtin->since = now;
        list_remove(&builtin->link);
        list_append(&builtins->open, &builtin->link);
}

void builtins_join(struct builtin *builtin) {
        struct builtins *builtins = builtin->builtins;

        list_remove(&builtin->link);
        list_append(builtin->step == BUILTIN_OPEN ? &builtins->open : &builtins->brief, &builtin->link);
        arm(builtins);
}

/* Nothing comes after TEXT. When the client reads it, and ends its side, is not waited for here: it has its place in
 * the service no longer. */
static void part(struct builtin *builtin, const struct buf *text) {
        builtin_say_last(builtin, buf_text(text), text->size);
        builtin->parts = true;
        builtins_end(builtin, HANDOFF_DONE, 0);
}

/* tcpmux. The names of all services are the service's to know. */
static void answer_name(struct builtin *builtin, bool is_name) {
        struct handoff *handoff = &builtin->builtins->handoff;
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        if (is_name && builtin->name) {
                builtins_end(builtin, HANDOFF_FORWARDED, 0);
                return;
        }
        if (is_name)
                handoff->setup.events->describe(handoff->setup.userdata, handoff, &text);
        else
                buf_add_string(&text, "-Say the name of a service, or HELP\r\n");
        part(builtin, &text);
}

static void watch_room(struct builtin *builtin) {
        if (builtin->watches_room)
                return;
        builtin->watches_room = true;
        if (sd_event_source_set_io_events(builtin->io, EVENTS | EPOLLOUT) < 0)
                builtins_end(builtin, HANDOFF_RESET, -ENOMEM);
}

/* Who gets characters has no other way. */
static bool ends_so(const struct builtin *builtin) {
        return builtin->step == BUILTIN_OPEN && builtins_setup(builtin->builtins)->kind == HANDOFF_BUILTIN_CHARGEN;
}

static void pump(struct builtin *builtin) {
        bool moved;
        enum builtin_verdict verdict = builtin_pump(builtin, &moved);

        list_remove(&builtin->busy_link);
        switch (verdict) {
        case BUILTIN_DONE:
                builtins_end(builtin, builtin->step == BUILTIN_ASKING ? HANDOFF_CLIENT_LEFT : HANDOFF_DONE, 0);
                return;
        case BUILTIN_RESET:
                builtins_end(builtin, ends_so(builtin) ? HANDOFF_DONE : HANDOFF_RESET, 0);
                return;
        case BUILTIN_ASKED:
        case BUILTIN_UNASKED:
                answer_name(builtin, verdict == BUILTIN_ASKED);
                return;
        case BUILTIN_BUSY:
                list_append(&builtin->builtins->busy, &builtin->busy_link);
                builtins_run_soon(builtin->builtins);
                break;
        case BUILTIN_FULL:
                watch_room(builtin);
                break;
        case BUILTIN_IDLE:
                break;
        }
        if (moved)
                note_moved(builtin);
}

static int on_io(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events, void *userdata) {
        struct builtin *builtin = userdata;
        struct builtins *builtins = builtin->builtins;

        if (events & EPOLLRDHUP && builtin->step == BUILTIN_ASKING)
                builtin->input_over = true;
        pump(builtin);
        builtins_deliver(builtins);
        return 0;
}

static void end_late(struct builtins *builtins) {
        struct list *const lists[] = {&builtins->open, &builtins->brief};
        usec_t now = builtins_now(builtins);
        struct builtin *builtin;

        for (size_t i = 0; i < LENGTH_OF(lists); i++)
                while ((builtin = list_first(lists[i], struct builtin, link)) && end_at(builtin) <= now)
                        builtins_end(builtin, HANDOFF_TIMED_OUT, 0);
}

static int on_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        struct builtins *builtins = userdata;

        builtins->timer_at = USEC_INFINITY;
        end_late(builtins);
        arm(builtins);
        builtins_deliver(builtins);
        return 0;
}

/* Each of those that are busy now has one turn; whoever stays busy has the next one after everybody else. */
static int on_turn(sd_event_source *source UNUSED, void *userdata) {
        struct builtins *builtins = userdata;
        struct builtin *builtin;
        struct list turn;

        list_init(&turn);
        while ((builtin = list_first(&builtins->busy, struct builtin, busy_link))) {
                list_remove(&builtin->busy_link);
                list_append(&turn, &builtin->busy_link);
        }
        while ((builtin = list_first(&turn, struct builtin, busy_link)))
                pump(builtin);
        arm(builtins);
        builtins_deliver(builtins);
        return 0;
}

/* Answers are to leave from the address that was asked; streams do so anyway. */
static void prepare_sockets(struct builtins *builtins) {
        const struct handoff_setup *setup = &builtins->handoff.setup;

        for (size_t i = 0; i < setup->listener_count; i++) {
                socklen_t size = sizeof(int);
                int type = 0;

                if (getsockopt(setup->listeners[i], SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_DGRAM)
                        continue;
                builtins->has_datagrams = true;
                setsockopt(setup->listeners[i], IPPROTO_IP, IP_PKTINFO, &(int){1}, sizeof(int));
                setsockopt(setup->listeners[i], IPPROTO_IPV6, IPV6_RECVPKTINFO, &(int){1}, sizeof(int));
        }
}

static int builtins_open(struct handoff *handoff) {
        struct builtins *builtins = builtins_of(handoff);
        sd_event *event = handoff->setup.host->event;
        int r;

        list_init(&builtins->open);
        list_init(&builtins->brief);
        list_init(&builtins->busy);
        list_init(&builtins->over);
        builtins->timer_at = USEC_INFINITY;
        builtins->counted_for = builtins_setup(builtins)->connection_timeout;
        if (builtins_setup(builtins)->kind == HANDOFF_BUILTIN_CHARGEN) {
                builtins->pattern = malloc(BUILTIN_PATTERN_SIZE);
                if (!builtins->pattern)
                        return err_raise(-ENOMEM);
                builtintext_pattern(builtins->pattern);
        }
        prepare_sockets(builtins);
        r = sd_event_add_time(event, &builtins->timer, CLOCK_MONOTONIC, 0, 1, on_timer, builtins);
        if (r >= 0)
                r = sd_event_source_set_enabled(builtins->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(event, &builtins->turn, on_turn, builtins);
        if (r >= 0)
                r = sd_event_source_set_enabled(builtins->turn, SD_EVENT_OFF);
        return r < 0 ? err_raise(r) : 0;
}

int builtins_watch(struct builtin *builtin) {
        int r = sd_event_add_io(builtin->builtins->handoff.setup.host->event, &builtin->io, builtin->connection->fd,
                                EVENTS | (builtin->watches_room ? EPOLLOUT : 0), on_io, builtin);

        return r < 0 ? err_raise(r) : 0;
}

void builtins_reply(struct builtins *builtins, struct buf *out) {
        struct handoff *handoff = &builtins->handoff;
        char text[BUILTIN_DAYTIME_SIZE + 1];
        time_t now = time(NULL);

        switch (builtins_setup(builtins)->kind) {
        case HANDOFF_BUILTIN_DAYTIME:
                builtintext_daytime(now, text);
                buf_add(out, text, BUILTIN_DAYTIME_SIZE);
                break;
        case HANDOFF_BUILTIN_TIME:
                builtintext_time(now, text);
                buf_add(out, text, BUILTIN_TIME_SIZE);
                break;
        case HANDOFF_BUILTIN_STATUS:
                handoff->setup.events->describe(handoff->setup.userdata, handoff, out);
                break;
        default:
                break;
        }
}

/* Without memory it is a stranger. */
static void note_client(struct builtins *builtins, const struct connection *connection) {
        if (!builtins->has_datagrams || connection->proxied || addr_is_loopback(&connection->peer))
                return;
        if (!builtins->seen)
                builtins->seen = builtinseen_new();
        if (builtins->seen)
                builtinseen_note(builtins->seen, &connection->peer, builtins_now(builtins));
}

static int builtins_take_connection(struct handoff *handoff, struct connection *connection) {
        struct builtins *builtins = builtins_of(handoff);
        AUTO(builtin_freep) struct builtin *builtin = calloc(1, sizeof(*builtin));
        AUTO(buf_deinit) struct buf reply = BUF_NULL;
        int r = 0;

        if (!builtin)
                return err_raise(-ENOMEM);
        list_init(&builtin->link);
        list_init(&builtin->busy_link);
        builtin->builtins = builtins;
        builtin->connection = connection;
        builtin->since = builtins_now(builtins);
        builtin->step = builtins_setup(builtins)->kind == HANDOFF_BUILTIN_TCPMUX ? BUILTIN_ASKING : BUILTIN_OPEN;
        builtins_reply(builtins, &reply);
        if (reply.size == 0)
                r = builtins_watch(builtin);
        if (r < 0)
                return r;
        handoff->connection_count++;
        note_client(builtins, connection);
        if (reply.size > 0) {
                part(builtin, &reply);
                builtins_run_soon(builtins);
        } else {
                builtins_join(builtin);
        }
        if (builtins_setup(builtins)->kind == HANDOFF_BUILTIN_CHARGEN) {
                list_append(&builtins->busy, &builtin->busy_link);
                builtins_run_soon(builtins);
        }
        take_ptr(builtin);
        return 0;
}

static void builtins_on_policy(struct handoff *handoff) {
        struct builtins *builtins = builtins_of(handoff);
        usec_t now = builtins_now(builtins);
        struct builtin *builtin;

        if (builtins->counted_for != builtins_setup(builtins)->connection_timeout)
                list_for_each(builtin, &builtins->open, link)
                        builtin->since = now;
        builtins->counted_for = builtins_setup(builtins)->connection_timeout;
        arm(builtins);
}

static void end_all(struct list *list, enum handoff_outcome outcome) {
        struct builtin *builtin;

        while ((builtin = list_first(list, struct builtin, link)))
                builtins_end(builtin, outcome, 0);
}

static bool builtins_cut(struct handoff *handoff) {
        struct builtins *builtins = builtins_of(handoff);

        end_all(&builtins->open, HANDOFF_STOPPED);
        end_all(&builtins->brief, HANDOFF_STOPPED);
        builtins_run_soon(builtins);
        return handoff->connection_count > 0;
}

/* Who is in may finish, but for those who never would, and those who ask for what is not there any more. */
static void builtins_retire(struct handoff *handoff, enum handoff_retirement how) {
        enum handoff_builtin_kind kind = builtins_setup(builtins_of(handoff))->kind;

        if (how == HANDOFF_LEAVES && (kind == HANDOFF_BUILTIN_CHARGEN || kind == HANDOFF_BUILTIN_TCPMUX))
                builtins_cut(handoff);
}

static void builtins_stop(struct handoff *handoff) {
        builtins_cut(handoff);
}

static void builtins_abandon(struct handoff *handoff) {
        struct builtins *builtins = builtins_of(handoff);
        struct builtin *builtin;

        builtins_cut(handoff);
        while ((builtin = list_first(&builtins->over, struct builtin, link))) {
                connection_close(builtin->connection);
                free(builtin->connection);
                builtin_free(builtin);
        }
        handoff->connection_count = 0;
}

static void builtins_close(struct handoff *handoff) {
        struct builtins *builtins = builtins_of(handoff);

        builtins->turn = sd_event_source_disable_unref(builtins->turn);
        builtins->timer = sd_event_source_disable_unref(builtins->timer);
        builtins->seen = builtinseen_free(builtins->seen);
        free(builtins->pattern);
}

const struct handoff_ops builtin_ops = {
        .type = HANDOFF_TYPE_BUILTIN,
        .size = sizeof(struct builtins),
        .take_connection = builtins_take_connection,
        .take_datagrams = builtins_take_datagrams,
        .open = builtins_open,
        .on_policy = builtins_on_policy,
        .retire = builtins_retire,
        .stop = builtins_stop,
        .cut = builtins_cut,
        .abandon = builtins_abandon,
        .close = builtins_close,
};
