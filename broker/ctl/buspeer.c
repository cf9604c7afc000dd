#include "ctl/buspeer.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-id128.h>

#define AUTH_TIMEOUT (5 * USEC_PER_SEC)

/* Answers that a peer has not read: from there on it is not one worth waiting for. */
#define UNREAD_MAX 256
#define SEND_BUFFER (256 * 1024)

void bus_peer_free(struct bus_peer *peer) {
        struct bus *bus = peer->bus;

        bus_orders_forget(peer);
        bus_claims_end(peer);
        bus_upgrade_forget(peer);
        list_remove(&peer->link);
        bus->peer_count--;
        peer->timer = sd_event_source_disable_unref(peer->timer);
        /* Before it is closed: messages that somebody still has a reference to keep the connection, but nobody watches
         * it any more. */
        sd_bus_detach_event(peer->connection);
        sd_bus_close(peer->connection);
        sd_bus_unref(peer->connection);
        reserve_refill(&bus->reserve);
        free(peer);
}

static int on_sweep(sd_event_source *source UNUSED, void *userdata) {
        struct bus *bus = userdata;
        struct bus_peer *peer;

        list_for_each(peer, &bus->peers, link)
                if (peer->gone)
                        bus_peer_free(peer);
        return 0;
}

void bus_peer_drop(struct bus_peer *peer) {
        struct bus *bus = peer->bus;

        peer->gone = true;
        if (!bus->sweep)
                sd_event_add_defer(bus->setup.manager->event, &bus->sweep, on_sweep, bus);
        else
                sd_event_source_set_enabled(bus->sweep, SD_EVENT_ONESHOT);
}

static int on_auth_timeout(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        struct bus_peer *peer = userdata;

        if (sd_bus_is_ready(peer->connection) <= 0)
                bus_peer_drop(peer);
        return 0;
}

static int on_disconnected(sd_bus_message *message UNUSED, void *userdata, sd_bus_error *error UNUSED) {
        bus_peer_drop(userdata);
        return 0;
}

/* Every message comes by here first. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error UNUSED) {
        struct bus_peer *peer = userdata;
        uint64_t unread = 0;

        if (peer->gone)
                return 1;
        sd_bus_get_n_queued_write(peer->connection, &unread);
        if (unread < UNREAD_MAX || sd_bus_message_is_signal(message, "org.freedesktop.DBus.Local", "Disconnected") > 0)
                return 0;
        log_warning("control socket: a peer does not read its answers, and is dropped");
        bus_peer_drop(peer);
        return 1;
}

int bus_append_text(sd_bus_message *message, const char *text) {
        AUTO(buf_deinit) struct buf valid = BUF_NULL;

        buf_add_valid(&valid, text);
        return buf_failed(&valid) ? -ENOMEM : sd_bus_message_append(message, "s", buf_text(&valid));
}

int bus_append_texts(sd_bus_message *message, const struct strlist *texts) {
        int r = sd_bus_message_open_container(message, 'a', "s");

        for (size_t i = 0; r >= 0 && i < texts->count; i++)
                r = bus_append_text(message, texts->items[i]);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

int bus_reply_error(sd_bus_message *call, const char *name, const char *why) {
        AUTO(buf_deinit) struct buf valid = BUF_NULL;

        buf_add_valid(&valid, why);
        return sd_bus_reply_method_errorf(call, name, "%s", buf_failed(&valid) ? "" : buf_text(&valid));
}

/* Whoever is connected has been looked at already (SO_PEERCRED). Nothing may happen to us because of him: neither an
 * end of the loop when he goes, nor a wait for him when we do. */
static int set_up(struct bus_peer *peer, int fd) {
        sd_bus *connection = peer->connection;
        sd_id128_t id;
        int r = sd_id128_randomize(&id);

        if (r >= 0)
                r = sd_bus_set_server(connection, 1, id);
        if (r >= 0)
                r = sd_bus_set_trusted(connection, 1);
        /* Who comes from another pid namespace has no pid that the library could check, and would not be let in. */
        if (r >= 0)
                r = sd_bus_set_anonymous(connection, 1);
        if (r >= 0)
                r = sd_bus_set_sender(connection, BUS_NAME);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(connection, 0);
        if (r >= 0)
                r = sd_bus_set_close_on_exit(connection, 0);
        if (r >= 0)
                r = sd_bus_set_fd(connection, fd, fd);
        return r;
}

/* The library makes it 8 MiB, which the kernel would keep for each peer that does not read. */
static int shrink_buffer(const struct bus_peer *peer) {
        const int size = SEND_BUFFER;
        int fd = sd_bus_get_fd(peer->connection);

        if (fd < 0)
                return fd;
        return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0 ? -errno : 0;
}

static int add_handlers(struct bus_peer *peer) {
        sd_bus *connection = peer->connection;
        int r;

        r = sd_bus_add_filter(connection, NULL, on_message, peer);
        if (r >= 0)
                r = sd_bus_match_signal(connection, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                        "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, peer);
        if (r >= 0)
                r = bus_claim_add(peer);
        if (!bus_is_owner(peer->cred.uid))
                return r;
        if (r >= 0)
                r = bus_driver_add(peer);
        if (r >= 0)
                r = bus_manager_add(peer);
        if (r >= 0)
                r = bus_service_add(peer);
        return r;
}

int bus_peer_new(struct bus *bus, int own_fd, const struct ucred *cred) {
        AUTO(fd_closep) int fd = own_fd;
        struct bus_peer *peer = calloc(1, sizeof(*peer));
        int r;

        if (!peer)
                return err_raise(-ENOMEM);
        list_init(&peer->orders);
        list_init(&peer->claims);
        peer->cred = *cred;
        peer->bus = bus;
        peer->number = ++bus->last_number;
        list_init(&peer->link);
        list_append(&bus->peers, &peer->link);
        bus->peer_count++;
        r = sd_bus_new(&peer->connection);
        if (r >= 0)
                r = set_up(peer, fd);
        if (r >= 0) {
                take_fd(fd); /* the connection's from now on */
                r = add_handlers(peer);
        }
        if (r >= 0)
                r = sd_bus_start(peer->connection);
        if (r >= 0)
                r = shrink_buffer(peer);
        if (r >= 0)
                r = sd_bus_attach_event(peer->connection, bus->setup.manager->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_event_add_time_relative(bus->setup.manager->event, &peer->timer, CLOCK_MONOTONIC, AUTH_TIMEOUT,
                                               0, on_auth_timeout, peer);
        if (r < 0) {
                bus_peer_free(peer);
                return err_raise(r);
        }
        return 0;
}
