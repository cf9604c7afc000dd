/* handoff: request. Programs that read requests from stdin and answer on stdout serve connections that are the
 * broker's: what requests.c, requestclient.c and requestworker.c share, and those who carry it over an upgrade of the
 * broker.
 *
 * A client has at most one request on its way; what it has sent behind that stays in its buffer, and then in the
 * kernel's. A worker has at most one, too. So answers come in order, a slow client holds no worker, and what is kept
 * of either is bounded by max_size.
 *
 * A client that is over is only put on a list by whoever finds out, and told to the service by requests_deliver(),
 * which is the last thing any callback does: the service may close the handoff then. */
#pragma once

#include "base/buf.h"
#include "handoff/handoff.h"

struct requests {
        struct handoff handoff; /* first */
        struct pool pool;
        struct list reading;   /* of clients: for a request; by when something moved last, as the next one */
        struct list sending;   /* an answer that they are slow to take */
        struct list waiting;   /* for a worker, the oldest request first */
        struct list served;    /* by a worker */
        struct list lingering; /* told that it is over, by when that was */
        struct list over;      /* to be told */
        struct list ready;     /* reading ones that have more at once, by ready_link */
        size_t waiting_count;
        usec_t look_at;         /* when to look for waiting ones that are not watched */
        struct list idle;       /* of workers, who was busy last is first */
        struct list busy;       /* by since */
        struct list gone;       /* they have closed their stdout, by since */
        sd_event_source *timer; /* the earliest of all there is to be done */
        usec_t timer_at;
        sd_event_source *turn; /* enabled while some are over and nobody is telling, or there is more at once */
        bool is_inside;        /* a callback, which ends by requests_deliver() */
        usec_t now;            /* inside: for all of it */
        bool is_retired;
};

enum request_step {
        REQUEST_READING,
        REQUEST_WAITING,
        REQUEST_SERVED,
        REQUEST_SENDING,
        REQUEST_LINGERING,
        REQUEST_OVER,
};

struct request_client {
        struct list link; /* in its requests' list of its step */
        struct list ready_link;
        struct requests *requests;
        struct connection *connection; /* owned */
        sd_event_source *io;           /* edge-triggered; NULL until it has to be waited for */
        struct request_worker *worker; /* SERVED */
        enum request_step step;
        bool is_watched_out; /* for room, too */
        bool is_resumed;     /* after an upgrade, and not watched yet */
        bool is_in_turn;     /* client_go_on() is on the way */
        bool is_readable;    /* may be: nobody has said EAGAIN since */
        bool has_ended;      /* it sends no more */
        bool is_delayed;     /* its request has waited */
        bool closes;         /* after what is being sent */
        struct buf in;       /* what it has sent, from in_used on; its request while that waits */
        size_t in_used;
        size_t in_scanned;   /* from in_used on, for framing_find() */
        size_t request_size; /* WAITING: of what is there of in */
        struct buf out;      /* SENDING: from out_sent on */
        size_t out_sent;
        usec_t since;          /* when something moved last; LINGERING: since then */
        usec_t begun;          /* when its request was there */
        uint64_t from_client;  /* bytes of requests, answered or not */
        uint64_t from_target;  /* bytes of answers that were sent */
        unsigned char outcome; /* enum handoff_outcome, when over */
        int error;             /* of the last request that was not answered */
};

struct request_worker {
        struct list link; /* among the idle, busy or gone ones */
        struct requests *requests;
        struct pool_worker *pooled;
        int stdin_fd; /* our ends of its pipes */
        int stdout_fd;
        sd_event_source *stdin_io; /* NULL until it was too slow once; on while there is more */
        sd_event_source *stdout_io;
        struct request_client *client; /* whose request it has; NULL: none, or the client has left */
        bool is_busy;
        bool is_gone;
        bool has_replied;   /* though it has not taken the whole request yet */
        struct buf pending; /* what is left of the request, from pending_sent on */
        size_t pending_sent;
        struct buf reply;
        size_t reply_scanned;
        usec_t since; /* busy: since when; gone: likewise */
};

static inline struct requests *requests_of(struct handoff *handoff) {
        return (struct requests *)handoff;
}

static inline const struct handoff_request *requests_setup(const struct requests *requests) {
        return requests->handoff.setup.request;
}

usec_t requests_now(const struct requests *requests);

/* Each callback begins by this, and ends by requests_deliver(). */
void requests_enter(struct requests *requests);

/* Does what is due, from the loop, as soon as possible. */
void requests_run_soon(struct requests *requests);

/* Those who wait are watched, for whether they leave, when they have waited for a while: most do not. */
void requests_look_soon(struct requests *requests);

/* A request of CLIENT has come to its end: ANSWER. */
void requests_count(struct request_client *client, enum handoff_answer answer);

/* Sets the timer, and tells the service of the clients that are over. REQUESTS may be gone afterwards. */
void requests_deliver(struct requests *requests);

/* How many workers there is work for is another number now. */
int requests_need(struct requests *requests);

/* requestclient.c: makes one of CONNECTION and reads from it. Returns 0 or a negative errno; then the connection is the
 * caller's as it was. */
int requestclient_take(struct requests *requests, struct connection *connection);
struct request_client *requestclient_new(struct requests *requests, struct connection *connection);
struct request_client *requestclient_free(struct request_client *client);

/* It was at STEP since SINCE before the broker was upgraded: goes on, as soon as the loop does. */
void requestclient_resume(struct request_client *client, enum request_step step, usec_t since);

/* Watches it, where that is not done. Returns 0 or a negative errno. */
int requestclient_watch(struct request_client *client);

/* Reads, finds requests, and begins the first one; of one who lingers, reads to no end. */
void requestclient_go_on(struct request_client *client);

/* The first SIZE bytes of what it has sent are done with. */
void requestclient_forget(struct request_client *client, size_t size);

/* Its request has got this answer. */
void requestclient_answer(struct request_client *client, const char *data, size_t size);

/* Its request gets none: it is sent what `error` says. */
void requestclient_fail(struct request_client *client, enum handoff_answer answer, int error);

/* Takes it out of everything: it is to be told. */
void requestclient_end(struct request_client *client, enum handoff_outcome outcome);

/* Puts it among those of STEP, as the last. */
void requestclient_move(struct request_client *client, enum request_step step);

/* requestworker.c. */
extern const struct pool_ops requestworker_ops;

/* Gives the request of SIZE bytes to one who is idle. Returns false where there is none. */
bool requestworker_give(struct request_client *client, const char *data, size_t size);

/* Gives those who wait to those who are idle. */
void requestworker_dispatch(struct requests *requests);

/* It has overrun busy_timeout: it is killed, and its client told. */
void requestworker_end_late(struct request_worker *worker);

/* It has closed an end of its pipes, and lives on. */
void requestworker_end_mute(struct request_worker *worker);

/* Watches the ends of its pipes. Returns 0 or a negative errno. */
int requestworker_watch(struct request_worker *worker);
struct request_worker *requestworker_new(struct requests *requests, struct pool_worker *pooled);
struct request_worker *requestworker_free(struct request_worker *worker);
