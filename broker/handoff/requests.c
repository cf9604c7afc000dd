/* handoff: request. Everything that happens after a while goes by one timer: clients and workers are in lists by age,
 * and the first of each is looked at. */
#include "handoff/requests.h"

#include "base/clock.h"
#include "base/err.h"

#include <errno.h>

#define LINGER_TIME (2 * USEC_PER_SEC) /* for the last answer to arrive at one who still sends */
#define LOOK_TIME (100 * USEC_PER_MSEC)
#define MUTE_MAX USEC_PER_SEC /* from a worker's last word to its end */

static usec_t saturating_add(usec_t a, usec_t b) {
        return b > USEC_INFINITY - a ? USEC_INFINITY : a + b;
}

usec_t requests_now(const struct requests *requests) {
        uint64_t now;

        if (requests->is_inside)
                return requests->now;
        if (sd_event_now(requests->handoff.setup.host->event, CLOCK_MONOTONIC, &now) < 0)
                return clock_monotonic();
        return now;
}

void requests_enter(struct requests *requests) {
        requests->now = requests_now(requests);
        requests->is_inside = true;
}

void requests_run_soon(struct requests *requests) {
        sd_event_source_set_enabled(requests->turn, SD_EVENT_ONESHOT);
}

void requests_count(struct request_client *client, enum handoff_answer answer) {
        struct handoff *handoff = &client->requests->handoff;
        usec_t now = requests_now(client->requests);
        const struct handoff_answered answered = {
                .answer = answer,
                .is_delayed = client->is_delayed,
                .latency = now > client->begun ? now - client->begun : 0,
        };

        handoff->setup.events->answered(handoff->setup.userdata, handoff, &answered);
}

void requests_look_soon(struct requests *requests) {
        if (requests->look_at == USEC_INFINITY)
                requests->look_at = requests_now(requests) + LOOK_TIME;
}

static void watch_waiting(struct requests *requests, usec_t now) {
        struct request_client *client;

        if (now < requests->look_at)
                return;
        requests->look_at = USEC_INFINITY;
        list_for_each(client, &requests->waiting, link) {
                if (client->io)
                        continue;
                if (now < client->since + LOOK_TIME) {
                        requests_look_soon(requests);
                        return;
                }
                requestclient_watch(client);
        }
}

int requests_need(struct requests *requests) {
        struct pool *pool = &requests->pool;

        return pool_need(pool, pool->busy_count + requests->waiting_count, requests_now(requests));
}

/* When nobody comes any more, whoever is in has as long for a request as a worker has for its answer. */
static usec_t idle_limit(const struct requests *requests) {
        const struct handoff_request *setup = requests_setup(requests);

        return requests->is_retired ? MIN_OF(setup->connection_timeout, setup->busy_timeout)
                                    : setup->connection_timeout;
}

/* Whoever waits for the place of one who has closed its pipes is still to be served in time. */
static usec_t mute_limit(const struct requests *requests) {
        return MIN_OF(MUTE_MAX, requests_setup(requests)->busy_timeout / 4);
}

static usec_t client_at(const struct list *list, usec_t limit) {
        const struct request_client *client = list_first(list, struct request_client, link);

        return client ? saturating_add(client->since, limit) : USEC_INFINITY;
}

static usec_t worker_at(const struct list *list, usec_t limit) {
        const struct request_worker *worker = list_first(list, struct request_worker, link);

        return worker ? saturating_add(worker->since, limit) : USEC_INFINITY;
}

static usec_t next_at(const struct requests *requests) {
        usec_t busy_timeout = requests_setup(requests)->busy_timeout, next;

        next = MIN_OF(client_at(&requests->reading, idle_limit(requests)),
                      client_at(&requests->sending, idle_limit(requests)));
        next = MIN_OF(next, client_at(&requests->waiting, busy_timeout));
        next = MIN_OF(next, requests->look_at);
        next = MIN_OF(next, client_at(&requests->lingering, LINGER_TIME));
        next = MIN_OF(next, worker_at(&requests->busy, busy_timeout));
        return MIN_OF(next, worker_at(&requests->gone, mute_limit(requests)));
}

/* What is set for too early does no harm: then it is looked again. */
static void arm(struct requests *requests) {
        usec_t next = next_at(requests);

        if (next >= requests->timer_at)
                return;
        requests->timer_at = next;
        sd_event_source_set_time(requests->timer, next);
        sd_event_source_set_enabled(requests->timer, SD_EVENT_ONESHOT);
}

static void stop_workers(struct requests *requests) {
        pool_end(&requests->pool);
        pool_stop_all(&requests->pool, PROCESS_STOPPED);
}

/* Returns false when REQUESTS may be gone. */
static bool deliver(struct requests *requests, struct request_client *client) {
        struct handoff *handoff = &requests->handoff;
        struct connection *connection = client->connection;
        const struct handoff_finish finish = {
                .outcome = client->outcome,
                .error = client->outcome == HANDOFF_UNANSWERED ? client->error : 0,
                .from_client = client->from_client,
                .from_target = client->from_target,
        };
        bool last;

        requestclient_free(client);
        handoff->connection_count--;
        if (handoff->connection_count == 0 && requests->is_retired)
                stop_workers(requests);
        last = !handoff_is_busy(handoff);
        handoff->setup.events->finished(handoff->setup.userdata, handoff, connection, &finish);
        return !last;
}

void requests_deliver(struct requests *requests) {
        struct request_client *client;

        requests->is_inside = false;
        arm(requests);
        while ((client = list_first(&requests->over, struct request_client, link)))
                if (!deliver(requests, client))
                        return;
}

static void end_late(struct list *list, usec_t limit, enum handoff_outcome outcome, usec_t now) {
        struct request_client *client;

        while ((client = list_first(list, struct request_client, link)) && saturating_add(client->since, limit) <= now)
                requestclient_end(client, client->error < 0 ? HANDOFF_UNANSWERED : outcome);
}

static void run(struct requests *requests) {
        usec_t now = requests_now(requests), busy_timeout = requests_setup(requests)->busy_timeout;
        struct request_client *client;

        end_late(&requests->reading, idle_limit(requests), HANDOFF_TIMED_OUT, now);
        end_late(&requests->sending, idle_limit(requests), HANDOFF_TIMED_OUT, now);
        end_late(&requests->lingering, LINGER_TIME, HANDOFF_DONE, now);
        while (worker_at(&requests->busy, busy_timeout) <= now)
                requestworker_end_late(list_first(&requests->busy, struct request_worker, link));
        while (worker_at(&requests->gone, mute_limit(requests)) <= now)
                requestworker_end_mute(list_first(&requests->gone, struct request_worker, link));
        while ((client = list_first(&requests->waiting, struct request_client, link)) &&
               saturating_add(client->since, busy_timeout) <= now)
                requestclient_fail(client, HANDOFF_ANSWER_TIMED_OUT, -ETIMEDOUT);
        requestworker_dispatch(requests);
        watch_waiting(requests, now);
}

static int on_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        struct requests *requests = userdata;

        requests->timer_at = USEC_INFINITY;
        requests_enter(requests);
        run(requests);
        requests_deliver(requests);
        return 0;
}

/* Each of those that have more now has one turn; whoever still has more has the next one after everybody else. */
static int on_turn(sd_event_source *source UNUSED, void *userdata) {
        struct requests *requests = userdata;
        struct request_client *client;
        struct list turn;

        requests_enter(requests);
        list_init(&turn);
        while ((client = list_first(&requests->ready, struct request_client, ready_link))) {
                list_remove(&client->ready_link);
                list_append(&turn, &client->ready_link);
        }
        while ((client = list_first(&turn, struct request_client, ready_link))) {
                list_remove(&client->ready_link);
                requestclient_go_on(client);
        }
        run(requests);
        requests_deliver(requests);
        return 0;
}

static void init_lists(struct requests *requests) {
        struct list *const lists[] = {
                &requests->reading, &requests->sending, &requests->waiting, &requests->served, &requests->lingering,
                &requests->over,    &requests->ready,   &requests->idle,    &requests->busy,   &requests->gone,
        };

        for (size_t i = 0; i < LENGTH_OF(lists); i++)
                list_init(lists[i]);
}

static int requests_open(struct handoff *handoff) {
        struct requests *requests = requests_of(handoff);
        sd_event *event = handoff->setup.host->event;
        int r;

        init_lists(requests);
        requests->timer_at = requests->look_at = USEC_INFINITY;
        r = pool_init(&requests->pool, event, &handoff->setup.pool->workers, &requestworker_ops);
        requests->pool.handoff = handoff;
        if (r < 0)
                return r;
        r = sd_event_add_time(event, &requests->timer, CLOCK_MONOTONIC, 0, 1, on_timer, requests);
        if (r >= 0)
                r = sd_event_source_set_enabled(requests->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(event, &requests->turn, on_turn, requests);
        if (r >= 0)
                r = sd_event_source_set_enabled(requests->turn, SD_EVENT_OFF);
        return r < 0 ? err_raise(r) : 0;
}

/* A worker is there from the first connection on, whether it has a request yet or not. */
static int requests_take_connection(struct handoff *handoff, struct connection *connection) {
        struct requests *requests = requests_of(handoff);
        int r = 0;

        if (pool_staff(&requests->pool) == 0 || requests->pool.is_resting)
                pool_need(&requests->pool, 1, requests_now(requests));
        if (pool_staff(&requests->pool) == 0)
                r = requests->pool.error;
        if (r == 0)
                r = requestclient_take(requests, connection);
        if (r == 0)
                arm(requests);
        return r;
}

static void requests_boot(struct handoff *handoff) {
        struct requests *requests = requests_of(handoff);

        if (requests->is_retired)
                return;
        requests->pool.has_begun = true;
        requests->pool.is_resting = false;
        pool_run_soon(&requests->pool);
}

static void requests_on_process_end(struct handoff *handoff, const struct process_end *end) {
        pool_on_end(&requests_of(handoff)->pool, end, clock_monotonic());
}

static void requests_on_policy(struct handoff *handoff) {
        struct requests *requests = requests_of(handoff);

        pool_run_soon(&requests->pool);
        requests_run_soon(requests);
}

static void end_all(struct list *list, enum handoff_outcome outcome) {
        struct request_client *client;

        while ((client = list_first(list, struct request_client, link)))
                requestclient_end(client, outcome);
}

/* Those who have not begun a request: who has said nothing yet may be given back, as it was accepted. */
static void retire_readers(struct requests *requests, enum handoff_retirement how) {
        struct request_client *client;

        list_for_each(client, &requests->reading, link) {
                if (client->in.size > client->in_used)
                        continue;
                if (client->from_client > 0 || client->error < 0)
                        requestclient_end(client, client->error < 0 ? HANDOFF_UNANSWERED : HANDOFF_DONE);
                else if (how == HANDOFF_REPLACED)
                        requestclient_end(client, HANDOFF_GIVEN_BACK);
        }
}

static void requests_retire(struct handoff *handoff, enum handoff_retirement how) {
        struct requests *requests = requests_of(handoff);

        requests->is_retired = true;
        retire_readers(requests, how);
        if (handoff->connection_count == 0)
                stop_workers(requests);
        requests_run_soon(requests);
}

static bool requests_cut(struct handoff *handoff) {
        struct requests *requests = requests_of(handoff);

        end_all(&requests->reading, HANDOFF_STOPPED);
        end_all(&requests->waiting, HANDOFF_STOPPED);
        end_all(&requests->served, HANDOFF_STOPPED);
        end_all(&requests->sending, HANDOFF_STOPPED);
        end_all(&requests->lingering, HANDOFF_DONE);
        return handoff->connection_count > 0;
}

static void requests_stop(struct handoff *handoff) {
        struct requests *requests = requests_of(handoff);

        requests_cut(handoff);
        requests->pool.has_begun = false;
        pool_need(&requests->pool, 0, requests_now(requests));
        pool_stop_all(&requests->pool, PROCESS_STOPPED);
}

static void requests_restart(struct handoff *handoff) {
        struct requests *requests = requests_of(handoff);
        bool had_begun = requests->pool.has_begun;

        requests_stop(handoff);
        if (had_begun)
                requests_boot(handoff);
}

static void requests_rest(struct handoff *handoff) {
        struct requests *requests = requests_of(handoff);

        pool_rest(&requests->pool, requests_now(requests));
}

static size_t requests_idle_count(const struct handoff *handoff) {
        const struct pool *pool = &((const struct requests *)handoff)->pool;

        return pool->count - pool->busy_count;
}

static bool requests_is_failing(const struct handoff *handoff, int *ret_error) {
        return pool_is_failing(&((const struct requests *)handoff)->pool, clock_monotonic(), ret_error);
}

static bool requests_is_waiting(const struct handoff *handoff) {
        return pool_is_short(&((const struct requests *)handoff)->pool);
}

static void requests_describe(const struct handoff *handoff, const struct process *process,
                              struct handoff_worker *ret) {
        const struct pool_worker *pooled;

        list_for_each(pooled, &((const struct requests *)handoff)->pool.workers, link) {
                const struct request_worker *worker = pooled->userdata;

                if (pooled->process != process || !worker)
                        continue;
                *ret = (struct handoff_worker){
                        .state = pooled->is_leaving ? "leaving"
                                 : worker->is_busy  ? "busy"
                                                    : "idle",
                        .served = pooled->served,
                        .since = worker->is_busy ? worker->since : pooled->idle_since,
                };
        }
}

static void requests_tally(const struct handoff *handoff, struct handoff_tally *sums) {
        const struct requests *requests = (const struct requests *)handoff;
        const struct pool *pool = &requests->pool;

        sums->busy += pool->busy_count;
        sums->leaving += pool->leaving_count;
        sums->idle += pool->count - pool->busy_count - pool->leaving_count;
        sums->waiting += requests->waiting_count;
        if (pool_is_short(pool) && pool->error < 0)
                sums->error = pool->error;
}

static void requests_abandon(struct handoff *handoff) {
        struct requests *requests = requests_of(handoff);
        struct request_client *client;

        requests_cut(handoff);
        while ((client = list_first(&requests->over, struct request_client, link))) {
                connection_close(client->connection);
                free(client->connection);
                requestclient_free(client);
        }
        handoff->connection_count = 0;
}

static void requests_close(struct handoff *handoff) {
        struct requests *requests = requests_of(handoff);
        struct pool_worker *pooled;

        if (requests->pool.workers.next)
                list_for_each(pooled, &requests->pool.workers, link)
                        requestworker_free(pooled->userdata);
        pool_deinit(&requests->pool);
        requests->turn = sd_event_source_disable_unref(requests->turn);
        requests->timer = sd_event_source_disable_unref(requests->timer);
}

const struct handoff_ops request_ops = {
        .type = HANDOFF_TYPE_REQUEST,
        .size = sizeof(struct requests),
        .take_connection = requests_take_connection,
        .open = requests_open,
        .boot = requests_boot,
        .on_process_end = requests_on_process_end,
        .on_policy = requests_on_policy,
        .retire = requests_retire,
        .stop = requests_stop,
        .restart = requests_restart,
        .rest = requests_rest,
        .idle_count = requests_idle_count,
        .cut = requests_cut,
        .is_waiting = requests_is_waiting,
        .is_failing = requests_is_failing,
        .describe = requests_describe,
        .tally = requests_tally,
        .abandon = requests_abandon,
        .close = requests_close,
};
