/* A pool of workers that are none: how many there are when, at what pace the dead are replaced, who has to go. */
#include "unit.h"

#include "handoff/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>

#define SECOND USEC_PER_SEC

struct fixture {
        struct pool pool;
        struct pool_setup setup;
        usec_t now;
        int start_error; /* what start says */
        size_t ended;
        size_t dismissed[POOL_USED_UP + 1];
        bool is_deaf; /* dismiss_any says no */
        bool is_unheard;
};

static struct fixture *fixture_of(struct pool *pool) {
        return container_of(pool, struct fixture, pool);
}

static int start(struct pool *pool, struct pool_worker *worker, struct process **ret) {
        struct fixture *fixture = fixture_of(pool);

        if (fixture->start_error < 0)
                return fixture->start_error;
        *ret = calloc(1, sizeof(**ret));
        assert_non_null(*ret);
        (*ret)->started_at = fixture->now;
        worker->userdata = fixture;
        return 0;
}

static void ended(struct pool *pool, struct pool_worker *worker, const struct process_end *end) {
        assert_ptr_equal(worker->userdata, pool);
        assert_ptr_equal(worker->process, end->process);
        fixture_of(pool)->ended++;
}

static void dismiss(struct pool *pool, struct pool_worker *worker, enum pool_reason why) {
        assert_no(worker->is_busy);
        assert_yes(worker->is_leaving);
        fixture_of(pool)->dismissed[why]++;
}

static bool dismiss_any(struct pool *pool, enum pool_reason why) {
        if (fixture_of(pool)->is_deaf)
                return false;
        fixture_of(pool)->dismissed[why]++;
        return true;
}

static const struct pool_ops knowing = {.start = start, .ended = ended, .dismiss = dismiss};
static bool is_unheard(struct pool *pool) {
        return fixture_of(pool)->is_unheard;
}

static const struct pool_ops blind = {
        .start = start, .ended = ended, .dismiss_any = dismiss_any, .is_unheard = is_unheard};

static struct fixture fixture;

static struct pool *set_up(const struct pool_ops *ops, size_t min, size_t max) {
        fixture = (struct fixture){
                .setup = {.min = min,
                          .max = max,
                          .max_age = USEC_INFINITY,
                          .shrink_after = 10 * SECOND,
                          .restart_delay = SECOND,
                          .restart_delay_max = 5 * SECOND},
                .now = 1000 * SECOND,
        };
        assert_int_equal(pool_init(&fixture.pool, NULL, &fixture.setup, ops), 0);
        return &fixture.pool;
}

static void tear_down(struct pool *pool) {
        struct pool_worker *worker;

        list_for_each(worker, &pool->workers, link)
                free(worker->process);
        pool_deinit(pool);
}

static struct pool_worker *nth(struct pool *pool, size_t n) {
        struct pool_worker *worker;

        list_for_each(worker, &pool->workers, link)
                if (n-- == 0)
                        return worker;
        return NULL;
}

static void end_with(struct pool_worker *worker, int status) {
        struct process *process = worker->process;
        const struct process_end end = {
                .process = process,
                .started_at = process->started_at,
                .ended_at = fixture.now,
                .exit = {.code = CLD_EXITED, .status = status},
        };

        pool_on_end(worker->pool, &end, fixture.now);
        free(process);
}

static int need(size_t needed) {
        return pool_need(&fixture.pool, needed, fixture.now);
}

/* Lets time go on to when something is due. */
static void pass_time(struct pool *pool) {
        usec_t next = pool_next(pool);

        assert_int_not_equal(next, USEC_INFINITY);
        fixture.now = MAX_OF(fixture.now, next);
        pool_run(pool, fixture.now);
}

static void test_bounds(void **state UNUSED) {
        struct pool *pool = set_up(&knowing, 2, 5);

        assert_int_equal(pool_next(pool), USEC_INFINITY);
        pool_run(pool, fixture.now);
        assert_int_equal(pool->count, 0);
        pool_begin(pool, fixture.now);
        assert_int_equal(pool->count, 2);
        assert_int_equal(need(4), 0);
        assert_int_equal(pool->count, 4);
        assert_int_equal(need(40), 0);
        assert_int_equal(pool->count, 5);
        assert_int_equal(pool_next(pool), USEC_INFINITY);
        tear_down(pool);
}

static void test_spare(void **state UNUSED) {
        struct pool *pool = set_up(&knowing, 0, 6);

        fixture.setup.spare = 2;
        assert_int_equal(need(1), 0);
        assert_int_equal(pool->count, 3);
        need(5);
        assert_int_equal(pool->count, 6);
        fixture.setup.spare = SIZE_MAX;
        need(0);
        assert_int_equal(pool->count, 6);
        tear_down(pool);
}

static void test_shrinks(void **state UNUSED) {
        struct pool *pool = set_up(&knowing, 1, 4);

        need(4);
        for (size_t i = 0; i < 4; i++)
                pool_set_busy(nth(pool, i), true, fixture.now);
        fixture.now += 100 * SECOND;
        need(0);
        assert_int_equal(pool_next(pool), USEC_INFINITY); /* nobody can go */
        pool_set_busy(nth(pool, 2), false, fixture.now++);
        pool_set_busy(nth(pool, 0), false, fixture.now);
        assert_int_equal(pool->busy_count, 2);
        /* The hundred seconds of work do not count as calm. */
        assert_yes(pool_next(pool) >= fixture.now + 9 * SECOND);
        pass_time(pool);
        assert_yes(nth(pool, 2)->is_leaving);
        assert_int_equal(pool_staff(pool), 3);
        pass_time(pool);
        assert_yes(nth(pool, 0)->is_leaving);
        end_with(nth(pool, 2), 0);
        end_with(nth(pool, 0), 0);
        assert_int_equal(pool->count, 2);
        assert_int_equal(pool->leaving_count, 0);
        assert_int_equal(fixture.ended, 2);
        assert_int_equal(fixture.dismissed[POOL_SHRINKS], 2);
        need(3);
        assert_int_equal(pool->count, 3);
        tear_down(pool);
}

/* Each of several that fail together is replaced after the same delay; those that fail afterwards double it. */
static void test_back_off(void **state UNUSED) {
        struct pool *pool = set_up(&knowing, 3, 3);
        usec_t delay = SECOND;

        pool_begin(pool, fixture.now);
        for (size_t round = 0; round < 5; round++) {
                while (pool->count > 0)
                        end_with(nth(pool, 0), 1);
                assert_int_equal(pool_next(pool), fixture.now + delay);
                assert_int_equal(need(1), -EAGAIN);
                pass_time(pool);
                assert_int_equal(pool->count, 3);
                assert_int_equal(need(1), 0);
                delay = MIN_OF(delay * 2, 5 * SECOND);
        }
        /* One that has worked has not failed by dying. */
        pool_count_work(pool, nth(pool, 0), 1, fixture.now);
        end_with(nth(pool, 0), 1);
        assert_int_equal(pool->count, 3);
        /* Nor one that has lived for long. */
        fixture.now += 6 * SECOND;
        end_with(nth(pool, 0), 1);
        assert_int_equal(pool->count, 3);
        end_with(nth(pool, 2), 1);
        assert_int_equal(pool->count, 2);
        assert_int_equal(pool_next(pool), fixture.now + SECOND);
        tear_down(pool);
}

static bool is_failing(const struct pool *pool, int error) {
        int found = 1;
        bool failing = pool_is_failing(pool, fixture.now, &found);

        assert_int_equal(found, error);
        return failing;
}

static void test_failing(void **state UNUSED) {
        struct pool *pool = set_up(&knowing, 0, 2);

        assert_false(is_failing(pool, 0));
        assert_int_equal(need(1), 0);
        assert_false(is_failing(pool, 0));
        end_with(nth(pool, 0), 1);
        assert_true(is_failing(pool, 0));
        /* The next one has to last longer than was waited for it. */
        pass_time(pool);
        assert_int_equal(pool->count, 1);
        assert_true(is_failing(pool, 0));
        fixture.now += SECOND;
        assert_false(is_failing(pool, 0));
        end_with(nth(pool, 0), 1);
        assert_true(is_failing(pool, 0));
        /* Or to do something. */
        pass_time(pool);
        pool_count_work(pool, nth(pool, 0), 1, fixture.now);
        assert_false(is_failing(pool, 0));
        end_with(nth(pool, 0), 1);
        assert_false(is_failing(pool, 0));
        end_with(nth(pool, 0), 1);
        assert_true(is_failing(pool, 0));
        /* Nobody needs one. */
        need(0);
        assert_false(is_failing(pool, 0));
        fixture.start_error = -ENOENT;
        fixture.now += 10 * SECOND;
        need(1);
        assert_true(is_failing(pool, -ENOENT));
        tear_down(pool);
}

static void test_shortage(void **state UNUSED) {
        struct pool *pool = set_up(&knowing, 0, 3);

        fixture.start_error = -ENOMEM;
        assert_int_equal(need(1), -ENOMEM);
        assert_int_equal(pool->count, 0);
        assert_int_equal(pool_next(pool), fixture.now + SECOND);
        assert_int_equal(need(1), -ENOMEM);
        fixture.start_error = 0;
        pass_time(pool);
        assert_int_equal(need(1), 0);
        assert_int_equal(pool->count, 1);
        /* There is somebody: it gets on. */
        fixture.start_error = -EMFILE;
        assert_int_equal(need(2), 0);
        assert_int_equal(pool->count, 1);
        tear_down(pool);
}

static void test_recycles_known(void **state UNUSED) {
        struct pool *pool = set_up(&knowing, 2, 2);
        struct pool_worker *first, *second;

        fixture.setup.max_requests = 3;
        fixture.setup.max_age = 100 * SECOND;
        pool_begin(pool, fixture.now);
        first = nth(pool, 0);
        second = nth(pool, 1);
        pool_set_busy(first, true, fixture.now);
        pool_count_work(pool, first, 3, fixture.now);
        assert_no(first->is_leaving);
        pool_set_busy(first, false, fixture.now);
        assert_yes(first->is_leaving);
        assert_int_equal(fixture.dismissed[POOL_USED_UP], 1);
        pool_run(pool, fixture.now);
        assert_int_equal(pool->count, 3); /* the new one does not wait for the old one's end */
        end_with(first, 0);
        pass_time(pool);
        assert_int_equal(fixture.dismissed[POOL_OLD], 1);
        assert_yes(second->is_leaving);
        assert_int_equal(pool_next(pool), USEC_INFINITY); /* one after the other */
        end_with(second, 0);
        assert_int_equal(fixture.dismissed[POOL_OLD], 2);
        assert_int_equal(pool_staff(pool), 2);
        tear_down(pool);
}

/* Where a queue is shared, one of them goes, nobody knows who; and no second one before that. */
static void test_recycles_blind(void **state UNUSED) {
        struct pool *pool = set_up(&blind, 2, 2);

        fixture.setup.max_requests = 10;
        fixture.setup.max_age = 100 * SECOND;
        pool_begin(pool, fixture.now);
        pool_count_work(pool, NULL, 25, fixture.now);
        assert_int_equal(fixture.dismissed[POOL_USED_UP], 1);
        assert_int_equal(pool_staff(pool), 2);
        assert_int_equal(pool->count, 3);
        /* One that ends before anybody has heard of it is another one. */
        fixture.is_unheard = true;
        end_with(nth(pool, 1), 0);
        assert_int_equal(pool->count, 3);
        fixture.is_unheard = false;
        end_with(nth(pool, 1), 0);
        pool_run(pool, fixture.now);
        assert_int_equal(fixture.dismissed[POOL_USED_UP], 2);
        end_with(nth(pool, 0), 0);
        assert_int_equal(pool->count, 2);
        assert_int_equal(pool_next(pool), fixture.now + 50 * SECOND);
        fixture.is_deaf = true;
        pass_time(pool);
        assert_yes(pool_next(pool) > fixture.now);
        fixture.is_deaf = false;
        pass_time(pool);
        assert_int_equal(fixture.dismissed[POOL_OLD], 1);
        tear_down(pool);
}

static void test_shrinks_blind(void **state UNUSED) {
        struct pool *pool = set_up(&blind, 0, 4);

        need(2);
        need(0);
        for (size_t i = 0; i < 2; i++) {
                pass_time(pool);
                assert_int_equal(fixture.dismissed[POOL_SHRINKS], i + 1);
                assert_int_equal(pool_next(pool), USEC_INFINITY);
                end_with(nth(pool, 0), 0);
        }
        assert_int_equal(pool->count, 0);
        assert_int_equal(pool_next(pool), USEC_INFINITY);
        tear_down(pool);
}

/* Those who are idle go at once, whatever min says, and come again with work. */
static void test_rests(void **state UNUSED) {
        struct pool *pool = set_up(&knowing, 3, 4);
        usec_t began = fixture.now;

        pool_begin(pool, fixture.now);
        pool_set_busy(nth(pool, 1), true, fixture.now);
        pool_rest(pool, fixture.now);
        while (pool_next(pool) != USEC_INFINITY)
                pass_time(pool);
        assert_yes(fixture.now < began + SECOND);
        assert_int_equal(fixture.dismissed[POOL_SHRINKS], 2);
        assert_int_equal(pool_staff(pool), 1);
        end_with(nth(pool, 2), 0);
        end_with(nth(pool, 0), 0);
        assert_int_equal(pool->count, 1);
        assert_no(pool_is_short(pool));
        need(0);
        assert_int_equal(pool->count, 1);
        need(1);
        assert_int_equal(pool->count, 3);
        assert_int_equal(pool_next(pool), USEC_INFINITY);
        tear_down(pool);
}

static void test_rests_blind(void **state UNUSED) {
        struct pool *pool = set_up(&blind, 2, 4);

        pool_begin(pool, fixture.now);
        /* As long as there is no room to tell anybody it does not spin. */
        fixture.is_deaf = true;
        pool_rest(pool, fixture.now);
        pass_time(pool);
        assert_yes(pool_next(pool) > fixture.now);
        fixture.is_deaf = false;
        for (size_t i = 0; i < 2; i++) {
                pass_time(pool);
                assert_int_equal(fixture.dismissed[POOL_SHRINKS], i + 1);
                assert_int_equal(pool_next(pool), USEC_INFINITY);
                end_with(nth(pool, 0), 0);
        }
        assert_int_equal(pool->count, 0);
        /* One that serves has not heard of it when the next work comes, which is for another one. */
        need(1);
        assert_int_equal(pool->count, 2);
        pool_rest(pool, fixture.now);
        pass_time(pool);
        end_with(nth(pool, 0), 0);
        pass_time(pool);
        assert_int_equal(pool_staff(pool), 0);
        need(1);
        assert_int_equal(pool_staff(pool), 2);
        tear_down(pool);
}

/* Each start that fails doubles the delay, up to its limit; one that works, of one who works, is the end of that. */
static void test_shortage_backs_off(void **state UNUSED) {
        struct pool *pool = set_up(&blind, 1, 3);
        usec_t delay = SECOND;

        fixture.start_error = -EAGAIN;
        pool_begin(pool, fixture.now);
        for (size_t i = 0; i < 5; i++) {
                assert_int_equal(pool_next(pool), fixture.now + delay);
                pass_time(pool);
                delay = MIN_OF(delay * 2, 5 * SECOND);
        }
        /* Who needs one now does not shorten it. */
        assert_int_equal(need(2), -EAGAIN);
        assert_int_equal(pool_next(pool), fixture.now + delay);
        fixture.start_error = 0;
        pass_time(pool);
        assert_int_equal(pool->count, 2);
        /* Those have done nothing yet: the delay is what it was. */
        end_with(nth(pool, 0), 1);
        assert_int_equal(pool_next(pool), fixture.now + delay);
        pool_count_work(pool, NULL, 1, fixture.now);
        pass_time(pool);
        fixture.now++;
        pool_count_work(pool, NULL, 1, fixture.now);
        end_with(nth(pool, 1), 1);
        assert_int_equal(pool->count, 2);
        /* Another one of the same kind, but who has done nothing: from the beginning. */
        end_with(nth(pool, 1), 1);
        assert_int_equal(pool_next(pool), fixture.now + SECOND);
        tear_down(pool);
}

static void test_end(void **state UNUSED) {
        struct pool *pool = set_up(&knowing, 2, 2);

        pool_begin(pool, fixture.now);
        pool_end(pool);
        end_with(nth(pool, 0), 1);
        assert_int_equal(pool->count, 1);
        assert_int_equal(pool_next(pool), USEC_INFINITY);
        tear_down(pool);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bounds),
                cmocka_unit_test(test_spare),
                cmocka_unit_test(test_shrinks),
                cmocka_unit_test(test_back_off),
                cmocka_unit_test(test_failing),
                cmocka_unit_test(test_shortage),
                cmocka_unit_test(test_recycles_known),
                cmocka_unit_test(test_recycles_blind),
                cmocka_unit_test(test_shrinks_blind),
                cmocka_unit_test(test_rests),
                cmocka_unit_test(test_rests_blind),
                cmocka_unit_test(test_shortage_backs_off),
                cmocka_unit_test(test_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
