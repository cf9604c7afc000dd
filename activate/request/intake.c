#include "activate/request/intake.h"

#include "activate/say.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

/* At most this many connections are taken from one listener before the others have their turn. */
#define BURST_MAX 16
#define PATIENCE_MAX 64

/* Descriptors: of each worker its stdin, its stdout and its pidfd; of what is there but now and then, as the other
 * ends of these while it is started. */
#define WORKER_FDS 3
#define OTHER_FDS 12

struct intake_client {
        struct connection connection; /* first: the handoff frees it when it is abandoned */
        struct prefix source;
};

/* How many connections there may be so that a worker that has ended can still be replaced: else clients that stay
 * could have all descriptors between them. */
static size_t find_room(const struct options *options) {
        size_t needed = options->workers * WORKER_FDS + OTHER_FDS, there = 0;
        struct rlimit limit;
        int lowest = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);

        if (lowest >= 0)
                needed += (size_t)lowest;
        fd_close(lowest);
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
                there = limit.rlim_cur > SIZE_MAX / 2 ? SIZE_MAX / 2 : (size_t)limit.rlim_cur;
        return there > needed ? there - needed : 1;
}

static struct intake_client *client_free(struct intake_client *client) {
        if (!client)
                return NULL;
        connection_close(&client->connection);
        free(client);
        return NULL;
}

static void run_soon(struct intake *intake) {
        sd_event_source_set_enabled(intake->turn, SD_EVENT_ONESHOT);
}

static bool is_full(const struct intake *intake) {
        return intake->count >= intake->room ||
               (intake->options->instances > 0 && intake->count >= intake->options->instances);
}

static bool is_wanted(const struct intake *intake) {
        return intake->listeners && !intake->held && intake->shortage.resume_at == 0 && !is_full(intake);
}

static void watch(struct intake *intake, bool on) {
        if (on == intake->is_watching)
                return;
        intake->is_watching = on;
        for (size_t i = 0; i < intake->sockets->count; i++)
                if (intake->listeners[i].io)
                        sd_event_source_set_enabled(intake->listeners[i].io, on ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void say_client(const struct connection *connection) {
        char peer[CONNECTION_PEER_MAX];

        connection_format_peer(connection, peer);
        say_note("connection from %s", peer);
}

/* That the program cannot be found, too: it may be mounted or installed later, and clients wait for it as those in
 * the backlog do; but not when we are told to end. */
static bool passes(const struct intake *intake, int error) {
        return shortage_is(error) || (intake->listeners && (error == -ENOENT || error == -ENOTDIR || error == -EACCES));
}

static void fail(struct intake *intake, struct intake_client *client, int error) {
        static const struct rate_limit limit = {.burst = 5, .interval = 10 * USEC_PER_SEC};

        if (rate_take(&intake->failures, &limit, clock_monotonic()))
                say_error("cannot serve a connection, closing it: %s", err_text(error));
        client_free(client);
}

/* Gives CLIENT to the handoff, or holds it. */
static void take(struct intake *intake, struct intake_client *client) {
        struct handoff *handoff = intake->handoff;
        int r = handoff->ops->take_connection(handoff, &client->connection);

        if (r == 0) {
                list_append(&intake->clients, &client->connection.link);
                intake->count++;
                shortage_end(&intake->shortage);
                if (intake->options->verbose)
                        say_client(&client->connection);
                if (intake->count == intake->room)
                        shortage_begin(&intake->shortage, -EMFILE);
        } else if (passes(intake, r)) {
                intake->held = client;
                /* What is no shortage was said by who found out. */
                shortage_begin(&intake->shortage, shortage_is(r) ? r : -EBUSY);
        } else {
                fail(intake, client, r);
        }
}

/* What counts as one source: an address, or the IPv6 network that one customer has. */
static void find_source(struct intake_client *client) {
        connection_source(&client->connection, &client->source);
        if (client->source.family == AF_INET6)
                prefix_mask(&client->source, 64);
}

static bool is_refused(const struct intake *intake, const struct intake_client *client) {
        const struct connection *connection;
        size_t count = 0;

        if (intake->options->per_source == 0)
                return false;
        list_for_each(connection, &intake->clients, link) {
                const struct intake_client *other = container_of(connection, struct intake_client, connection);

                count += memcmp(&other->source, &client->source, sizeof(client->source)) == 0;
        }
        return count >= intake->options->per_source;
}

/* One that is broken is watched no longer; without any other there is nothing left to do. */
static void drop_listener(struct intake_listener *listener, int error) {
        AUTO(buf_deinit) struct buf name = BUF_NULL;

        socket_format(listener->socket, &name);
        say_error("cannot accept connections on %s any more: %s", buf_text(&name), err_text(error));
        listener->io = sd_event_source_disable_unref(listener->io);
        listener->intake->broken++;
        run_soon(listener->intake);
}

/* Returns whether there may be more. */
static bool accept_one(struct intake_listener *listener) {
        struct intake *intake = listener->intake;
        struct intake_client *client = calloc(1, sizeof(*client));
        int r = client ? connection_accept(listener->socket->fd, &client->connection) : ACCEPT_EXHAUSTED;

        if (r != ACCEPT_OK) {
                int error = client ? -errno : -ENOMEM;

                free(client);
                if (r < 0)
                        drop_listener(listener, r);
                else if (r == ACCEPT_EXHAUSTED)
                        shortage_begin(&intake->shortage, error);
                return false;
        }
        client->connection.protocol = listener->socket->addr.protocol;
        list_init(&client->connection.link);
        find_source(client);
        if (is_refused(intake, client))
                client_free(client);
        else
                take(intake, client);
        return true;
}

/* One at first, since asking again just to hear "none" is a system call for nothing; more and more as long as there
 * are more; as broker/core/port.c does it. */
static int on_listener(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events UNUSED, void *userdata) {
        struct intake_listener *listener = userdata;
        struct intake *intake = listener->intake;
        unsigned i = 0;

        while (i < listener->burst && is_wanted(intake) && accept_one(listener))
                i++;
        if (i < listener->burst) {
                listener->patience = i > 1 ? 0 : MIN_OF(listener->patience * 2 + 1, (unsigned)PATIENCE_MAX);
                listener->singles = listener->patience;
                listener->burst = 1;
        } else if (listener->singles > 0) {
                listener->singles--;
        } else {
                listener->burst = MIN_OF(listener->burst * 2, (unsigned)BURST_MAX);
        }
        if (!is_wanted(intake))
                intake_run(intake);
        return 0;
}

static int on_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        run_soon(userdata);
        return 0;
}

static int open_listeners(struct intake *intake, sd_event *event) {
        size_t count = intake->sockets->count;

        intake->listeners = calloc(count, sizeof(*intake->listeners));
        if (!intake->listeners)
                return err_raise(-ENOMEM);
        for (size_t i = 0; i < count; i++) {
                struct intake_listener *listener = &intake->listeners[i];
                int r;

                *listener =
                        (struct intake_listener){.intake = intake, .socket = &intake->sockets->items[i], .burst = 1};
                r = sd_event_add_io(event, &listener->io, listener->socket->fd, EPOLLIN, on_listener, listener);
                if (r < 0)
                        return err_raise(r);
        }
        intake->is_watching = true;
        return 0;
}

int intake_init(struct intake *intake, const struct intake_setup *setup) {
        int r;

        *intake = (struct intake){
                .options = setup->options,
                .sockets = setup->sockets,
                .handoff = setup->handoff,
                .turn = setup->turn,
                .room = find_room(setup->options),
        };
        list_init(&intake->clients);
        r = sd_event_add_time(setup->event, &intake->timer, CLOCK_MONOTONIC, 0, 1, on_timer, intake);
        if (r >= 0)
                r = sd_event_source_set_enabled(intake->timer, SD_EVENT_OFF);
        return r < 0 ? err_raise(r) : open_listeners(intake, setup->event);
}

void intake_end(struct intake *intake) {
        for (size_t i = 0; intake->listeners && i < intake->sockets->count; i++)
                sd_event_source_disable_unref(intake->listeners[i].io);
        free(intake->listeners);
        intake->listeners = NULL;
        intake->is_watching = false;
}

void intake_drop_held(struct intake *intake) {
        intake->held = client_free(intake->held);
}

void intake_deinit(struct intake *intake) {
        intake_end(intake);
        intake_drop_held(intake);
        intake->timer = sd_event_source_disable_unref(intake->timer);
}

void intake_run(struct intake *intake) {
        struct intake_client *client;

        if (!shortage_is_waiting(&intake->shortage, clock_monotonic()) && intake->held) {
                client = take_ptr(intake->held);
                take(intake, client);
        }
        watch(intake, is_wanted(intake));
        if (intake->shortage.resume_at == 0)
                return;
        sd_event_source_set_time(intake->timer, intake->shortage.resume_at);
        sd_event_source_set_enabled(intake->timer, SD_EVENT_ONESHOT);
}

void intake_retry(struct intake *intake) {
        shortage_retry(&intake->shortage);
        if (!intake->is_watching)
                run_soon(intake);
}

void intake_release(struct intake *intake, struct connection *own_connection) {
        list_remove(&own_connection->link);
        intake->count--;
        client_free(container_of(own_connection, struct intake_client, connection));
        intake_retry(intake);
}
