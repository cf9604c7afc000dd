/* Connecting to a proxy's target. While it does not take connections one of those that wait tries it for all,
 * ever less often, so that a thousand clients cost no more than one. */
#include "base/err.h"
#include "base/fd.h"
#include "handoff/relays.h"
#include "net/proxywrite.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define RETRY_DELAY (5 * USEC_PER_MSEC)
#define RETRY_DELAY_MAX (200 * USEC_PER_MSEC)
#define TRIES_MAX 64 /* at a time, before others have their turn */

static bool is_short(int error) {
        return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS || error == -ENOSPC;
}

/* What passes when the target's server gets ready, or has taken others. */
static bool is_early(int error) {
        return error == -ECONNREFUSED || error == -ENOENT || error == -EAGAIN || error == -ECONNRESET ||
               error == -EADDRNOTAVAIL || is_short(error);
}

static void forget(struct relay *relay) {
        struct relay_end *end = &relay->ends[RELAY_TARGET];

        end->io = sd_event_source_disable_unref(end->io);
        end->fd = fd_close(end->fd);
        relay->step = RELAY_WAITING;
}

static void set_no_delay(int fd) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

/* It fits: nothing else has been sent yet. */
static int send_header(struct relay *relay) {
        struct connection *connection = relay->connection;
        struct proxy_header header = {.version = relays_setup(relay->relays)->header_version};
        char data[PROXY_HEADER_MAX];
        size_t size;

        if (header.version == 0)
                return 0;
        header.kind = connection_find_local(connection) < 0 ? PROXY_HEADER_LOCAL : PROXY_HEADER_ADDRESSES;
        header.source = connection->peer;
        header.source_size = connection->peer_size;
        header.destination = connection->local;
        header.destination_size = connection->local_size;
        size = proxy_header_write(&header, data);
        return send(relay->ends[RELAY_TARGET].fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size
                       ? 0
                       : err_raise(-EIO);
}

static int begin(struct relay *relay) {
        struct relays *relays = relay->relays;
        int r;

        set_no_delay(relay->ends[RELAY_TARGET].fd);
        r = send_header(relay);
        if (r < 0)
                return r;
        if (relays->down)
                relays_run_soon(relays);
        relays->down = false;
        relays->retry_delay = 0;
        relays->server_proved = true;
        relays->server_delay = 0;
        relays_begin(relay);
        return 0;
}

/* One waits, and all who come wait behind it. */
static void wait_for_target(struct relay *relay, int error) {
        struct relays *relays = relay->relays;
        usec_t most;

        relay->error = error;
        relay->address = 0;
        /* Many may find out at the same time; it is one event. */
        if (relays->down && relays->retry_at != USEC_INFINITY)
                return;
        /* Nobody's start_timeout is over without a try. */
        most = MAX_OF(RETRY_DELAY, MIN_OF(RETRY_DELAY_MAX, relays_setup(relays)->start_timeout / 4));
        relays->retry_delay = relays->retry_delay == 0 ? RETRY_DELAY : MIN_OF(relays->retry_delay * 2, most);
        relays->retry_at = relays_now(relays) + relays->retry_delay;
        relays->down = true;
        relays_run_soon(relays);
}

/* For now, or for good. */
static void give_up(struct relay *relay, int error) {
        struct relays *relays = relay->relays;

        if (is_early(error)) {
                wait_for_target(relay, error);
                return;
        }
        relays_end(relay, HANDOFF_TARGET_FAILED, error);
        /* It may have been the one that tried for all: now they have to find out for themselves. */
        if (relays->down)
                relays_run_soon(relays);
        relays->down = false;
}

/* Of several addresses one that may still come decides whether it is waited for. */
static void next_address(struct relay *relay, int error) {
        if (relay->address == 0 || !is_early(relay->error))
                relay->error = error;
        relay->address++;
}

/* The other addresses have their turn at once. */
static void fail(struct relay *relay, int error) {
        forget(relay);
        next_address(relay, error);
        if (relay->address < relays_setup(relay->relays)->target_count)
                relaytarget_connect(relay, false);
        else
                give_up(relay, relay->error);
}

static void note(struct relay *relay, uint32_t events) {
        int error = 0;
        socklen_t size = sizeof(error);

        if (events & (EPOLLERR | EPOLLHUP))
                getsockopt(relay->ends[RELAY_TARGET].fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error == 0 && !(events & EPOLLOUT))
                return;
        if (events & EPOLLPRI)
                relay_note(relay, RELAY_TARGET, EPOLLPRI);
        if (error == 0)
                error = -begin(relay);
        if (error != 0)
                fail(relay, -error);
}

static int on_io(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events, void *userdata) {
        struct relay *relay = userdata;
        struct relays *relays = relay->relays;

        if (relay->step == RELAY_CONNECTING)
                note(relay, events);
        else
                relays_note(relay, RELAY_TARGET, events);
        relays_deliver(relays);
        return 0;
}

int relaytarget_watch(struct relay *relay) {
        const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
        struct relay_end *end = &relay->ends[RELAY_TARGET];
        int r = sd_event_add_io(relay->relays->handoff.setup.host->event, &end->io, end->fd, events, on_io, relay);

        return r < 0 ? err_raise(r) : 0;
}

/* Returns 0 when it is connecting or has begun, or a negative errno. */
static int try_address(struct relay *relay, const struct addr *addr) {
        struct relay_end *end = &relay->ends[RELAY_TARGET];
        bool at_once;
        int r;

        end->fd = socket(addr->sockaddr.sa.sa_family, addr->type | SOCK_CLOEXEC | SOCK_NONBLOCK, addr->protocol);
        if (end->fd < 0)
                return err_raise(-errno);
        at_once = connect(end->fd, &addr->sockaddr.sa, addr->size) == 0;
        r = at_once || errno == EINPROGRESS ? 0 : -errno;
        if (r == 0)
                r = relaytarget_watch(relay);
        relay->step = RELAY_CONNECTING;
        if (r == 0 && at_once)
                r = begin(relay);
        if (r < 0) {
                forget(relay);
                return err_raise(r);
        }
        return 0;
}

int relaytarget_connect(struct relay *relay, bool short_fails) {
        const struct handoff_relay *setup = relays_setup(relay->relays);

        while (relay->address < setup->target_count) {
                int r = try_address(relay, &setup->targets[relay->address]);

                if (r == 0)
                        return 0;
                if (is_short(r) && short_fails)
                        return r;
                if (is_short(r)) {
                        relay->error = r;
                        break;
                }
                next_address(relay, r);
        }
        give_up(relay, relay->error);
        return 0;
}

static bool may_try(struct relays *relays, usec_t now) {
        return relayserver_want(relays, now) > 0 && (!relays->down || now >= relays->retry_at);
}

void relaytarget_run(struct relays *relays, usec_t now) {
        unsigned tried = 0;
        struct relay *relay;

        list_for_each(relay, &relays->waiting, link) {
                if (relay->step != RELAY_WAITING)
                        continue;
                if (!may_try(relays, now))
                        return;
                /* While it is down, one at a time. */
                if (relays->down)
                        relays->retry_at = USEC_INFINITY;
                relaytarget_connect(relay, false);
                if (++tried == TRIES_MAX) {
                        relays_run_soon(relays);
                        return;
                }
        }
        if (tried == 0 && relays->down && now >= relays->retry_at)
                relays->down = false;
}

usec_t relaytarget_next(const struct relays *relays) {
        if (!relays->down || list_is_empty(&relays->waiting) || relays->server == RELAY_SERVER_STOPPING)
                return USEC_INFINITY;
        if (relays_setup(relays)->has_server && relays->server == RELAY_SERVER_NONE)
                return USEC_INFINITY;
        return relays->retry_at;
}
