/* The control socket: D-Bus connections from `broker status` and the like, and from any D-Bus client; broker-
 * bus(5). There is no message bus: each peer is connected to us directly.
 *
 * Owned by main. It borrows the manager, and changes with the definitions as one of its companions. Only root and
 * the broker's own user are let in. Nothing here waits for a peer. */
#pragma once

#include "base/rate.h"
#include "core/controlsocket.h"
#include "core/manager.h"
#include "ctl/reserve.h"

#include <systemd/sd-event.h>

struct upgrade;

struct bus_setup {
        struct manager *manager;     /* borrowed, as all of these */
        const struct strlist *paths; /* of the definitions */
        const char *version;
        const char *default_path; /* where the definitions say nothing; NULL: no socket then */
};

struct bus {
        struct companion companion;
        struct bus_setup setup;
        struct control_socket socket;
        struct control_socket next; /* of the definitions that are being prepared */
        bool next_stays;            /* they want the one there is */
        struct reserve reserve;     /* so that orders can be given when descriptors are used up */
        sd_event_source *io;
        sd_event_source *pause; /* accepting goes on when it is over */
        sd_event_source *sweep; /* frees peers that are gone */
        struct list peers;
        unsigned peer_count;
        unsigned last_number; /* of a peer */
        struct rate refused_told;
        uint64_t refused;        /* peers */
        usec_t started;          /* wall clock */
        struct upgrade *upgrade; /* borrowed; NULL: it cannot be upgraded */
};

/* Does not listen yet: the definitions say where. BUS must not move from then on. */
void bus_init(struct bus *bus, const struct bus_setup *setup);
void bus_deinit(struct bus *bus);
