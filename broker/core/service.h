/* One service: its sockets, its program, whom it admits. What it does about events is in core/servicefsm.c; here is
 * what it is made of and the path of a connection. */
#pragma once

#include "base/rate.h"
#include "core/admission.h"
#include "core/limits.h"
#include "core/port.h"
#include "core/program.h"
#include "core/refusal.h"

#include <uthash.h>

struct manager;

enum service_state {
        SERVICE_STOPPED,   /* nothing watched, nothing running; its sockets are bound */
        SERVICE_LISTENING, /* the broker watches the sockets */
        SERVICE_FULL,      /* wait: no; as many as may are being served, who comes waits in the backlog */
        SERVICE_RUNNING,   /* wait: yes; a server has the sockets */
        SERVICE_STOPPING,  /* wait: yes; the server was told to end, a new definition waits for that */
        SERVICE_PAUSED,    /* nothing is accepted until a timer, or until what ran short is there again */
        SERVICE_BACKOFF,   /* the server is to be started again after restart_delay */
        SERVICE_LEAVING,   /* its sockets are closed, its last processes end */
        SERVICE_STATE_N,
};

/* Why a service is paused. */
enum service_pause {
        PAUSE_NONE,
        PAUSE_SHORTAGE, /* descriptors, processes or memory */
        PAUSE_TRIGGER,  /* trigger_limit */
        PAUSE_PROGRAM,  /* the program is missing or cannot be started */
        PAUSE_RATE,     /* cps */
        PAUSE_LOAD,     /* max_load */
};

struct service_counters {
        uint64_t accepted;
        uint64_t ended;
        uint64_t failed; /* accepted, but no program could be started for it */
        uint64_t starts; /* of servers */
};

struct service {
        struct list link;        /* among the manager's services, or those that leave */
        UT_hash_handle hh;       /* by name */
        struct manager *manager; /* borrowed */
        char *name;              /* of the service; NAME/2 and on of its further workers */
        unsigned worker;         /* which of its workers this is, from 1 */
        struct service_def *def; /* owned; replaced as a whole by a reload */

        struct port **ports; /* in the order written */
        size_t port_count;

        struct program *program; /* the current generation */
        struct list retired;     /* older ones, until their last process has ended */

        enum service_state state;
        enum service_pause pause;
        int pause_error;              /* negative errno that led to it, or 0 */
        enum child_stage pause_stage; /* of a start that failed on its way, or CHILD_STAGE_NONE */
        struct list short_link;       /* among the manager's services that wait for what ran short */
        usec_t since;                 /* when it entered its state, monotonic */
        sd_event_source *timer;       /* of the state it is in; cancelled on leaving it */
        usec_t shortage_delay;        /* doubles while shortages follow each other */
        usec_t restart_delay;         /* doubles while servers fail one after the other */
        struct rate trigger;
        struct exitinfo last_exit;
        usec_t last_runtime;
        bool last_launch_failed;

        struct admission admission;
        struct list held; /* accepted connections that a shortage keeps from going on */

        struct service_counters counters;
        bool keeps_ports;          /* while definitions change: its sockets are not to be had */
        bool wanted;               /* while definitions change: the new ones have it too */
        bool load_told;            /* max_load was reached, and that is in the log */
        struct refusals *refusals; /* owned; NULL before the first */
};

/* Leaves its processes to themselves: the broker ends. */
void service_abandon(struct service *service);

/* Before it begins to accept: its sockets do not block, whatever a server they were given to has made of that. */
void service_prepare_ports(struct service *service);

/* Makes a service of DEF, called NAME, without sockets or a program yet; takes over DEF on success. Returns 0 or
 * -ENOMEM. */
int service_new(struct manager *manager, const char *name, struct service_def *def, struct service **ret);

/* Frees it; only when none of its processes is left. NULL is fine; returns NULL. */
struct service *service_free(struct service *service);

/* Whether the broker accepts its connections, rather than its server. */
bool service_accepts(const struct service *service);

/* Something has arrived at a socket whose server does the accepting. */
void service_on_traffic(struct service *service);

/* Starts the server with the sockets. 0 or a negative errno of program_prepare() or start_server. */
int service_start_server(struct service *service);

/* All processes of all generations. */
size_t service_process_count(const struct service *service);

/* Returns 0, or the negative errno of a socket that cannot be watched. */
int service_watch_ports(struct service *service, bool on);
void service_close_ports(struct service *service);

/* Tells its servers to end; who serves a connection goes on. */
void service_stop_servers(struct service *service);

/* How many servers there are, of all generations. */
size_t service_server_count(const struct service *service);

extern const struct handoff_events service_handoff_events;
