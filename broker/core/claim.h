/* Listening sockets that somebody else has taken by the name of their service. While they are claimed the broker
 * neither accepts nor starts the service; when the claim ends it listens again. A claim belongs to whoever speaks for
 * the claimer (ctl/), and covers all workers of the service. */
#pragma once

#include "base/buf.h"
#include "base/defs.h"

#include <stdbool.h>
#include <sys/types.h>

struct manager;
struct service;

enum claim_outcome {
        CLAIM_DONE,
        CLAIM_UNKNOWN, /* there is no such service */
        CLAIM_REFUSED, /* that user may not */
        CLAIM_BUSY,    /* somebody else has it */
        CLAIM_STOPPED, /* it has no sockets now */
        CLAIM_FAILED,  /* out of memory */
};

struct claim_request {
        const char *service;
        uid_t uid; /* of the claimer, as the kernel says */
        pid_t pid;
        /* Called once when the broker ends the claim, because the service is gone or was stopped; perhaps in the
         * middle of a reload. claim_end() is still to be called. */
        void (*ended)(void *userdata);
        void *userdata;
};

struct claim {
        struct manager *manager; /* borrowed */
        char *name;              /* of the service */
        size_t services;         /* how many have it: workers */
        uid_t uid;
        pid_t pid;
        usec_t since;
        void (*ended)(void *userdata);
        void *userdata;
};

/* Whether anybody but root and the broker's own user may claim anything: they have to reach the control socket then.
 * And whether UID may. */
bool claim_is_open_to_others(const struct manager *manager);
bool claim_may_any(const struct manager *manager, uid_t uid);

/* WHY gets a sentence unless it is CLAIM_DONE. */
enum claim_outcome claim_begin(struct manager *manager, const struct claim_request *request, struct claim **ret,
                               struct buf *why);

/* Gives the sockets back. NULL is fine; returns NULL. */
struct claim *claim_end(struct claim *claim);

/* One socket after the other, worker by worker, with its name. Borrowed. Stops when EACH returns a negative errno, and
 * returns that, or 0. */
int claim_each_socket(const struct claim *claim, int (*each)(void *userdata, int fd, const char *name), void *userdata);

/* For services: its sockets are closed, so its claim is over; and a further worker, which shares that of the first. */
void claim_forget(struct service *service);
void claim_join(struct service *service);
