#include "ctl/bus.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/claim.h"
#include "core/state.h"
#include "ctl/buspeer.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEERS_MAX 64
#define OTHERS_MAX (PEERS_MAX / 2) /* who can only claim */
#define PEERS_OF_OTHER_MAX 16      /* of one of these users */
#define ACCEPT_BURST 16
#define ACCEPT_PAUSE USEC_PER_SEC

static const struct rate_limit refused_tell_limit = {.burst = 5, .interval = 60 * USEC_PER_SEC};

static void refuse(struct bus *bus, const struct ucred *cred, const char *why) {
        bus->refused++;
        if (!rate_take(&bus->refused_told, &refused_tell_limit, manager_now(bus->setup.manager)))
                return;
        log_event(LOG_LEVEL_WARNING,
                  LOG_FIELDS(LOG_INTEGER("uid", cred->uid), LOG_INTEGER("pid", cred->pid),
                             LOG_INTEGER("refused", (int64_t)bus->refused)),
                  "control socket: refused: %s", why);
}

/* What is left to the broker's own user, whoever else there is; and to one of the others. */
static bool is_full(struct bus *bus, uid_t uid) {
        const struct bus_peer *peer;
        unsigned others = 0, own = 0;

        if (bus_is_owner(uid))
                return bus->peer_count >= PEERS_MAX;
        list_for_each(peer, &bus->peers, link) {
                others += !bus_is_owner(peer->cred.uid);
                own += peer->cred.uid == uid;
        }
        return bus->peer_count >= PEERS_MAX || others >= OTHERS_MAX || own >= PEERS_OF_OTHER_MAX;
}

/* While nobody else may claim anything the mode of the path keeps others away already; who gets past it, by another
 * name of the file or by a descriptor, is looked at here. */
static void receive(struct bus *bus, int own_fd) {
        AUTO(fd_closep) int fd = own_fd;
        struct ucred cred = {.uid = (uid_t)-1};
        socklen_t size = sizeof(cred);
        int r;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0 ||
            (!bus_is_owner(cred.uid) && !claim_may_any(bus->setup.manager, cred.uid))) {
                refuse(bus, &cred, "neither root nor the broker's own user, nor one who may claim a service");
                return;
        }
        if (is_full(bus, cred.uid)) {
                refuse(bus, &cred, "too many are connected");
                return;
        }
        r = bus_peer_new(bus, take_fd(fd), &cred);
        if (r < 0)
                log_warning("control socket: cannot serve a peer: %s", err_text(r));
}

static int on_pause_over(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        struct bus *bus = userdata;

        if (bus->io)
                sd_event_source_set_enabled(bus->io, SD_EVENT_ON);
        return 0;
}

/* Out of descriptors or memory: who waits still waits, and watching on would spin. */
static void pause_accepting(struct bus *bus) {
        sd_event_source_set_enabled(bus->io, SD_EVENT_OFF);
        if (!bus->pause) {
                sd_event_add_time_relative(bus->setup.manager->event, &bus->pause, CLOCK_MONOTONIC, ACCEPT_PAUSE, 0,
                                           on_pause_over, bus);
                return;
        }
        sd_event_source_set_time_relative(bus->pause, ACCEPT_PAUSE);
        sd_event_source_set_enabled(bus->pause, SD_EVENT_ONESHOT);
}

static int on_connection(sd_event_source *source UNUSED, int listener, uint32_t events UNUSED, void *userdata) {
        struct bus *bus = userdata;

        for (int i = 0; i < ACCEPT_BURST; i++) {
                int fd = reserve_accept(&bus->reserve, listener, NULL, NULL);

                if (fd >= 0) {
                        receive(bus, fd);
                        continue;
                }
                if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                        pause_accepting(bus);
                return 0;
        }
        return 0;
}

/* Closing comes after EPOLL_CTL_DEL: a child on its way to exec may have a copy of the descriptor. */
static void stop_listening(struct bus *bus) {
        bus->io = sd_event_source_disable_unref(bus->io);
        control_socket_close(&bus->socket);
}

static bool same_path(const char *a, const char *b) {
        return a && b && strcmp(a, b) == 0;
}

static void prepare(struct companion *companion, const struct broker_def *def, struct diag *diag) {
        struct bus *bus = container_of(companion, struct bus, companion);
        const char *path = def->control.path ? def->control.path : bus->setup.default_path;
        AUTO(buf_deinit) struct buf why = BUF_NULL;

        if (def->control.off)
                path = NULL;
        bus->next_stays = same_path(path, bus->socket.path);
        if (!path || bus->next_stays || control_socket_open(path, &bus->next, &why) == 0)
                return;
        if (def->control.path)
                diag_error(diag, &def->control.mark, "broker.control", "%s", buf_text(&why));
        else
                diag_warning(diag, NULL, NULL, "there will be no control socket: %s", buf_text(&why));
}

static void discard(struct companion *companion) {
        struct bus *bus = container_of(companion, struct bus, companion);

        control_socket_close(&bus->next);
}

static int watch(struct bus *bus) {
        return sd_event_add_io(bus->setup.manager->event, &bus->io, bus->socket.fd, EPOLLIN, on_connection, bus);
}

static void switch_sockets(struct bus *bus) {
        int r;

        stop_listening(bus);
        bus->socket = bus->next;
        bus->next = CONTROL_SOCKET_NULL;
        if (!bus->socket.path)
                return;
        r = watch(bus);
        if (r < 0) {
                log_error("control socket: cannot be watched: %s", err_text(r));
                stop_listening(bus);
                return;
        }
        log_event(LOG_LEVEL_DEBUG, LOG_FIELDS(LOG_STRING("path", bus->socket.path)), "control socket");
}

/* The services are the new ones by now. */
static void commit(struct companion *companion) {
        struct bus *bus = container_of(companion, struct bus, companion);

        if (!bus->next_stays)
                switch_sockets(bus);
        control_socket_open_up(&bus->socket, claim_is_open_to_others(bus->setup.manager));
}

static void save(const struct companion *companion, struct state_out out) {
        const struct bus *bus = container_of(companion, struct bus, companion);

        state_put_usec(out, "started", bus->started);
        state_put_integer(out, "refused", (int64_t)bus->refused);
        state_put_integer(out, "last_number", bus->last_number);
        if (!bus->socket.path)
                return;
        state_put_text(out, "path", bus->socket.path);
        state_put_fd(out, "fd", bus->socket.fd);
        state_put_integer(out, "device", (int64_t)bus->socket.device);
        state_put_integer(out, "inode", (int64_t)bus->socket.inode);
}

static void restore(struct companion *companion, struct state_in in) {
        struct bus *bus = container_of(companion, struct bus, companion);

        if (state_has(in, "started"))
                bus->started = state_get_usec(in, "started");
        bus->refused = (uint64_t)state_get_integer(in, "refused", 0);
        bus->last_number = (unsigned)state_get_integer(in, "last_number", 0);
        if (!state_has(in, "path"))
                return;
        bus->socket = (struct control_socket){
                .path = state_get_text(in, "path"),
                .fd = state_take_fd(in, "fd"),
                .device = (dev_t)state_get_integer(in, "device", 0),
                .inode = (ino_t)state_get_integer(in, "inode", 0),
        };
        if (!bus->socket.path || bus->socket.fd < 0 || watch(bus) < 0)
                state_reader_fail(in.reader, "the control socket cannot be taken over");
}

void bus_init(struct bus *bus, const struct bus_setup *setup) {
        *bus = (struct bus){
                .companion = {.prepare = prepare,
                              .commit = commit,
                              .discard = discard,
                              .name = "control",
                              .save = save,
                              .restore = restore},
                .setup = *setup,
                .socket = CONTROL_SOCKET_NULL,
                .next = CONTROL_SOCKET_NULL,
                .started = clock_wall(),
        };
        list_init(&bus->peers);
        reserve_init(&bus->reserve, setup->manager->null_fd);
        list_append(&setup->manager->companions, &bus->companion.link);
}

void bus_deinit(struct bus *bus) {
        struct bus_peer *peer;

        if (!bus->setup.manager)
                return;
        list_remove(&bus->companion.link);
        list_for_each(peer, &bus->peers, link)
                bus_peer_free(peer);
        bus->sweep = sd_event_source_disable_unref(bus->sweep);
        bus->pause = sd_event_source_disable_unref(bus->pause);
        stop_listening(bus);
        reserve_deinit(&bus->reserve);
        control_socket_close(&bus->next);
}
