/* spare: N with wait: no. As spawn.c, but with processes that wait for connections: who comes gets one of them, and
 * where none is left, or none is ready yet, a process of its own as ever.
 *
 * Those that were used are replaced one at a time, when the loop has nothing else to do, and no faster than PACE: where
 * the machine is fully used, the time for them is taken from connections, and the ordinary way needs less of it. When a
 * start fails, or they end before anybody comes, the next attempt waits, longer each time. */
#include "base/clock.h"
#include "base/err.h"
#include "handoff/spare.h"

#include <signal.h>

#define PACE (2 * USEC_PER_MSEC)
#define PACE_ACCURACY 500
#define DELAY_MIN (100 * USEC_PER_MSEC)
#define DELAY_MAX (30 * USEC_PER_SEC)

/* A spare that has lived that long did not end of what was wrong at its start. */
#define LASTING (10 * USEC_PER_SEC)

#define SETTLE_MAX 16 /* looked at before each start */

struct spares {
        struct handoff handoff;
        struct list unused;      /* process*, the oldest first */
        bool wanted;             /* somebody may come */
        usec_t delay;            /* before the next attempt; 0: nothing has failed */
        usec_t failed_at;        /* when one ended last that counted as a failure */
        sd_event_source *filler; /* a timer: it is time for the next one */
};

static struct spares *spares_of(struct handoff *handoff) {
        return container_of(handoff, struct spares, handoff);
}

/* It is told to end by nobody but us. */
static const struct process_policy waiting_policy = {
        .stop_signal = SIGKILL,
        .stop_grace_period = USEC_INFINITY,
        .max_runtime = USEC_INFINITY,
};

static void on_discarded_ending(void *userdata UNUSED, struct process *process UNUSED) {
}

static void on_discarded_end(void *userdata UNUSED, struct process *process UNUSED) {
}

/* It has nothing that could be lost, and perhaps it was stopped by its user: it is not asked. */
static void discard(struct spares *spares, struct process *process) {
        const struct process_order order = {
                .policy = waiting_policy,
                .on_ending = on_discarded_ending,
                .on_end = on_discarded_end,
        };

        list_remove(&process->link);
        spares->handoff.spare_count--;
        process_assign(process, &order, NULL);
        process_kill(process, SIGKILL);
}

static void discard_all(struct handoff *handoff) {
        struct spares *spares = spares_of(handoff);
        struct process *process;

        spares->wanted = false;
        spares->delay = 0;
        sd_event_source_set_enabled(spares->filler, SD_EVENT_OFF);
        list_for_each(process, &spares->unused, link)
                discard(spares, process);
}

static bool is_complete(const struct spares *spares) {
        return spares->handoff.spare_count >= spares->handoff.setup.spares;
}

static void fill_at(struct spares *spares, usec_t at) {
        sd_event_source_set_time(spares->filler, at);
        sd_event_source_set_enabled(spares->filler, SD_EVENT_ONESHOT);
}

/* Unless it is on its way, now or after a delay. Not at once: whoever was just given a spare is to have the CPU. */
static void fill_soon(struct spares *spares) {
        if (spares->wanted && !is_complete(spares) && sd_event_source_get_enabled(spares->filler, NULL) == 0)
                fill_at(spares, clock_monotonic() + PACE);
}

static void fill_later(struct spares *spares) {
        spares->delay = spares->delay == 0 ? DELAY_MIN : MIN_OF(2 * spares->delay, DELAY_MAX);
        fill_at(spares, clock_monotonic() + spares->delay);
}

static void on_spare_ending(void *userdata UNUSED, struct process *process UNUSED) {
}

static void on_spare_end(void *userdata, struct process *process) {
        struct spares *spares = userdata;
        struct handoff *handoff = &spares->handoff;

        handoff->spare_count--;
        if (process->end->ended_at - process->end->started_at >= LASTING)
                spares->delay = 0;
        /* Many that end together are one failure. */
        if (process->end->started_at >= spares->failed_at) {
                spares->failed_at = process->end->ended_at;
                fill_later(spares);
        }
        handoff->setup.events->spare_ended(handoff->setup.userdata, handoff, process->end);
}

static void settle_used(struct handoff *handoff) {
        struct list *at = handoff->processes.prev;

        for (int i = 0; i < SETTLE_MAX && at != &handoff->processes; i++, at = at->prev) {
                struct process *process = list_entry(at, struct process, link);

                if (process->spare_link >= 0)
                        spare_settle(process);
        }
}

static int on_filler(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        struct spares *spares = userdata;
        struct handoff *handoff = &spares->handoff;
        const struct process_order order = {
                .policy = waiting_policy,
                .on_ending = on_spare_ending,
                .on_end = on_spare_end,
                .userdata = spares,
        };
        struct process *process;
        int r;

        if (!spares->wanted || is_complete(spares))
                return 0;
        settle_used(handoff);
        r = handoff->setup.events->prepare(handoff->setup.userdata, handoff, false);
        if (r == 0)
                r = spare_start(handoff, &order, &process);
        if (r < 0) {
                if (spares->delay == 0)
                        handoff->setup.events->spare_failed(handoff->setup.userdata, handoff, r);
                fill_later(spares);
                return 0;
        }
        list_append(&spares->unused, &process->link);
        handoff->spare_count++;
        fill_soon(spares);
        return 0;
}

static int spares_open(struct handoff *handoff) {
        struct spares *spares = spares_of(handoff);
        int r;

        list_init(&spares->unused);
        r = sd_event_add_time(handoff->setup.host->event, &spares->filler, CLOCK_MONOTONIC, 0, PACE_ACCURACY, on_filler,
                              spares);
        if (r >= 0)
                r = sd_event_source_set_enabled(spares->filler, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_priority(spares->filler, SD_EVENT_PRIORITY_IDLE);
        return r < 0 ? err_raise(r) : 0;
}

static void spares_on_listening(struct handoff *handoff) {
        struct spares *spares = spares_of(handoff);

        spares->wanted = true;
        fill_soon(spares);
}

/* The oldest that is ready; those behind it may be, where it was stopped on its way. */
static struct process *find_ready(const struct spares *spares) {
        struct process *process;

        list_for_each(process, (struct list *)&spares->unused, link)
                if (process->reason == PROCESS_ENDED && spare_is_ready(process))
                        return process;
        return NULL;
}

static int spares_take_connection(struct handoff *handoff, struct connection *connection) {
        struct spares *spares = spares_of(handoff);
        struct process *process;

        spares->wanted = true;
        while ((process = find_ready(spares))) {
                /* Nobody is to wait for who may never go on; it makes room for another one. */
                if (spare_is_stuck(process)) {
                        process_stop(process, PROCESS_STOPPED);
                        continue;
                }
                if (spare_give(process, connection) < 0) {
                        /* It has just ended, and is found to have. */
                        discard(spares, process);
                        continue;
                }
                spares->delay = 0;
                list_remove(&process->link);
                handoff->spare_count--;
                handoff_assign_process(handoff, process, connection);
                fill_soon(spares);
                return 0;
        }
        fill_soon(spares);
        return spawn_ops.take_connection(handoff, connection);
}

static void spares_retire(struct handoff *handoff, enum handoff_retirement how UNUSED) {
        discard_all(handoff);
}

static void spares_close(struct handoff *handoff) {
        struct spares *spares = spares_of(handoff);

        if (spares->filler)
                discard_all(handoff);
        sd_event_source_disable_unref(spares->filler);
}

const struct handoff_ops spares_ops = {
        .type = HANDOFF_TYPE_SPARES,
        .take_connection = spares_take_connection,
        .size = sizeof(struct spares),
        .open = spares_open,
        .on_listening = spares_on_listening,
        .retire = spares_retire,
        .stop = discard_all,
        .rest = discard_all,
        .abandon = discard_all,
        .close = spares_close,
};
