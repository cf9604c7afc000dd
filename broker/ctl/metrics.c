/* libmicrohttpd without a thread: its epoll descriptor is watched by our loop. We accept ourselves and give it the
 * connections, since it would run in circles when descriptors are used up while it has no connection. */
#include "ctl/metrics.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/state.h"
#include "ctl/endpoint.h"
#include "ctl/pages.h"
#include "ctl/reserve.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define VISITORS_MAX 32                 /* connections at once */
#define SILENCE_MAX 10U                 /* seconds without a byte, then one is closed */
#define STAY_MAX (10 * USEC_PER_SEC)    /* from then on it makes room for others */
#define RETRY_DELAY (1 * USEC_PER_SEC)  /* when it could not be accepted */
#define REQUEST_SIZE_MAX ((size_t)8192) /* of a request's head and the answer's */

struct visitor {
        struct list link; /* in its server's list, in the order they came */
        struct metrics_server *server;
        int fd; /* libmicrohttpd's */
        usec_t since;
};

struct metrics_server {
        struct manager *manager; /* borrowed */
        struct endpoint endpoint;
        sd_event_source **accepts; /* as many as the endpoint has sockets */
        struct MHD_Daemon *daemon;
        sd_event_source *io;    /* of the daemon */
        sd_event_source *timer; /* likewise */
        sd_event_source *retry; /* accepting is paused until then */
        bool paused;
        struct list visitors;
        size_t visitor_count;
        struct reserve reserve; /* so that health can be asked for when descriptors are used up */
        struct pages pages;
};

static void watch_sockets(struct metrics_server *server, bool on) {
        for (size_t i = 0; i < server->endpoint.count; i++)
                if (server->accepts[i])
                        sd_event_source_set_enabled(server->accepts[i], on ? SD_EVENT_ON : SD_EVENT_OFF);
        server->paused = !on;
}

static int on_retry(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        watch_sockets(userdata, true);
        return 0;
}

/* Who comes meanwhile waits in the backlog. */
static void pause_accepting(struct metrics_server *server) {
        watch_sockets(server, false);
        sd_event_source_set_time_relative(server->retry, RETRY_DELAY);
        sd_event_source_set_enabled(server->retry, SD_EVENT_ONESHOT);
}

static void visitor_free(struct visitor *visitor) {
        struct metrics_server *server = visitor->server;

        list_remove(&visitor->link);
        server->visitor_count--;
        free(visitor);
        if (server->paused)
                watch_sockets(server, true);
}

/* The descriptor of a connection is closed after its end is told here: the reserve is taken back at the next. */
static void on_visitor(void *userdata, struct MHD_Connection *connection, void **context,
                       enum MHD_ConnectionNotificationCode code) {
        struct metrics_server *server = userdata;
        const union MHD_ConnectionInfo *info;
        struct visitor *visitor;

        if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
                if (*context)
                        visitor_free(*context);
                *context = NULL;
                return;
        }
        info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        visitor = info ? calloc(1, sizeof(*visitor)) : NULL;
        *context = visitor;
        if (!visitor)
                return;
        *visitor = (struct visitor){.server = server, .fd = info->connect_fd, .since = manager_now(server->manager)};
        list_append(&server->visitors, &visitor->link);
        server->visitor_count++;
}

/* Lets it do what there is to do, and asks when it wants to be called without anything having come. */
static void server_run(struct metrics_server *server) {
        MHD_UNSIGNED_LONG_LONG timeout;

        MHD_run(server->daemon);
        reserve_refill(&server->reserve);
        if (MHD_get_timeout(server->daemon, &timeout) != MHD_YES) {
                sd_event_source_set_enabled(server->timer, SD_EVENT_OFF);
                return;
        }
        sd_event_source_set_time_relative(server->timer, timeout * USEC_PER_MSEC);
        sd_event_source_set_enabled(server->timer, SD_EVENT_ONESHOT);
}

static int on_daemon_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        server_run(userdata);
        return 0;
}

static int on_daemon_io(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events UNUSED, void *userdata) {
        server_run(userdata);
        return 0;
}

/* Who has been here for longest makes room, if that was long enough. */
static bool has_room(struct metrics_server *server) {
        struct visitor *oldest = list_first(&server->visitors, struct visitor, link);

        if (server->visitor_count < VISITORS_MAX)
                return true;
        if (!oldest || manager_now(server->manager) - oldest->since < STAY_MAX)
                return false;
        /* It sees that itself then, and closes it. */
        shutdown(oldest->fd, SHUT_RDWR);
        server_run(server);
        return server->visitor_count < VISITORS_MAX;
}

static int on_accept(sd_event_source *source UNUSED, int fd, uint32_t events UNUSED, void *userdata) {
        struct metrics_server *server = userdata;
        union sockaddr_any peer = {0};
        socklen_t size = sizeof(peer);
        int connection;

        if (!has_room(server)) {
                pause_accepting(server);
                return 0;
        }
        connection = reserve_accept(&server->reserve, fd, &peer, &size);
        if (connection >= 0) {
                /* Closes it when it fails. */
                MHD_add_connection(server->daemon, connection, &peer.sa, size);
                server_run(server);
        } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
                if (manager_may_tell_shortage(server->manager))
                        log_warning("metrics cannot be asked for: %s", err_text(-errno));
                pause_accepting(server);
        }
        return 0;
}

static struct metrics_server *server_free(struct metrics_server *server) {
        if (!server)
                return NULL;
        for (size_t i = 0; server->accepts && i < server->endpoint.count; i++)
                sd_event_source_disable_unref(server->accepts[i]);
        sd_event_source_disable_unref(server->io);
        sd_event_source_disable_unref(server->timer);
        sd_event_source_disable_unref(server->retry);
        free(server->accepts);
        server->accepts = NULL;
        server->paused = false;
        if (server->daemon)
                MHD_stop_daemon(server->daemon);
        pages_deinit(&server->pages);
        endpoint_close(&server->endpoint);
        reserve_deinit(&server->reserve);
        free(server);
        return NULL;
}

static void server_freep(struct metrics_server **server) {
        *server = server_free(*server);
}

static int start_daemon(struct metrics_server *server) {
        const union MHD_DaemonInfo *info;
        sd_event *event = server->manager->event;
        int r;

        server->daemon =
                MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, pages_answer, &server->pages,
                                 MHD_OPTION_NOTIFY_CONNECTION, on_visitor, server, MHD_OPTION_CONNECTION_LIMIT,
                                 (unsigned)VISITORS_MAX + 1, MHD_OPTION_CONNECTION_TIMEOUT, SILENCE_MAX,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, REQUEST_SIZE_MAX, MHD_OPTION_END);
        info = server->daemon ? MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
        if (!info)
                return err_raise(-ENOMEM);
        r = sd_event_add_io(event, &server->io, info->epoll_fd, EPOLLIN, on_daemon_io, server);
        if (r >= 0)
                r = sd_event_add_time(event, &server->timer, CLOCK_MONOTONIC, 0, 1, on_daemon_timer, server);
        if (r >= 0)
                r = sd_event_source_set_enabled(server->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time(event, &server->retry, CLOCK_MONOTONIC, 0, 1, on_retry, server);
        if (r >= 0)
                r = sd_event_source_set_enabled(server->retry, SD_EVENT_OFF);
        return r < 0 ? err_raise(r) : 0;
}

static int watch_endpoint(struct metrics_server *server) {
        server->accepts = calloc(server->endpoint.count, sizeof(sd_event_source *));
        if (!server->accepts)
                return err_raise(-ENOMEM);
        for (size_t i = 0; i < server->endpoint.count; i++) {
                int r = sd_event_add_io(server->manager->event, &server->accepts[i], server->endpoint.items[i].fd,
                                        EPOLLIN, on_accept, server);

                if (r < 0)
                        return err_raise(r);
        }
        return 0;
}

static int server_new(struct metrics *metrics, struct endpoint *own_endpoint, struct metrics_server **ret) {
        AUTO(server_freep) struct metrics_server *server = calloc(1, sizeof(*server));
        int r;

        if (!server) {
                endpoint_close(own_endpoint);
                return err_raise(-ENOMEM);
        }
        server->manager = server->pages.manager = metrics->manager;
        reserve_init(&server->reserve, metrics->manager->null_fd);
        list_init(&server->visitors);
        server->endpoint = *own_endpoint;
        *own_endpoint = ENDPOINT_NULL;
        r = start_daemon(server);
        if (r == 0)
                r = watch_endpoint(server);
        if (r < 0)
                return r;
        *ret = take_ptr(server);
        return 0;
}

static int server_open(struct metrics *metrics, const struct endpoint_def *def, struct metrics_server **ret,
                       struct buf *why) {
        const struct endpoint old = metrics->current ? metrics->current->endpoint : ENDPOINT_NULL;
        struct endpoint endpoint = ENDPOINT_NULL;
        int r = endpoint_open(metrics->manager, def, &old, &endpoint, why);

        if (r < 0)
                return r;
        r = server_new(metrics, &endpoint, ret);
        if (r < 0)
                buf_printf(why, "cannot be served: %s", err_text(r));
        return r;
}

static bool same_endpoint(const struct endpoint_def *a, const struct endpoint_def *b) {
        if (a->addrs.count != b->addrs.count)
                return false;
        for (size_t i = 0; i < a->addrs.count; i++)
                if (!addr_equal(&a->addrs.items[i], &b->addrs.items[i]))
                        return false;
        return true;
}

static void metrics_prepare(struct companion *companion, const struct broker_def *def, struct diag *diag) {
        struct metrics *metrics = container_of(companion, struct metrics, companion);
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        int r = 0;

        metrics->changes = !same_endpoint(&metrics->manager->broker.metrics, &def->metrics);
        if (metrics->changes && def->metrics.address)
                r = server_open(metrics, &def->metrics, &metrics->next, &why);
        if (r < 0)
                diag_error(diag, &def->metrics.mark, "broker.metrics", "%s", buf_text(&why));
}

static void log_endpoint(const struct endpoint *endpoint) {
        for (size_t i = 0; i < endpoint->count; i++) {
                AUTO(buf_deinit) struct buf address = BUF_NULL;

                endpoint_format(&endpoint->items[i], &address);
                log_event(LOG_LEVEL_INFO, LOG_FIELDS(LOG_STRING("address", buf_text(&address))),
                          "metrics can be asked for");
        }
}

static void metrics_commit(struct companion *companion) {
        struct metrics *metrics = container_of(companion, struct metrics, companion);

        if (!metrics->changes)
                return;
        server_free(metrics->current);
        metrics->current = take_ptr(metrics->next);
        metrics->changes = false;
        if (metrics->current)
                log_endpoint(&metrics->current->endpoint);
}

static void metrics_discard(struct companion *companion) {
        struct metrics *metrics = container_of(companion, struct metrics, companion);

        metrics->next = server_free(metrics->next);
        metrics->changes = false;
        if (metrics->current)
                endpoint_restore(&metrics->current->endpoint);
}

static void metrics_save(const struct companion *companion, struct state_out out) {
        const struct metrics *metrics = container_of(companion, struct metrics, companion);

        if (metrics->current)
                endpoint_save(&metrics->current->endpoint, &metrics->manager->inherit, out);
}

static void metrics_restore(struct companion *companion, struct state_in in) {
        struct metrics *metrics = container_of(companion, struct metrics, companion);
        struct endpoint endpoint;
        int r = 0;

        if (!state_has(in, "sockets"))
                return;
        endpoint_take_over(&endpoint, &metrics->manager->inherit, in);
        if (!state_reader_failed(in.reader))
                r = server_new(metrics, &endpoint, &metrics->current);
        if (r < 0)
                state_reader_fail(in.reader, "metrics cannot be served: %s", err_text(r));
}

void metrics_init(struct metrics *metrics, struct manager *manager) {
        *metrics = (struct metrics){
                .manager = manager,
                .companion = {.prepare = metrics_prepare,
                              .commit = metrics_commit,
                              .discard = metrics_discard,
                              .name = "metrics",
                              .save = metrics_save,
                              .restore = metrics_restore},
        };
        list_append(&manager->companions, &metrics->companion.link);
}

void metrics_deinit(struct metrics *metrics) {
        if (!metrics->manager)
                return;
        list_remove(&metrics->companion.link);
        metrics->current = server_free(metrics->current);
}
