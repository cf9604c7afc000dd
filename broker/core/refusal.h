/* Clients that are turned away: why, how many, and what they are told. Nothing here waits for a client, and nobody can
 * fill the log by being refused. */
#pragma once

#include "net/connection.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct service;

/* Why a connection is refused; in the order in which the reasons are looked for. */
enum refusal {
        REFUSAL_NONE = -1,
        REFUSAL_HEADER,    /* its PROXY protocol header is missing, wrong or late */
        REFUSAL_PUBLIC,    /* a datagram from elsewhere, without udp_public */
        REFUSAL_PORT,      /* a datagram from a port that is no client's: nobody knows what answers there */
        REFUSAL_SENSOR,    /* it, or one of its prefix, has touched a sensor */
        REFUSAL_ADDRESS,   /* only_from, no_access */
        REFUSAL_IDENTITY,  /* uid, gid */
        REFUSAL_TIME,      /* access_times */
        REFUSAL_SOURCE,    /* per_source */
        REFUSAL_LOAD,      /* max_load */
        REFUSAL_RATE,      /* cps */
        REFUSAL_INSTANCES, /* instances */
        REFUSAL_NAME,      /* no service of the name that was asked for */
        REFUSAL_N,
};

extern const char *const refusal_names[REFUSAL_N]; /* the key that is behind it */

/* What a service has refused so far. There is none before the first refusal. */
struct refusals {
        uint64_t counts[REFUSAL_N];
        uint64_t told; /* of all of them, those that were logged */
        sd_event_source *timer;
};

struct refusals *refusals_free(struct refusals *refusals);

/* After the broker was upgraded: those that were not told yet will be. */
void refusals_resume(struct service *service);

/* How many there were for REASON. REFUSALS may be NULL. */
static inline uint64_t refusals_count(const struct refusals *refusals, enum refusal reason) {
        return refusals ? refusals->counts[reason] : 0;
}

/* Counts and logs a refusal of CONNECTION, or of a datagram where that has no descriptor, and does no more. */
void refusal_note(struct service *service, const struct connection *connection, enum refusal reason);

/* Refuses OWN_CONNECTION, which has no ticket: counts and logs it, sends what the definition says, and ends it. */
void refusal_end(struct service *service, struct connection *own_connection, enum refusal reason);
