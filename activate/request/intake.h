/* The clients of --request, from their listeners to the handoff: accepted as long as there is room, held where they
 * cannot be served for want of something. What is accepted is never dropped for a shortage. */
#pragma once

#include "activate/options.h"
#include "activate/shortage.h"
#include "activate/sockets.h"
#include "handoff/handoff.h"

#include <systemd/sd-event.h>

struct intake;
struct intake_client;

struct intake_listener {
        struct intake *intake;
        const struct socket *socket;
        sd_event_source *io; /* NULL: it is broken */
        unsigned burst;      /* how many are taken at once */
        unsigned patience;   /* how many wake-ups there are between attempts to take a second one at once */
        unsigned singles;    /* how many of them are still to come */
};

struct intake {
        const struct options *options; /* borrowed, as the following */
        struct sockets *sockets;
        struct handoff *handoff;
        struct intake_listener *listeners; /* one for each of the sockets; NULL: no more connections */
        sd_event_source *turn;             /* the owner's, borrowed: intake_run() is due */
        sd_event_source *timer;            /* enables it after a shortage */
        struct list clients;               /* of those that the handoff has, by connection.link */
        size_t count;
        size_t room; /* how many there may be */
        size_t broken;
        bool is_watching;
        struct intake_client *held; /* accepted, but the handoff does not take it yet; NULL */
        struct shortage shortage;
        struct rate failures; /* to take one, said so far */
};

struct intake_setup {
        sd_event *event;
        sd_event_source *turn;
        const struct options *options;
        struct sockets *sockets;
        struct handoff *handoff;
};

/* Begins to watch. Returns 0 or a negative errno; INTAKE is to be deinitialised in any case. */
int intake_init(struct intake *intake, const struct intake_setup *setup);

/* Connections that the handoff has stay its own. */
void intake_deinit(struct intake *intake);

/* Offers the one that is held again, unless a shortage lasts, and watches the listeners where there is room. */
void intake_run(struct intake *intake);

/* Something was given back: what was short may not be so any more. */
void intake_retry(struct intake *intake);

/* CONNECTION is the handoff's no more, and over. */
void intake_release(struct intake *intake, struct connection *own_connection);

/* No more connections are accepted; the sockets may be closed. One that is held stays so. */
void intake_end(struct intake *intake);

/* Closes the one that is held, if any. */
void intake_drop_held(struct intake *intake);

/* Whether no listener works any more. */
static inline bool intake_is_broken(const struct intake *intake) {
        return intake->listeners && intake->broken == intake->sockets->count;
}
