/* One relayed connection: two descriptors, and a direction each way. Bytes move by splice(2) through a pipe that
 * is taken from a pool while data is in flight. Both sides are watched edge-triggered, once: an idle relay, also
 * one that is closed on one side, costs nothing until something changes. */
#pragma once

#include "handoff/pipes.h"
#include "net/connection.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct relays;

enum relay_side {
        RELAY_CLIENT,
        RELAY_TARGET,
        RELAY_SIDE_N,
};

struct relay_end {
        int fd;
        sd_event_source *io;
        bool readable; /* may be: nobody has said EAGAIN since */
        bool writable;
        bool broken; /* it was reset, or takes nothing any more */
};

/* From the side whose number it has to the other. */
struct relay_direction {
        struct pipe *pipe; /* NULL while nothing is in flight */
        uint64_t bytes;    /* that have arrived */
        bool over;         /* its end has been passed on, or nobody takes it any more */
        bool copies;       /* splice(2) cannot do it */
};

enum relay_step {
        RELAY_WAITING,    /* for the target to be tried */
        RELAY_CONNECTING, /* to it */
        RELAY_RUNNING,
        RELAY_OVER,
};

struct relay {
        struct list link;      /* in its relays' list of those of its kind */
        struct list busy_link; /* among those that have more to move at once */
        struct relays *relays;
        struct connection *connection; /* owned; its descriptor is the client's end */
        enum relay_step step;
        bool broken; /* one side takes nothing any more: the other is reset when its last words are said */
        struct relay_end ends[RELAY_SIDE_N];
        struct relay_direction directions[RELAY_SIDE_N];
        size_t address;        /* of the target: which is being tried */
        usec_t since;          /* waiting: when it was taken; running: about when something moved last */
        unsigned char outcome; /* enum handoff_outcome, when over */
        int error;
};

enum relay_verdict {
        RELAY_IDLE,  /* it goes on when the kernel says so */
        RELAY_BUSY,  /* there is more to be moved at once; others first */
        RELAY_DONE,  /* both directions have come to their end */
        RELAY_RESET, /* one side broke it off */
};

/* What the kernel said of the end SIDE (EPOLL*). */
void relay_note(struct relay *relay, enum relay_side side, uint32_t events);

/* Moves what can be moved, up to a bound. *RET_MOVED: whether anything did. */
enum relay_verdict relay_pump(struct relay *relay, struct pipes *pipes, bool *ret_moved);

/* Gives its pipes back, and resets both sides where it was broken off. Descriptors stay open. */
void relay_settle(struct relay *relay, struct pipes *pipes, bool reset);
