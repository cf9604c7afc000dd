/* Connections that wait for a word from their client, each for the same time at most, so that the oldest is always the
 * first to be late and one timer serves all. Objects are used again, with their event sources.
 *
 * Watched edge-triggered: what the client sent may stay in the socket, and only more of it wakes us again. */
#pragma once

#include "base/list.h"
#include "net/connection.h"

#include <stdint.h>
#include <systemd/sd-event.h>

struct service;
struct waitlist;

struct waiter {
        struct list link; /* in its list's waiting or idle ones */
        struct waitlist *list;
        struct service *service; /* not touched here */
        struct connection *connection;
        usec_t late_at;
        sd_event_source *io; /* disabled while idle */
};

struct waitlist {
        sd_event *event; /* borrowed */
        usec_t patience; /* how long each may wait */
        /* Something has arrived (or is there already), or the client has closed: GONE. Both callbacks may call
         * waitlist_remove() for this waiter. */
        void (*on_word)(struct waiter *waiter, bool gone);
        void (*on_late)(struct waiter *waiter); /* has to remove it */
        struct list waiting;                    /* oldest first */
        struct list idle;
        size_t count; /* of those waiting */
        size_t idle_count;
        sd_event_source *timer;
};

/* EVENT may be NULL until the first waiter comes. */
void waitlist_init(struct waitlist *list);
void waitlist_deinit(struct waitlist *list); /* closes and frees the connections that still wait */

/* Begins to wait for CONNECTION, which stays open; it belongs to the list until waitlist_remove(). Returns 0 or a
 * negative errno, a shortage. */
int waitlist_add(struct waitlist *list, struct service *service, struct connection *connection);

/* The same for one that has waited before, and is late at LATE_AT (monotonic); those before it are late earlier. */
int waitlist_add_until(struct waitlist *list, struct service *service, struct connection *connection, usec_t late_at);

/* Ends that. Returns the connection, which belongs to the caller again. */
struct connection *waitlist_remove(struct waiter *waiter);
