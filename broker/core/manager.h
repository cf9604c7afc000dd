/* Owns the loop's shared things and all services; knows when everything is over. */
#pragma once

#include "conf/servicedef.h"
#include "core/blocklist.h"
#include "core/idleexit.h"
#include "core/lingering.h"
#include "core/service.h"
#include "core/surroundings.h"
#include "core/waitlist.h"
#include "net/inherit.h"

/* A start takes a few for a moment, and gives back the connection's (proc/launch.h). */
#define SPARE_FDS 5

struct datagram_ports;
struct state_in;
struct state_out;

/* Something outside of the services that the `broker:` section is about, and that changes together with them; see
 * core/reload.h. Owned by whoever put it into the manager's list. */
struct companion {
        struct list link;
        /* Opens what DEF asks for, and changes nothing yet. What is wrong goes to DIAG; what DEF did not write down
         * only as a warning. */
        void (*prepare)(struct companion *companion, const struct broker_def *def, struct diag *diag);
        void (*commit)(struct companion *companion);  /* cannot fail */
        void (*discard)(struct companion *companion); /* as if there had been no prepare */
        /* Its part of an upgrade (core/keep.h), under this name in the state. */
        const char *name;
        void (*save)(const struct companion *companion, struct state_out out);
        void (*restore)(struct companion *companion, struct state_in in);
};

struct manager {
        sd_event *event;
        struct launcher *launcher;
        struct process_host host;
        struct planmake_base base;
        struct inherit inherit;   /* sockets the broker itself was started with */
        struct broker_def broker; /* of the definitions in force; owned */
        struct list companions;

        struct list services;    /* in the order of their definitions */
        struct service *by_name; /* the same, hashed */
        size_t service_count;    /* several workers are one service */
        struct list leaving;     /* without sockets, until their last process has ended */

        struct list short_services; /* paused until something is given back */
        struct rate shortage_told;

        struct blocklist blocked; /* who has touched a sensor */
        struct rate clients_told; /* of touched sensors, and pauses by cps */
        struct surroundings surroundings;
        struct waitlist headers;    /* connections whose PROXY header has not come yet */
        struct lingering lingering; /* sockets that are about to be closed */
        struct waitlist partings;   /* connections that are over but for the client's reading */

        struct list commands; /* orders that are not carried out yet */
        sd_event_source *command_check;

        struct list buried; /* programs that a child may still be reading */
        sd_event_source *sweep_timer;

        struct list idle_connections; /* objects to be used again */
        size_t idle_connection_count;

        struct datagram_ports *datagram_ports; /* owned; NULL before the first datagram that we answer */

        struct idleexit idleexit;
        usec_t started_at; /* wall clock */
        uint64_t reloads_done;
        uint64_t reloads_failed;

        bool draining;
        int exit_status;
        sd_event_source *drain_timer;
        sd_event_source *log_drain; /* the log's reader is slow: watch for it */
        sd_event_source *sigchld;
        sd_event_source *orphan_timer;
        void (*on_drain)(void *userdata); /* told once when draining begins */
        void *on_drain_userdata;
        int null_fd;
        int spare_fds[SPARE_FDS]; /* for who is in already, when there are no others */
};

/* MODE: how to start programs. INHERIT is taken over. Returns 0 or a negative errno. */
int manager_init(struct manager *manager, enum launch_mode mode, struct inherit *own_inherit);
void manager_deinit(struct manager *manager);

/* Runs the loop until everything is over. Returns the exit status of the broker, or a negative errno. */
int manager_run(struct manager *manager);

/* No new connections; servers are told to end, those who serve a connection may finish it; when the last is gone,
 * or the longest stop_grace_period is over, the loop ends with STATUS. */
void manager_drain(struct manager *manager, int status);

/* Kills every process and ends the loop at once. */
void manager_kill(struct manager *manager);

struct service *manager_find(struct manager *manager, const char *name);
void manager_add(struct manager *manager, struct service *service);

/* Takes SERVICE from the services to those that leave, and tells it to. It may be gone when this returns. */
void manager_dismiss(struct manager *manager, struct service *service);

/* For services: */
void manager_on_service_gone(struct manager *manager, struct service *own_service);
void manager_on_main_ended(struct manager *manager, int status);
void manager_on_freed(struct manager *manager); /* a process has ended: whoever waits for that may try again */
void manager_bury(struct manager *manager, struct program *own_program); /* frees it as soon as nobody reads it */
bool manager_may_tell_shortage(struct manager *manager);
bool manager_may_tell_of_clients(struct manager *manager);
void manager_lend_spares(struct manager *manager); /* makes some descriptors free when all are in use */
void manager_take_spares(struct manager *manager); /* and takes them back, or as many as it gets */
usec_t manager_now(struct manager *manager);       /* monotonic, of this iteration of the loop */
uint32_t manager_load(struct manager *manager);    /* see core/surroundings.h */
unsigned manager_minute_of_day(struct manager *manager);
struct connection *manager_take_connection(struct manager *manager); /* NULL when memory ran out */
void manager_return_connection(struct manager *manager, struct connection *own_connection);
