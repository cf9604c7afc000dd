/* All relays of one service, with their target and the server behind it: what relays.c, relaytarget.c and
 * relayserver.c share. Internal to this way of handing over.
 *
 * A relay that is over is only put on a list by whoever finds out, and told to the service by relays_deliver(),
 * which is the last thing any callback does: the service may close the handoff then. */
#pragma once

#include "handoff/handoff.h"
#include "handoff/relay.h"

enum relay_server {
        RELAY_SERVER_NONE,
        RELAY_SERVER_RUNNING,
        RELAY_SERVER_STOPPING, /* nobody connects to it any more; it is started again when it has ended */
};

struct relays {
        struct handoff handoff; /* first */
        struct list waiting;    /* for the target, oldest first; some are connecting */
        struct list running;    /* about by when something moved last */
        struct list busy;       /* running ones that have more to move at once */
        struct list over;       /* to be told */
        sd_event_source *timer; /* the earliest of all there is to be done */
        usec_t timer_at;
        usec_t counted_for;    /* the connection_timeout that running is ordered for */
        sd_event_source *turn; /* enabled while there are busy ones, or some are over and nobody is telling */
        bool retired;

        /* The target has refused: one connection at a time tries it, for all, until it takes one. */
        bool down;
        usec_t retry_at;
        usec_t retry_delay;

        enum relay_server server;
        bool server_proved; /* the target has taken a connection since it was started */
        bool booted;
        bool server_wanted;  /* also without a connection */
        bool server_again;   /* since the one before has ended by itself */
        usec_t server_at;    /* not before it is started again */
        usec_t server_delay; /* doubles while starts fail */
        int server_error;    /* why it could not be started */
        usec_t idle_since;   /* no connection since then */
};

static inline struct relays *relays_of(struct handoff *handoff) {
        return (struct relays *)handoff;
}

static inline const struct handoff_relay *relays_setup(const struct relays *relays) {
        return relays->handoff.setup.relay;
}

usec_t relays_now(const struct relays *relays);

/* Does what is due, and sets the timer for what comes next; relays that have ended are delivered by the caller. */
void relays_run(struct relays *relays);

/* The same, from the loop, as soon as possible. */
void relays_run_soon(struct relays *relays);

/* Takes RELAY out of everything: it is to be told. */
void relays_end(struct relay *relay, enum handoff_outcome outcome, int error);

/* The target has taken it: bytes may move. */
void relays_begin(struct relay *relay);

/* Watches its connection, which does not block from now on. 0 or a negative errno. */
int relays_watch_client(struct relay *relay);

/* What the kernel said of one side of a running relay, or of the client of one that waits. */
void relays_note(struct relay *relay, enum relay_side side, uint32_t events);

/* Tells the service of the relays that are over. RELAYS may be gone afterwards. */
void relays_deliver(struct relays *relays);

/* relaytarget.c: tries to connect. Afterwards the relay is connecting, running, waiting for the next try, or
 * over. 0, or with SHORT_FAILS a negative errno, a shortage: then it is as it was. */
int relaytarget_connect(struct relay *relay, bool short_fails);

/* Watches the descriptor that it has of the target. 0 or a negative errno. */
int relaytarget_watch(struct relay *relay);

/* Goes on with those that wait, when it is time. */
void relaytarget_run(struct relays *relays, usec_t now);

/* When it is, or USEC_INFINITY. */
usec_t relaytarget_next(const struct relays *relays);

/* relayserver.c: whether connections may be tried now; starts the server where it does not run. 1, 0, or the
 * negative errno of a start that failed. */
int relayserver_want(struct relays *relays, usec_t now);
void relayserver_run(struct relays *relays, usec_t now);
bool relayserver_is_wanted(const struct relays *relays);
usec_t relayserver_next(const struct relays *relays);
void relayserver_stop(struct relays *relays);
void relayserver_on_end(struct relays *relays, const struct process_end *end);
