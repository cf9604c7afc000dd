/* What a service does about what happens: its states and events, in one table. */
#pragma once

#include "core/service.h"

enum service_event {
        SERVICE_EV_OPEN,    /* its sockets are bound, it may begin */
        SERVICE_EV_TRAFFIC, /* wait: yes; something has arrived */
        SERVICE_EV_FULL,    /* wait: no; the last place was taken */
        SERVICE_EV_PAUSE,   /* something is short or missing: service->pause says what */
        SERVICE_EV_ENDED,   /* one of its processes has ended */
        SERVICE_EV_PLACE,   /* wait: no; a connection has come to its end without a process */
        SERVICE_EV_ROOM,    /* somebody else's has, and this one waits for what was short */
        SERVICE_EV_TIMER,   /* of its state */
        SERVICE_EV_CHANGED, /* it has a new definition and program */
        SERVICE_EV_STOP,    /* it is to leave */
        SERVICE_EV_READY,   /* the server of the current generation says that it is */
        SERVICE_EV_IDLE,    /* nobody has been connected to its server for long, which was told to end */
        SERVICE_EV_REPLACE, /* an order: it has a new program, whose server is to take the place of the one that runs */
        SERVICE_EV_RESTART, /* an order, as the following */
        SERVICE_EV_KILL,
        SERVICE_EV_HALT,
        SERVICE_EV_RESUME,  /* its sockets are bound again after a halt */
        SERVICE_EV_CLAIM,   /* somebody has taken its sockets: service->claim */
        SERVICE_EV_UNCLAIM, /* and given them back */
        SERVICE_EVENT_N,
};

/* Handles EVENT in the state SERVICE is in. The service may be gone afterwards if it was leaving. */
void servicefsm_post(struct service *service, enum service_event event);

/* One of its processes has ended, of the current generation (CURRENT) or of a retired one. */
void servicefsm_on_ended(struct service *service, const struct process_end *end, bool current);

/* Pauses it: because ERROR (negative errno) ran short, or since its program cannot be started. */
void servicefsm_pause_for_shortage(struct service *service, int error);
void servicefsm_pause_for_program(struct service *service, int error);

/* The same for a limit that holds its clients back: REFUSAL_RATE or REFUSAL_LOAD. */
void servicefsm_pause_for_limit(struct service *service, enum refusal limit);

/* Goes on in the state that SERVICE was in before the broker was upgraded; all it has is there again. Returns 0, or the
 * negative errno of a socket that cannot be watched. */
int servicefsm_restore(struct service *service, usec_t timer_at);

/* For the test that walks the table: what the cell does, as an opaque pointer; NULL where it cannot happen. */
const void *servicefsm_cell(enum service_state state, enum service_event event);

extern const char *const service_state_names[SERVICE_STATE_N];
extern const char *const service_pause_names[SERVICE_PAUSE_N];
