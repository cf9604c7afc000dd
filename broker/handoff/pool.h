/* The workers of a pool: processes that are there before their work is, and after it. Kept between min and max, started
 * while work waits, ended when there has been less of it for a while, replaced when they die, at a pace, and when they
 * are old or used up.
 *
 * What work is, how it gets to a worker, and what a worker gets at its start, is its owner's: a way of handing over
 * (handoff.h), which has a struct pool in its own struct, and calls pool_on_end() from on_process_end. The pool owns
 * its workers, the handoff their processes.
 *
 * There are two kinds of owners. One knows who is busy: it says so by pool_set_busy(), and is asked to dismiss workers
 * that are not. The other does not, since its workers take their work from a queue that they share: it has dismiss_any,
 * which sees to it that one of those who are idle ends, whoever that is. */
#pragma once

#include "handoff/process.h"

struct handoff;
struct pool;
struct pool_worker;

enum pool_reason {
        POOL_SHRINKS, /* there are more than are needed */
        POOL_OLD,     /* max_age */
        POOL_USED_UP, /* max_requests */
};

/* Borrowed; whoever owns it may change it at any moment, and calls pool_run() then. */
struct pool_setup {
        size_t min;
        size_t max;            /* at least 1, and min */
        size_t spare;          /* how many more are kept than there is work for, as far as max allows */
        usec_t max_age;        /* USEC_INFINITY: none */
        uint64_t max_requests; /* pieces of work; 0: any number */
        usec_t shrink_after;   /* how long there have to be too many before one of them ends */
        usec_t restart_delay;  /* after one that has failed; doubles as long as others do the same */
        usec_t restart_delay_max;
};

struct pool_ops {
        /* Starts the process of WORKER, whose userdata is the owner's to set: pool_prepare(), then pool_launch().
         * Returns 0, or a negative errno; then the worker is freed, without a word by ended, so that nothing may be
         * left of it. */
        int (*start)(struct pool *pool, struct pool_worker *worker, struct process **ret);
        /* WORKER is gone; its userdata is to be freed. The pool is up to date, but has not replaced it yet. */
        void (*ended)(struct pool *pool, struct pool_worker *worker, const struct process_end *end);
        /* Sees to it that WORKER, who is not busy, ends: pool_stop_worker() does for most. It gets no work any more
         * (is_leaving). NULL with dismiss_any. */
        void (*dismiss)(struct pool *pool, struct pool_worker *worker, enum pool_reason why);
        /* Sees to it that one of the workers ends, with success, who is idle. Returns false where that cannot be done
         * now. It is not called again before one has ended. NULL with dismiss. */
        bool (*dismiss_any)(struct pool *pool, enum pool_reason why);
        /* Whether nobody has heard of that yet. */
        bool (*is_unheard)(struct pool *pool);
};

struct pool_worker {
        struct list link; /* among its pool's, the oldest first */
        struct pool *pool;
        struct process *process;
        void *userdata;    /* the owner's */
        usec_t idle_since; /* or when it was started; while it is not busy */
        uint64_t served;   /* pieces of work */
        uint64_t round;    /* of failing starts, in which it was started */
        uint64_t work;     /* of the pool, when it was started */
        bool is_busy;
        bool is_leaving; /* told to end: gets no work any more */
        bool is_proved;  /* it has done something */
};

struct pool {
        const struct pool_setup *setup;
        const struct pool_ops *ops;
        struct handoff *handoff; /* borrowed, not touched here */
        struct list workers;     /* of struct pool_worker */
        size_t count;            /* of workers, those who leave among them */
        size_t leaving_count;
        size_t busy_count;    /* of those who do not leave */
        bool has_called;      /* dismiss_any was, and nobody has followed yet */
        bool has_begun;       /* min and spare are kept from now on */
        bool has_ended;       /* nobody is started any more */
        bool is_resting;      /* those who are idle end, until there is work */
        bool is_running;      /* pool_run() is on the way */
        size_t needed;        /* how many workers there is work for */
        usec_t calm_since;    /* when there were last no more than needed */
        usec_t recycled_at;   /* when dismiss_any was last called for age */
        uint64_t served;      /* pieces of work since it was for their number */
        uint64_t work;        /* all of them */
        usec_t retry_at;      /* nobody is started earlier */
        usec_t restart_delay; /* the next one */
        uint64_t round;
        int error;       /* of the last start, 0 or a negative errno */
        uint64_t starts; /* in all */
        size_t lost;     /* have ended of their own accord, and were not replaced yet */
        sd_event_source *timer;
        usec_t timer_at;
};

/* An empty pool. EVENT: the loop that its timer is in; NULL: without one, the owner calls pool_run() himself. SETUP and
 * OPS are borrowed. Returns 0 or a negative errno. */
int pool_init(struct pool *pool, sd_event *event, const struct pool_setup *setup, const struct pool_ops *ops);

/* Frees workers and timer; the processes are the handoff's. ended is not called. */
void pool_deinit(struct pool *pool);

/* min and spare are kept from now on. */
void pool_begin(struct pool *pool, usec_t now);

/* There is work for NEEDED workers now: those who are busy, and as many as could take what waits. Begins, where that
 * was not done yet, and starts workers, as many as are missing and may be there. Returns 0, or the negative errno for
 * which there is not one worker now; -EAGAIN where that is because the next start waits for restart_delay. */
int pool_need(struct pool *pool, size_t needed, usec_t now);

/* For owners who know. */
void pool_set_busy(struct pool_worker *worker, bool busy, usec_t now);

/* WORKER has done COUNT pieces of work; NULL: one of them has. */
void pool_count_work(struct pool *pool, struct pool_worker *worker, uint64_t count, usec_t now);

/* There has been no work for long: all who are idle end, and none is there until there is work, by pool_need(). */
void pool_rest(struct pool *pool, usec_t now);

/* Nobody is started any more, and nobody dismissed: the owner tells those who are there. */
void pool_end(struct pool *pool);

/* Marks WORKER, who is busy or not, as one that ends, and stops its process. */
void pool_stop_worker(struct pool_worker *worker, enum process_reason reason);

/* An end of one of its handoff's processes: calls ended, and starts another one where that is due. */
void pool_on_end(struct pool *pool, const struct process_end *end, usec_t now);

/* Makes PROCESS, which was restored, a worker. Returns NULL when memory ran out. */
struct pool_worker *pool_adopt(struct pool *pool, struct process *process);

/* Does what is due, and sets the timer for what comes next. */
void pool_run(struct pool *pool, usec_t now);

/* The same from the loop, soon: for callers who must not start processes. */
void pool_run_soon(struct pool *pool);

/* When something is due; USEC_INFINITY: never. */
usec_t pool_next(const struct pool *pool);

/* How many are there to do work. */
static inline size_t pool_staff(const struct pool *pool) {
        size_t gone = pool->leaving_count + pool->has_called;

        return pool->count > gone ? pool->count - gone : 0;
}

/* Whether there are fewer than there should be. */
bool pool_is_short(const struct pool *pool);

/* Whether it cannot keep anybody: the last ones have failed without having done anything, and whoever is there has not
 * been for longer than was waited before it. *RET_ERROR: of the last start, 0 or a negative errno. */
bool pool_is_failing(const struct pool *pool, usec_t now, int *ret_error);

/* All who are there leave: their processes are stopped. */
void pool_stop_all(struct pool *pool, enum process_reason reason);

/* What the workers do has failed, though none of them has ended for it: the next start waits for restart_delay. */
void pool_fail(struct pool *pool, usec_t now);

/* For the owner's start. Before it knows what a worker gets: asks the handoff's prepare, which opens what stdout and
 * stderr go to. Then starts a process of REQUEST. Both return 0 or a negative errno. */
int pool_prepare(struct pool *pool);
int pool_launch(struct pool *pool, const struct launch_request *request, struct process **ret);
