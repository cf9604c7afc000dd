/* One way of giving a socket to a program. A service has one handoff and talks to it through this interface alone; each
 * way is a file of this folder that fills in a struct handoff_ops, and is found by handoff_open().
 *
 * A handoff owns its processes. It knows no service and logs nothing: what happens it reports by struct handoff_events.
 * It borrows its setup (the plan, the listeners), which outlive it. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "handoff/framing.h"
#include "handoff/pool.h"
#include "handoff/process.h"
#include "net/connection.h"

#include <stdbool.h>

enum handoff_type {
        HANDOFF_TYPE_LISTENERS, /* all listening sockets to one server */
        HANDOFF_TYPE_SPAWN,     /* one process per accepted connection */
        HANDOFF_TYPE_RELAY,     /* bytes between accepted connections and a target; relays.c */
        HANDOFF_TYPE_BUILTIN,   /* the broker answers itself; builtins.c */
        HANDOFF_TYPE_PASS,      /* accepted connections to workers, by a queue that they share; pass.c */
        HANDOFF_TYPE_REQUEST,   /* requests of accepted connections to workers; requests.c */
        HANDOFF_TYPE_SPARES,    /* one process per accepted connection, made before it comes; spares.c */
        HANDOFF_TYPE_N,
};

/* Where a program's stdout or stderr goes, beside a descriptor's number. */
#define HANDOFF_FD_INHERIT (-1) /* the broker's own */
#define HANDOFF_FD_SOCKET (-2)  /* the socket handed over */

extern const char *const handoff_type_names[HANDOFF_TYPE_N];

struct handoff;

/* What became of a connection that had no process of its own. */
enum handoff_outcome {
        HANDOFF_DONE,          /* both sides have ended it */
        HANDOFF_RESET,         /* one of them broke it off, and so was the other */
        HANDOFF_TIMED_OUT,     /* nothing moved for connection_timeout */
        HANDOFF_STOPPED,       /* by us */
        HANDOFF_CLIENT_LEFT,   /* before the target had taken it */
        HANDOFF_TARGET_FAILED, /* it has not taken it, or not in time: error says why */
        HANDOFF_FORWARDED,     /* it asks for another service by name, and that one is to take it */
        HANDOFF_GIVEN_BACK,    /* not begun: whoever serves the service from now on is to take it, as it was accepted */
        HANDOFF_TAKEN,         /* a worker has it: what comes of it is not to be known */
        HANDOFF_UNANSWERED,    /* a request on it got no answer: error says why */
        HANDOFF_NOT_WAITED,    /* the client left before its answer */
        HANDOFF_OUTCOME_N,
};

struct handoff_finish {
        enum handoff_outcome outcome;
        int error;            /* negative errno, or 0 */
        uint64_t from_client; /* bytes that reached the target; or us: where there is none, and of requests */
        uint64_t from_target; /* bytes that reached the client */
        const char *name;     /* HANDOFF_FORWARDED: of the service; borrowed */
        bool parts; /* the last word was said to it, but it may still send, and a reset might undo that word */
};

/* What became of a request. */
enum handoff_answer {
        HANDOFF_ANSWER_REPLIED,
        HANDOFF_ANSWER_TIMED_OUT, /* busy_timeout, waiting or at its worker */
        HANDOFF_ANSWER_FAILED,    /* its worker has died or misbehaved; or it was too long, or one too many */
        HANDOFF_ANSWER_DROPPED,   /* its client has not waited for it */
        HANDOFF_ANSWER_N,
};

struct handoff_answered {
        enum handoff_answer answer;
        bool is_delayed; /* it had to wait for a worker */
        usec_t latency;  /* since it was there */
};

struct handoff_events {
        /* A program was started; CONNECTION is the one it serves, or NULL for a server. */
        void (*started)(void *userdata, struct handoff *handoff, const struct process *process);
        /* It is about to end: what it said before can still be told from what others say. */
        void (*ending)(void *userdata, struct handoff *handoff);
        /* It has ended. The connection it served, if any, belongs to the callee again. The handoff may be closed by the
         * callee when it has no processes left. */
        void (*ended)(void *userdata, struct handoff *handoff, const struct process_end *end);
        /* A connection without a process is over, and the callee's again, its descriptor still open. As with
         * ended, the handoff may be closed by the callee when it is busy no more. */
        void (*finished)(void *userdata, struct handoff *handoff, struct connection *own_connection,
                         const struct handoff_finish *finish);
        /* A process kept ready has ended before it had a connection: by itself; PROCESS_STOPPED: it was found stopped
         * by a signal, and killed. */
        void (*spare_ended)(void *userdata, struct handoff *handoff, const struct process_end *end);
        /* None can be made for now: a negative errno. Said once, until one was used. */
        void (*spare_failed)(void *userdata, struct handoff *handoff, int error);
        /* Before a way starts a server or makes a process ready of its own accord, AGAIN where one has ended by itself:
         * 0; -EBUSY while another one is in its place, which is asked again; or another negative errno. */
        int (*prepare)(void *userdata, struct handoff *handoff, bool again);
        /* A client has asked what only the callee knows: says it, line ends included, whether all is well, or which
         * services there are, as the kind of the built-in is. */
        void (*describe)(void *userdata, struct handoff *handoff, struct buf *out);
        /* Whether a datagram from PEER is let in; SIZE 0: of somebody without a name. It counts as one that came. */
        bool (*admits)(void *userdata, struct handoff *handoff, const union sockaddr_any *peer, socklen_t size);
        /* A request is over. */
        void (*answered)(void *userdata, struct handoff *handoff, const struct handoff_answered *answered);
};

/* What a way that relays needs to know. Whoever owns it may change the times at any moment. */
struct handoff_relay {
        const struct addr *targets; /* tried in this order */
        size_t target_count;
        unsigned header_version; /* of the PROXY header that the target gets; 0: none */
        bool has_server;         /* the plan starts the target */
        bool restarts;           /* start: boot, a server that has failed is started again */
        bool restarts_always;    /* or one that has ended at all */
        usec_t connection_timeout;
        usec_t start_timeout;
        usec_t idle_stop;
        usec_t restart_delay;
        usec_t restart_delay_max;
};

/* What a way with a pool of workers needs to know; may be changed likewise. */
struct handoff_pool {
        struct pool_setup workers;
        size_t queue_max; /* how many connections may wait for a worker */
        bool is_prompt;   /* that one waits no more is to be known at once: others may be refused for its sake */
};

/* What a way that answers requests needs to know, beside that. */
struct handoff_request {
        struct framing end;
        struct framing reply_end;
        size_t max_size; /* of a request, and of a reply, with its end */
        size_t queue;    /* how many requests may wait for a worker */
        bool keep_alive; /* more than one request on a connection */
        usec_t busy_timeout;
        usec_t connection_timeout;
        const char *error; /* what a client gets that gets no reply */
};

enum handoff_builtin_kind {
        HANDOFF_BUILTIN_ECHO,    /* RFC 862 */
        HANDOFF_BUILTIN_DISCARD, /* RFC 863 */
        HANDOFF_BUILTIN_DAYTIME, /* RFC 867 */
        HANDOFF_BUILTIN_TIME,    /* RFC 868 */
        HANDOFF_BUILTIN_CHARGEN, /* RFC 864 */
        HANDOFF_BUILTIN_STATUS,
        HANDOFF_BUILTIN_TCPMUX, /* RFC 1078 */
        HANDOFF_BUILTIN_N,
};

/* What is to be answered by ourselves. Whoever owns it may change the time at any moment. */
struct handoff_builtin {
        enum handoff_builtin_kind kind;
        usec_t connection_timeout;
};

/* A socket that has datagrams. */
struct handoff_datagrams {
        int fd;
        int family;   /* AF_* */
        unsigned max; /* how many to take at most */
};

/* A descriptor that a server gets beside its listening sockets. */
struct handoff_stored {
        const char *name; /* for LISTEN_FDNAMES */
        int fd;
};

/* Where these come from. Then the plan says nothing of LISTEN_FDS and LISTEN_FDNAMES, which differ from start to
 * start. */
struct handoff_store {
        char *listener_names; /* of the listening sockets, with colons between them; "" where there are none */
        /* What there is now: names and descriptors are borrowed until the loop goes on, the array is the caller's to
         * free. Returns 0 or a negative errno. */
        int (*list)(void *userdata, struct handoff_stored **ret, size_t *ret_count);
        void *userdata;
};

struct handoff_setup {
        struct process_host *host;
        const struct launch_plan *plan;
        struct process_policy policy;
        unsigned spares;   /* processes to keep ready, for HANDOFF_TYPE_SPARES */
        bool stdio;        /* the socket as fds 0 and 1, not as 3 and up */
        bool non_blocking; /* listening sockets are handed over with O_NONBLOCK */
        /* A server has the listening sockets already, and goes on: they stay as it has made them. One that waits for
         * several at once would be held by one that blocks. */
        bool beside_another;
        int stdout_fd; /* a descriptor, HANDOFF_FD_INHERIT or HANDOFF_FD_SOCKET */
        int stderr_fd;
        const int *listeners; /* in the order they are to be handed over */
        size_t listener_count;
        const struct handoff_relay *relay;     /* NULL for ways that do not */
        const struct handoff_builtin *builtin; /* likewise; then the listeners are those whose traffic it gets */
        const struct handoff_pool *pool;       /* likewise */
        const struct handoff_request *request; /* likewise */
        const struct handoff_store *store; /* NULL: nothing can be stored; for HANDOFF_TYPE_LISTENERS without stdio */
        const struct handoff_events *events;
        void *userdata;
};

/* What one of its workers is doing. */
struct handoff_worker {
        const char *state; /* "idle", "busy", "leaving"; NULL: nobody knows */
        uint64_t served;   /* requests */
        usec_t since;      /* in that state, monotonic */
};

/* What a pool whose work is requests has at this moment. */
struct handoff_tally {
        size_t idle;
        size_t busy;
        size_t leaving;
        size_t waiting; /* requests, for a worker */
        int error;      /* why there are fewer workers than there should be: of the last start, negative errno; 0 */
};

/* Why no further connections come. */
enum handoff_retirement {
        HANDOFF_LEAVES,   /* the service is to end: who is in may finish, and then the server ends */
        HANDOFF_REPLACED, /* another one is in its place, and so is its server */
};

struct handoff_ops {
        enum handoff_type type;
        /* Starts what serves one connection. On success the descriptor has been handed over and closed, and the
         * connection belongs to the process. On failure, a negative errno, both are still the caller's, who tries
         * again later: only shortages fail here. NULL where connections are not taken. */
        int (*take_connection)(struct handoff *handoff, struct connection *connection);
        /* Takes some datagrams and answers them, without waiting. Returns how many, or a negative errno, -EAGAIN where
         * there were none. NULL where datagrams are not taken. */
        int (*take_datagrams)(struct handoff *handoff, const struct handoff_datagrams *request);
        /* Starts a server with the listening sockets. 0 or a negative errno. NULL where they are not taken. */
        int (*start_server)(struct handoff *handoff);
        /* The following are NULL where there is nothing to be done. */
        size_t size; /* of the way's own struct, which begins with struct handoff; 0: it has none */
        int (*open)(struct handoff *handoff);
        void (*boot)(struct handoff *handoff);
        void (*on_listening)(struct handoff *handoff);
        void (*on_process_end)(struct handoff *handoff, const struct process_end *end); /* before events->ended */
        void (*on_policy)(struct handoff *handoff);
        void (*retire)(struct handoff *handoff, enum handoff_retirement how);
        void (*stop)(struct handoff *handoff);
        void (*restart)(struct handoff *handoff);
        void (*rest)(struct handoff *handoff);
        size_t (*idle_count)(const struct handoff *handoff); /* of processes that may serve nobody; NULL: 0 */
        bool (*cut)(struct handoff *handoff);
        bool (*is_waiting)(const struct handoff *handoff);
        bool (*is_failing)(const struct handoff *handoff, int *ret_error);
        bool (*is_full)(struct handoff *handoff);
        void (*describe)(const struct handoff *handoff, const struct process *process, struct handoff_worker *ret);
        void (*tally)(const struct handoff *handoff, struct handoff_tally *sums); /* adds to it */
        void (*abandon)(struct handoff *handoff);
        void (*close)(struct handoff *handoff);
};

struct handoff {
        const struct handoff_ops *ops;
        struct handoff_setup setup;
        struct list processes;
        size_t process_count;
        size_t connection_count; /* of connections without a process */
        size_t spare_count;      /* of processes that wait for a connection; they keep nobody busy */
};

static inline bool handoff_is_busy(const struct handoff *handoff) {
        return handoff->process_count > 0 || handoff->connection_count > 0;
}

/* Returns 0 with a new handoff, or -ENOMEM. */
int handoff_open(enum handoff_type type, const struct handoff_setup *setup, struct handoff **ret);

/* Makes a process its own again that was so before the broker was upgraded, and the connection that it serves: see
 * process_restore(). */
int handoff_restore_process(struct handoff *handoff, const struct process *like, usec_t timer_at);

/* start: boot, for ways that start servers of their own accord. May be called again: only the first call counts. */
void handoff_boot(struct handoff *handoff);

/* Connections may come from now on. May be called again at any time. */
void handoff_on_listening(struct handoff *handoff);

/* No further connections come: what remains is to end. */
void handoff_retire(struct handoff *handoff, enum handoff_retirement how);

/* Tells all processes to end: the stop signal, and SIGKILL when the grace period is over. Connections without a
 * process are broken off. */
void handoff_stop(struct handoff *handoff);

/* The same, but a server that ran, or that start: boot asks for, is started again afterwards. */
void handoff_restart(struct handoff *handoff);

/* Breaks off connections without a process, and leaves processes alone. Returns whether there were any. */
bool handoff_cut(struct handoff *handoff);

/* Whether a server is to be started of its own accord, now or when a delay is over. */
bool handoff_is_waiting(const struct handoff *handoff);

/* Whether processes are wanted that do not stay: they end as soon as they are started, or cannot be. *RET_ERROR: the
 * negative errno for which the last one could not be, or 0. */
bool handoff_is_failing(const struct handoff *handoff, int *ret_error);

/* Whether anybody is served, or may be soon. */
bool handoff_is_alive(const struct handoff *handoff);

/* Nobody has come for long: processes that are there only for who may come end, and are there again when he does, or
 * after handoff_on_listening(). Whoever serves somebody goes on. Returns whether there are any of either. */
bool handoff_rest(struct handoff *handoff);

/* Whether it takes no connection now; once it has said so, the end of one, by `finished`, is when to ask again. */
bool handoff_is_full(struct handoff *handoff);

/* What PROCESS, which is one of its own, is doing; all zero where that is not to be known. */
void handoff_describe(const struct handoff *handoff, const struct process *process, struct handoff_worker *ret);

/* How processes are stopped from now on, those that run already too; max_runtime is for new ones. */
void handoff_set_policy(struct handoff *handoff, const struct process_policy *policy);

/* Whether PROCESS belongs to a handoff, which is its userdata then. */
bool handoff_owns(const struct process *process);

/* Forgets its processes without ending them, and frees the connections they serve: the broker ends. */
void handoff_abandon(struct handoff *handoff);

/* Frees it; only when it is busy no more. Returns NULL. */
struct handoff *handoff_close(struct handoff *handoff);

/* For the ways themselves: starts a process of REQUEST, which serves CONNECTION or nothing, and reports it. */
int handoff_start_process(struct handoff *handoff, const struct launch_request *request, struct connection *connection);

/* The same for a process that was kept ready and has just been given CONNECTION. */
void handoff_assign_process(struct handoff *handoff, struct process *process, struct connection *connection);

extern const struct handoff_ops listeners_ops;
extern const struct handoff_ops spawn_ops;
extern const struct handoff_ops relay_ops;
extern const struct handoff_ops builtin_ops;
extern const struct handoff_ops pass_ops;
extern const struct handoff_ops request_ops;
extern const struct handoff_ops spares_ops;
