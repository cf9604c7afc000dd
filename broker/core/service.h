/* One service: its sockets, its program, whom it admits. What it does about events is in core/servicefsm.c; here is
 * what it is made of and the path of a connection. */
#pragma once

#include "base/rate.h"
#include "core/admission.h"
#include "core/limits.h"
#include "core/measures.h"
#include "core/port.h"
#include "core/program.h"
#include "core/refusal.h"

#include <uthash.h>

struct fdstore;
struct idle;
struct manager;

enum service_state {
        SERVICE_STOPPED,   /* nothing watched, nothing running; its sockets are bound */
        SERVICE_LISTENING, /* the broker watches the sockets */
        SERVICE_FULL,      /* wait: no; as many as may are being served, who comes waits in the backlog */
        SERVICE_STARTING,  /* wait: yes, ready: notify; a server has the sockets, and is not ready yet */
        SERVICE_RUNNING,   /* wait: yes; a server has the sockets */
        SERVICE_REPLACING, /* wait: yes; a new server is not ready yet, the old one goes on */
        SERVICE_STOPPING,  /* wait: yes; the servers were told to end: service->after_stop says what for */
        SERVICE_PAUSED,    /* nothing is accepted until a timer, or until what ran short is there again */
        SERVICE_BACKOFF,   /* the server is to be started again after restart_delay */
        SERVICE_CLAIMED,   /* a program that the broker did not start has the sockets */
        SERVICE_HALTED,    /* stopped by an order: its sockets are closed, until another order starts it */
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
        SERVICE_PAUSE_N,
};

/* What comes after SERVICE_STOPPING. */
enum after_stop {
        AFTER_STOP_OPEN,   /* what the definition says */
        AFTER_STOP_LISTEN, /* the next traffic starts a server, even with start: boot */
        AFTER_STOP_RUN,    /* a server, at once */
};

/* What became of the last SERVICE_REPLACING. */
enum replacement {
        REPLACEMENT_NONE,
        REPLACEMENT_DONE,
        REPLACEMENT_FAILED, /* the new server ended, or never became ready; the old one goes on */
};

struct service_counters {
        uint64_t accepted;
        uint64_t ended;    /* connections that are over, by whomever they were served, and servers */
        uint64_t failed;   /* accepted, but no program could be started for it */
        uint64_t starts;   /* of servers */
        uint64_t restarts; /* of these, those that `restart` made necessary */
        uint64_t claims_refused;
        uint64_t datagrams; /* that built-ins have taken; those refused not among them */
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
        enum after_stop after_stop;
        enum replacement replacement;
        int pause_error;              /* negative errno that led to it, or 0 */
        int replacement_error;        /* why no new server could be started beside the old one; 0: it was */
        enum child_stage pause_stage; /* of a start that failed on its way, or CHILD_STAGE_NONE */
        struct list short_link;       /* among the manager's services that wait for what ran short */
        usec_t since;                 /* when it entered its state, monotonic */
        sd_event_source *timer;       /* of the state it is in; cancelled on leaving it */
        usec_t shortage_delay;        /* doubles while shortages follow each other */
        usec_t restart_delay;         /* doubles while servers fail one after the other */
        struct rate trigger;
        usec_t deadline; /* STARTING, REPLACING: when start_timeout is over; USEC_INFINITY: it is, or there is none */
        struct exitinfo last_exit;
        enum process_reason last_reason;
        usec_t last_runtime;
        bool last_launch_failed;

        struct fdstore *fdstore; /* owned; NULL: nothing was stored yet */

        struct admission admission;
        struct list held; /* accepted connections that a shortage keeps from going on */

        struct service_counters counters;
        struct claim *claim;       /* who has its sockets; borrowed, NULL: nobody */
        bool outdated;             /* its server was started under an older definition, and on_change: keep */
        bool keeps_ports;          /* while definitions change: its sockets are not to be had */
        bool wanted;               /* while definitions change: the new ones have it too */
        bool load_told;            /* max_load was reached, and that is in the log */
        struct refusals *refusals; /* owned; NULL before the first */
        struct idle *idle;         /* owned, while a server with idle_stop runs (core/idle.h) */
        struct measures *measures; /* likewise, before the first program */
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

/* Whether those who come next are to wait in the backlog. */
bool service_is_full(const struct service *service);

/* Something has arrived at a socket whose server does the accepting. */
void service_on_traffic(struct service *service);

/* Starts the server with the sockets. 0 or a negative errno of program_prepare() or start_server. */
int service_start_server(struct service *service);

/* All processes of all generations. */
size_t service_process_count(const struct service *service);

/* Whether any generation has a process, or a connection that needs none. */
bool service_is_busy(const struct service *service);

/* The same of those before the one in force. */
bool service_older_are_busy(const struct service *service);

/* No further connections come: proxies' servers end when the last of those there are has. */
void service_retire(struct service *service);

/* Returns 0, or the negative errno of a socket that cannot be watched. */
int service_watch_ports(struct service *service, bool on);

/* Watches those of its sockets that have datagrams for us: they do not wait for a connection to end. */
void service_watch_datagrams(struct service *service);
void service_close_ports(struct service *service);

/* Tells its servers to end; who serves a connection goes on. */
void service_stop_servers(struct service *service);

/* The same for all its processes, those that serve connections too, and for connections without one. */
void service_stop_all(struct service *service);

/* As service_stop_all(); but a proxy's server that ran is started again. */
void service_restart_all(struct service *service);

/* Ends what it serves without a process. Returns whether there was anything. */
bool service_cut_connections(struct service *service);

/* The same for servers of older generations only. */
void service_stop_older(struct service *service);

/* Stops the last of the older generations: a server that was to replace another and is not wanted any more. */
void service_stop_youngest_older(struct service *service);

/* Whether it is in one of the states in which a server has its sockets. */
bool service_has_server_state(const struct service *service);

/* The one server of the current generation, or NULL. */
struct process *service_current_server(const struct service *service);

/* How many servers there are, of all generations. */
size_t service_server_count(const struct service *service);

/* Those of older generations that nobody has told to end. */
size_t service_older_server_count(const struct service *service);

/* How many processes of all generations were told to end and have not yet. */
size_t service_stopping_count(const struct service *service);

/* From now on PROGRAM is the one to be started, and the old one stays until its last process has ended. */
void service_set_program(struct service *service, struct program *own_program);

/* From now on its program is again the one before, of the same definition, whose server goes on. */
void service_take_back_program(struct service *service);

extern const struct handoff_events service_handoff_events;
