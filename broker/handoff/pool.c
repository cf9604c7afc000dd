#include "handoff/pool.h"

#include "base/clock.h"
#include "base/err.h"
#include "handoff/handoff.h"

#include <assert.h>
#include <errno.h>

#define START_BURST 16                      /* processes started in one go; then the loop has a turn */
#define BLOCKED_DELAY (20 * USEC_PER_MSEC)  /* until prepare is asked again whether the one before has ended */
#define REST_DELAY USEC_PER_MSEC            /* from one to the next, when all of them are to end */
#define DISMISS_DELAY (100 * USEC_PER_MSEC) /* until dismiss_any is asked again */

static int on_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        struct pool *pool = userdata;

        pool->timer_at = USEC_INFINITY;
        pool_run(pool, clock_monotonic());
        return 0;
}

int pool_init(struct pool *pool, sd_event *event, const struct pool_setup *setup, const struct pool_ops *ops) {
        int r;

        *pool = (struct pool){.setup = setup, .ops = ops, .timer_at = USEC_INFINITY};
        list_init(&pool->workers);
        if (!event)
                return 0;
        r = sd_event_add_time(event, &pool->timer, CLOCK_MONOTONIC, 0, 1, on_timer, pool);
        if (r >= 0)
                r = sd_event_source_set_enabled(pool->timer, SD_EVENT_OFF);
        return r < 0 ? err_raise(r) : 0;
}

static void worker_free(struct pool_worker *worker) {
        list_remove(&worker->link);
        free(worker);
}

void pool_deinit(struct pool *pool) {
        struct pool_worker *worker;

        pool->timer = sd_event_source_disable_unref(pool->timer);
        if (!pool->workers.next)
                return;
        list_for_each(worker, &pool->workers, link)
                worker_free(worker);
        pool->count = pool->leaving_count = pool->busy_count = 0;
}

static struct pool_worker *worker_new(struct pool *pool) {
        struct pool_worker *worker = calloc(1, sizeof(*worker));

        if (!worker)
                return NULL;
        worker->pool = pool;
        worker->round = pool->round;
        worker->work = pool->work;
        list_init(&worker->link);
        list_append(&pool->workers, &worker->link);
        pool->count++;
        return worker;
}

/* How many there are to be. */
static size_t target(const struct pool *pool) {
        const struct pool_setup *setup = pool->setup;
        size_t wanted;

        if (!pool->has_begun)
                return 0;
        wanted =
                pool->needed > setup->max - MIN_OF(setup->spare, setup->max) ? setup->max : pool->needed + setup->spare;
        return MIN_OF(MAX_OF(wanted, setup->min), setup->max);
}

static void back_off(struct pool *pool, usec_t now) {
        const struct pool_setup *setup = pool->setup;

        pool->restart_delay = pool->restart_delay == 0 ? setup->restart_delay
                                                       : MIN_OF(pool->restart_delay * 2, setup->restart_delay_max);
        pool->retry_at = usec_add(now, pool->restart_delay);
        pool->round++;
}

static int start_worker(struct pool *pool, usec_t now) {
        struct pool_worker *worker = worker_new(pool);
        int r = worker ? pool->ops->start(pool, worker, &worker->process) : err_raise(-ENOMEM);

        pool->error = r;
        if (r == 0) {
                worker->idle_since = now;
                pool->starts++;
                return 0;
        }
        if (worker) {
                worker_free(worker);
                pool->count--;
        }
        if (r == -EBUSY)
                pool->retry_at = usec_add(now, BLOCKED_DELAY);
        else
                back_off(pool, now);
        return r;
}

bool pool_is_short(const struct pool *pool) {
        return !pool->has_ended && pool_staff(pool) < target(pool);
}

bool pool_is_failing(const struct pool *pool, usec_t now, int *ret_error) {
        const struct pool_worker *worker;

        *ret_error = pool->error;
        if (pool->has_ended || pool->restart_delay == 0 || target(pool) == 0)
                return false;
        list_for_each(worker, &pool->workers, link)
                if (!worker->is_leaving &&
                    (worker->is_proved || now >= usec_add(worker->process->started_at, pool->restart_delay)))
                        return false;
        return true;
}

static void grow(struct pool *pool, usec_t now) {
        for (size_t i = 0; i < START_BURST && pool_is_short(pool) && now >= pool->retry_at; i++) {
                /* Age is counted from the first on. */
                if (pool->count == 0)
                        pool->recycled_at = now;
                if (start_worker(pool, now) < 0)
                        return;
        }
}

/* The one that has been idle for longest; NULL: all are busy. */
static struct pool_worker *find_idle(struct pool *pool) {
        struct pool_worker *worker, *found = NULL;

        list_for_each(worker, &pool->workers, link)
                if (!worker->is_busy && !worker->is_leaving && (!found || worker->idle_since < found->idle_since))
                        found = worker;
        return found;
}

static void set_leaving(struct pool_worker *worker) {
        if (worker->is_leaving)
                return;
        worker->is_leaving = true;
        worker->pool->leaving_count++;
        worker->pool->busy_count -= worker->is_busy;
}

static void dismiss(struct pool_worker *worker, enum pool_reason why) {
        set_leaving(worker);
        worker->pool->ops->dismiss(worker->pool, worker, why);
}

/* Returns whether somebody goes, or that was not possible now. */
static bool dismiss_any(struct pool *pool, enum pool_reason why) {
        if (pool->has_called || !pool->ops->dismiss_any(pool, why))
                return false;
        pool->has_called = true;
        return true;
}

static usec_t shrinks_at(const struct pool *pool) {
        if (pool->has_ended || pool_staff(pool) <= target(pool) || pool->has_called ||
            (!pool->ops->dismiss_any && pool->busy_count == pool_staff(pool)))
                return USEC_INFINITY;
        return usec_add(pool->calm_since, pool->is_resting ? REST_DELAY : pool->setup->shrink_after);
}

static void shrink(struct pool *pool, usec_t now) {
        if (now < shrinks_at(pool))
                return;
        pool->calm_since = now;
        if (pool->ops->dismiss_any)
                dismiss_any(pool, POOL_SHRINKS);
        else
                dismiss(find_idle(pool), POOL_SHRINKS);
}

/* One of them that is old, and idle; workers stand in the order of their age. One at a time, so that workers that were
 * started together do not go together. */
static struct pool_worker *first_to_age(const struct pool *pool) {
        struct pool_worker *worker;

        if (pool->leaving_count > 0 || pool->has_ended || pool->setup->max_age == USEC_INFINITY)
                return NULL;
        list_for_each(worker, &pool->workers, link)
                if (!worker->is_busy)
                        return worker;
        return NULL;
}

/* Where nobody can be told from the others, one of N goes in the Nth part of max_age. */
static usec_t ages_at(const struct pool *pool) {
        const struct pool_worker *worker;
        usec_t max_age = pool->setup->max_age;

        if (pool->ops->dismiss_any) {
                if (pool->has_called || pool->has_ended || pool_staff(pool) == 0 || max_age == USEC_INFINITY)
                        return USEC_INFINITY;
                return usec_add(pool->recycled_at, max_age / pool->count);
        }
        worker = first_to_age(pool);
        return worker ? usec_add(worker->process->started_at, max_age) : USEC_INFINITY;
}

static void recycle(struct pool *pool, usec_t now) {
        const struct pool_setup *setup = pool->setup;

        if (now >= ages_at(pool)) {
                if (!pool->ops->dismiss_any)
                        dismiss(first_to_age(pool), POOL_OLD);
                else if (dismiss_any(pool, POOL_OLD))
                        pool->recycled_at = now;
                else
                        pool->recycled_at = usec_add(now, DISMISS_DELAY) - setup->max_age / pool->count;
        }
        if (pool->ops->dismiss_any && setup->max_requests > 0 && pool->served >= setup->max_requests &&
            !pool->has_ended && pool_staff(pool) > 0 && dismiss_any(pool, POOL_USED_UP))
                pool->served -= setup->max_requests;
}

usec_t pool_next(const struct pool *pool) {
        usec_t next = MIN_OF(shrinks_at(pool), ages_at(pool));

        return pool_is_short(pool) ? MIN_OF(next, pool->retry_at) : next;
}

/* What is set for too early does no harm: then it is looked again. */
static void arm(struct pool *pool) {
        usec_t next = pool_next(pool);

        if (!pool->timer || next >= pool->timer_at)
                return;
        pool->timer_at = next;
        sd_event_source_set_time(pool->timer, next);
        sd_event_source_set_enabled(pool->timer, SD_EVENT_ONESHOT);
}

static void note_calm(struct pool *pool, usec_t now) {
        if (pool_staff(pool) <= target(pool))
                pool->calm_since = now;
}

void pool_run(struct pool *pool, usec_t now) {
        /* A start or a dismissal may come back here by its owner. */
        if (pool->is_running)
                return;
        pool->is_running = true;
        note_calm(pool, now);
        recycle(pool, now);
        grow(pool, now);
        shrink(pool, now);
        pool->is_running = false;
        arm(pool);
}

void pool_run_soon(struct pool *pool) {
        if (!pool->timer)
                return;
        pool->timer_at = 0;
        sd_event_source_set_time(pool->timer, 0);
        sd_event_source_set_enabled(pool->timer, SD_EVENT_ONESHOT);
}

void pool_begin(struct pool *pool, usec_t now) {
        pool->has_begun = true;
        pool->is_resting = false;
        pool_run(pool, now);
}

int pool_need(struct pool *pool, size_t needed, usec_t now) {
        note_calm(pool, now);
        pool->needed = needed;
        if (needed > 0) {
                pool->has_begun = true;
                pool->is_resting = false;
        }
        pool_run(pool, now);
        if (pool_staff(pool) > 0 || needed == 0)
                return 0;
        return pool->error < 0 ? pool->error : -EAGAIN;
}

void pool_set_busy(struct pool_worker *worker, bool busy, usec_t now) {
        struct pool *pool = worker->pool;

        if (worker->is_busy == busy)
                return;
        worker->is_busy = busy;
        worker->idle_since = now;
        if (worker->is_leaving)
                return;
        pool->busy_count = busy ? pool->busy_count + 1 : pool->busy_count - 1;
        if (busy || pool->has_ended || pool->setup->max_requests == 0 || worker->served < pool->setup->max_requests)
                return;
        dismiss(worker, POOL_USED_UP);
        pool_run_soon(pool);
}

void pool_count_work(struct pool *pool, struct pool_worker *worker, uint64_t count, usec_t now) {
        pool->restart_delay = 0;
        if (worker) {
                worker->served += count;
                worker->is_proved = true;
                return;
        }
        pool->work += count;
        pool->served = pool->setup->max_requests > 0 ? pool->served + count : 0;
        if (pool->setup->max_requests > 0 && pool->served >= pool->setup->max_requests)
                pool_run(pool, now);
}

void pool_rest(struct pool *pool, usec_t now) {
        pool->has_begun = false;
        pool->is_resting = true;
        pool->needed = 0;
        pool->calm_since = now;
        pool_run(pool, now);
}

void pool_end(struct pool *pool) {
        pool->has_ended = true;
}

void pool_stop_all(struct pool *pool, enum process_reason reason) {
        struct pool_worker *worker;

        list_for_each(worker, &pool->workers, link)
                pool_stop_worker(worker, reason);
}

void pool_fail(struct pool *pool, usec_t now) {
        back_off(pool, now);
}

void pool_stop_worker(struct pool_worker *worker, enum process_reason reason) {
        set_leaving(worker);
        process_stop(worker->process, reason);
}

/* Whether nobody is to blame for its end. */
static bool was_told(struct pool *pool, const struct pool_worker *worker, const struct process_end *end) {
        if (worker->is_leaving || end->reason == PROCESS_STOPPED || end->reason == PROCESS_IDLE)
                return true;
        if (!pool->has_called || pool->ops->is_unheard(pool))
                return false;
        pool->has_called = false;
        return !end->launch_failed && exitinfo_is_success(&end->exit);
}

/* All who were started before the last failure count as that one. */
static void judge(struct pool *pool, const struct pool_worker *worker, const struct process_end *end) {
        bool has_worked = worker->is_proved || pool->work > worker->work ||
                          end->ended_at - end->started_at > pool->setup->restart_delay_max;

        if (was_told(pool, worker, end))
                return;
        pool->lost++;
        if (has_worked && !end->launch_failed)
                pool->restart_delay = 0;
        else if (worker->round == pool->round)
                back_off(pool, end->ended_at);
}

void pool_on_end(struct pool *pool, const struct process_end *end, usec_t now) {
        struct pool_worker *worker;

        list_for_each(worker, &pool->workers, link) {
                if (worker->process != end->process)
                        continue;
                judge(pool, worker, end);
                pool->count--;
                pool->leaving_count -= worker->is_leaving;
                pool->busy_count -= worker->is_busy && !worker->is_leaving;
                list_remove(&worker->link);
                pool->ops->ended(pool, worker, end);
                worker_free(worker);
                pool_run(pool, now);
                return;
        }
}

struct pool_worker *pool_adopt(struct pool *pool, struct process *process) {
        struct pool_worker *worker = worker_new(pool);

        if (!worker)
                return NULL;
        worker->process = process;
        worker->is_proved = true;
        if (process->reason != PROCESS_ENDED)
                set_leaving(worker);
        return worker;
}

int pool_prepare(struct pool *pool) {
        struct handoff *handoff = pool->handoff;

        return handoff->setup.events->prepare(handoff->setup.userdata, handoff, pool->lost > 0);
}

int pool_launch(struct pool *pool, const struct launch_request *request, struct process **ret) {
        struct handoff *handoff = pool->handoff;
        int r = handoff_start_process(handoff, request, NULL);

        if (r < 0)
                return r;
        pool->lost -= pool->lost > 0;
        *ret = list_last(&handoff->processes, struct process, link);
        return 0;
}
