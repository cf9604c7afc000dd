/* One way of giving a socket to a program. A service has one handoff and talks to it through this interface alone; each
 * way is a file of this folder that fills in a struct handoff_ops, and is found by handoff_open().
 *
 * A handoff owns its processes. It knows no service and logs nothing: what happens it reports by struct handoff_events.
 * It borrows its setup (the plan, the listeners), which outlive it. */
#pragma once

#include "base/list.h"
#include "handoff/process.h"
#include "net/connection.h"

#include <stdbool.h>

enum handoff_type {
        HANDOFF_TYPE_LISTENERS, /* all listening sockets to one server */
        HANDOFF_TYPE_SPAWN,     /* one process per accepted connection */
        HANDOFF_TYPE_N,
};

/* Where a program's stdout or stderr goes, beside a descriptor's number. */
#define HANDOFF_FD_INHERIT (-1) /* the broker's own */
#define HANDOFF_FD_SOCKET (-2)  /* the socket handed over */

struct handoff;

struct handoff_events {
        /* A program was started; CONNECTION is the one it serves, or NULL for a server. */
        void (*started)(void *userdata, struct handoff *handoff, const struct process *process);
        /* It is about to end: what it said before can still be told from what others say. */
        void (*ending)(void *userdata, struct handoff *handoff);
        /* It has ended. The connection it served, if any, belongs to the callee again. The handoff may be closed by the
         * callee when it has no processes left. */
        void (*ended)(void *userdata, struct handoff *handoff, const struct process_end *end);
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
        bool stdio;        /* the socket as fds 0 and 1, not as 3 and up */
        bool non_blocking; /* listening sockets are handed over with O_NONBLOCK */
        int stdout_fd;     /* a descriptor, HANDOFF_FD_INHERIT or HANDOFF_FD_SOCKET */
        int stderr_fd;
        const int *listeners; /* in the order they are to be handed over */
        size_t listener_count;
        const struct handoff_store *store; /* NULL: nothing can be stored; for HANDOFF_TYPE_LISTENERS without stdio */
        const struct handoff_events *events;
        void *userdata;
};

struct handoff_ops {
        enum handoff_type type;
        /* Starts what serves one connection. On success the descriptor has been handed over and closed, and the
         * connection belongs to the process. On failure, a negative errno, both are still the caller's, who tries
         * again later: only shortages fail here. NULL where connections are not taken. */
        int (*take_connection)(struct handoff *handoff, struct connection *connection);
        /* Starts a server with the listening sockets. 0 or a negative errno. NULL where they are not taken. */
        int (*start_server)(struct handoff *handoff);
};

struct handoff {
        const struct handoff_ops *ops;
        struct handoff_setup setup;
        struct list processes;
        size_t process_count;
};

/* Returns 0 with a new handoff, or -ENOMEM. */
int handoff_open(enum handoff_type type, const struct handoff_setup *setup, struct handoff **ret);

/* Tells all processes to end: the stop signal, and SIGKILL when the grace period is over. */
void handoff_stop(struct handoff *handoff);

/* How processes are stopped from now on, those that run already too; max_runtime is for new ones. */
void handoff_set_policy(struct handoff *handoff, const struct process_policy *policy);

/* Forgets its processes without ending them, and frees the connections they serve: the broker ends. */
void handoff_abandon(struct handoff *handoff);

/* Frees it; only when no process is left. Returns NULL. */
struct handoff *handoff_close(struct handoff *handoff);

/* For the ways themselves: starts a process of REQUEST, which serves CONNECTION or nothing, and reports it. */
int handoff_start_process(struct handoff *handoff, const struct launch_request *request, struct connection *connection);

extern const struct handoff_ops listeners_ops;
extern const struct handoff_ops spawn_ops;
