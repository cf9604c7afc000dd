/* wait: no, handoff: pass. Each worker has the queue's reading end as descriptor 3. A connection is a worker's, and
 * over for us, as soon as it is taken out of the queue; who has it, and what becomes of it, we do not see.
 *
 * As many wait in the queue as there are workers; then the service is full, and the others wait in the kernel's
 * backlog. That a place is free again the writing end tells, edge-triggered. As long as the queue is not full nothing
 * wakes us for what is taken: a timer that is set while something waits finds that out, a hundredth of a second later
 * at most, and finds those who wait for longer, for whom there should be more workers. */
#include "handoff/pass.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "handoff/fdplan.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#define QUEUE_FD 3
#define LOOK_DELAY (10 * USEC_PER_MSEC)

static const struct handoff_pool *setup_of(const struct pass *pass) {
        return pass->handoff.setup.pool;
}

static usec_t now_of(const struct pass *pass) {
        uint64_t now;

        return sd_event_now(pass->handoff.setup.host->event, CLOCK_MONOTONIC, &now) < 0 ? clock_monotonic() : now;
}

static void watch(struct pass *pass, bool on) {
        sd_event_source_set_enabled(pass->taken, on ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void look_at(struct pass *pass, usec_t at) {
        pass->is_looking = true;
        sd_event_source_set_time(pass->look, at);
        sd_event_source_set_enabled(pass->look, SD_EVENT_ONESHOT);
}

/* How many may wait. Even without a worker it is one, for which one will be there. */
static size_t places(const struct pass *pass) {
        size_t staff = pool_staff(&pass->pool);

        return MIN_OF(MAX_OF(staff, 1), MIN_OF(setup_of(pass)->queue_max, pass->queue.capacity));
}

/* Returns false when PASS may be gone. */
static bool report(struct pass *pass, struct connection *own_connection, enum handoff_outcome outcome) {
        struct handoff *handoff = &pass->handoff;
        const struct handoff_finish finish = {.outcome = outcome};
        bool last;

        handoff->connection_count--;
        last = !handoff_is_busy(handoff);
        handoff->setup.events->finished(handoff->setup.userdata, handoff, own_connection, &finish);
        return !last;
}

static bool report_all(struct pass *pass) {
        struct connection *connection;
        size_t taken;

        passqueue_waiting(&pass->queue);
        taken = pass->queue.taken;
        if (taken > 0)
                pool_count_work(&pass->pool, NULL, taken, now_of(pass));
        /* Not more than there were: what is reported may bring others. */
        for (; taken > 0 && (connection = passqueue_next_taken(&pass->queue)); taken--)
                if (!report(pass, connection, HANDOFF_TAKEN))
                        return false;
        while ((connection = list_first(&pass->back, struct connection, link))) {
                list_remove(&connection->link);
                if (!report(pass, connection, pass->back_outcome))
                        return false;
        }
        return true;
}

/* Those who are to end do so behind what waits. */
static void end_if_empty(struct pass *pass) {
        if (!pass->is_retired || passqueue_known(&pass->queue) > 0)
                return;
        pool_end(&pass->pool);
        passqueue_end(&pass->queue);
}

static int on_taken(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events UNUSED, void *userdata) {
        struct pass *pass = userdata;

        if (!report_all(pass))
                return 0;
        end_if_empty(pass);
        if (passqueue_known(&pass->queue) == 0 && (!pass->was_full || !pass->is_looking))
                watch(pass, false);
        if (pass->is_looking)
                return 0;
        /* Nobody looks any more: what it would find, and do, is found here. */
        if (passqueue_known(&pass->queue) == 0) {
                pass->was_full = false;
                pool_need(&pass->pool, 0, now_of(pass));
        } else if (pool_staff(&pass->pool) < setup_of(pass)->workers.max) {
                look_at(pass, now_of(pass) + LOOK_DELAY);
        }
        return 0;
}

static size_t count_late(struct pass *pass, usec_t now) {
        size_t late = 0;

        for (size_t i = pass->queue.taken; i < pass->queue.count; i++)
                late += now >= passqueue_item(&pass->queue, i)->connection->accepted_at + LOOK_DELAY;
        return late;
}

/* Whether more workers would be of use, and can be had: another look is worth it. Where they cannot, because there are
 * as many as may be, or none can be started, that something is taken is what we wait for. */
static bool can_grow(const struct pass *pass) {
        return pool_staff(&pass->pool) < setup_of(pass)->workers.max && !pool_is_short(&pass->pool);
}

static int on_look(sd_event_source *source UNUSED, uint64_t time UNUSED, void *userdata) {
        struct pass *pass = userdata;
        usec_t now = now_of(pass);
        bool was_full = pass->was_full;
        size_t waiting, wanted;

        pass->is_looking = pass->was_full = false;
        if (!report_all(pass))
                return 0;
        end_if_empty(pass);
        waiting = passqueue_known(&pass->queue);
        wanted = waiting >= places(pass) && was_full ? waiting : count_late(pass, now);
        if (wanted > 0)
                pool_need(&pass->pool, pool_staff(&pass->pool) + wanted, now);
        else if (waiting == 0)
                pool_need(&pass->pool, 0, now);
        pass->was_full = waiting >= places(pass);
        watch(pass, waiting > 0 && (pass->was_full || was_full || setup_of(pass)->is_prompt || pass->is_retired ||
                                    !can_grow(pass)));
        if (waiting > 0 && !pass->is_looking && can_grow(pass))
                look_at(pass, now + LOOK_DELAY);
        return 0;
}

/* The loop, soon: for callers who must not be told of anything. */
static void look_soon(struct pass *pass) {
        look_at(pass, 0);
}

#define ROOM 2 /* descriptors that are left for connections on their way */

/* Workers beyond the first do not take the last descriptors, without which none of them would get a connection. */
static int launch(struct pool *pool, const struct launch_request *request, struct process **ret) {
        int null_fd = pool->handoff->setup.host->null_fd, held[ROOM] = {-EBADF, -EBADF}, r = 0;

        for (size_t i = 0; i < ROOM && r == 0 && pool->count > 1; i++) {
                held[i] = fcntl(null_fd, F_DUPFD_CLOEXEC, 0);
                if (held[i] < 0)
                        r = -errno;
        }
        if (r == 0)
                r = pool_launch(pool, request, ret);
        for (size_t i = 0; i < ROOM; i++)
                fd_close(held[i]);
        return r;
}

/* What the next ones cannot have for want of descriptors stays where it is, for the old workers. */
static bool can_take_back(const struct pass *pass) {
        int probe = fcntl(pass->queue.read_fd, F_DUPFD_CLOEXEC, 0);

        fd_close(probe);
        return probe >= 0;
}

static void take_back(struct pass *pass, enum handoff_outcome outcome) {
        bool was_dismissing = passqueue_is_dismissing(&pass->queue);
        struct connection *connection;

        while ((outcome != HANDOFF_GIVEN_BACK || can_take_back(pass)) &&
               (connection = passqueue_take_back(&pass->queue)))
                list_append(&pass->back, &connection->link);
        /* We have heard it ourselves: nobody ends for it. */
        if (was_dismissing && !passqueue_is_dismissing(&pass->queue))
                pass->pool.has_called = false;
        pass->back_outcome = outcome;
        look_soon(pass);
}

/* Nobody will mend the program of a definition that is not in force any more. */
static void give_up_in_vain(struct pass *pass) {
        const struct pool *pool = &pass->pool;

        if (pass->is_retired && pool->restart_delay >= pool->setup->restart_delay_max)
                take_back(pass, HANDOFF_STOPPED);
}

static int start_worker(struct pool *pool, struct pool_worker *worker UNUSED, struct process **ret) {
        struct pass *pass = container_of(pool, struct pass, pool);
        const struct handoff_setup *setup = &pass->handoff.setup;
        struct launch_fd fds[FDPLAN_STDIO_MAX + 1];
        struct launch_request request = {.plan = setup->plan, .fds = fds};

        int r = pool_prepare(pool);

        if (r < 0)
                return r;
        request.fd_count = fdplan_standard(setup, -EBADF, fds);
        fds[request.fd_count++] = (struct launch_fd){.from = pass->queue.read_fd, .to = QUEUE_FD};
        r = launch(pool, &request, ret);
        if (r < 0)
                give_up_in_vain(pass);
        return r;
}

static void on_worker_ended(struct pool *pool, struct pool_worker *worker UNUSED,
                            const struct process_end *end UNUSED) {
        struct pass *pass = container_of(pool, struct pass, pool);

        give_up_in_vain(pass);
        if (passqueue_known(&pass->queue) > 0)
                look_soon(pass);
}

static bool dismiss_any(struct pool *pool, enum pool_reason why UNUSED) {
        struct pass *pass = container_of(pool, struct pass, pool);

        return passqueue_waiting(&pass->queue) == 0 && passqueue_dismiss_one(&pass->queue);
}

static bool is_unheard(struct pool *pool) {
        return passqueue_is_dismissing(&container_of(pool, struct pass, pool)->queue);
}

static const struct pool_ops pool_ops = {
        .start = start_worker,
        .ended = on_worker_ended,
        .dismiss_any = dismiss_any,
        .is_unheard = is_unheard,
};

static int pass_open(struct handoff *handoff) {
        struct pass *pass = pass_of(handoff);
        sd_event *event = handoff->setup.host->event;
        int r;

        list_init(&pass->back);
        pass->queue = PASSQUEUE_NULL;
        r = pool_init(&pass->pool, event, &setup_of(pass)->workers, &pool_ops);
        pass->pool.handoff = handoff;
        if (r == 0)
                r = passqueue_open(&pass->queue, setup_of(pass)->workers.max);
        if (r < 0)
                return r;
        r = sd_event_add_time(event, &pass->look, CLOCK_MONOTONIC, 0, 1, on_look, pass);
        if (r >= 0)
                r = sd_event_source_set_enabled(pass->look, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_io(event, &pass->taken, pass->queue.write_fd, EPOLLOUT | EPOLLET, on_taken, pass);
        if (r >= 0)
                r = sd_event_source_set_enabled(pass->taken, SD_EVENT_OFF);
        return r < 0 ? err_raise(r) : 0;
}

/* A worker has shut down what belongs to all of them: what waited in it goes to another one, and those who have the old
 * one end. */
static int replace_queue(struct pass *pass) {
        struct passqueue queue;
        struct connection *connection;
        int r = passqueue_open(&queue, setup_of(pass)->workers.max);

        if (r < 0)
                return r;
        r = sd_event_source_set_io_fd(pass->taken, queue.write_fd);
        if (r < 0) {
                passqueue_close(&queue);
                return err_raise(r);
        }
        while ((connection = passqueue_take_back(&pass->queue)))
                list_append(&pass->back, &connection->link);
        r = passqueue_move_taken(&pass->queue, &queue);
        while (r == 0 && (connection = list_first(&pass->back, struct connection, link)) &&
               passqueue_put(&queue, connection) == 0)
                list_remove(&connection->link);
        /* Those that there was no memory for. */
        while ((connection = passqueue_next_taken(&pass->queue)))
                list_append(&pass->back, &connection->link);
        pass->back_outcome = HANDOFF_STOPPED;
        passqueue_close(&pass->queue);
        pass->queue = queue;
        pass->pool.has_called = false;
        pool_fail(&pass->pool, now_of(pass));
        pool_stop_all(&pass->pool, PROCESS_STOPPED);
        look_soon(pass);
        return 0;
}

static int pass_take_connection(struct handoff *handoff, struct connection *connection) {
        struct pass *pass = pass_of(handoff);
        int r = 0;

        if (pool_staff(&pass->pool) == 0 || pass->pool.is_resting)
                pool_need(&pass->pool, 1, now_of(pass));
        if (pool_staff(&pass->pool) == 0)
                r = pass->pool.error;
        if (r == 0)
                r = passqueue_put(&pass->queue, connection);
        if (r == -EPIPE)
                r = replace_queue(pass) < 0 ? -EAGAIN : passqueue_put(&pass->queue, connection);
        if (r < 0)
                return r == -EPIPE ? -EAGAIN : r;
        handoff->connection_count++;
        if (!pass->is_looking)
                look_at(pass, now_of(pass) + LOOK_DELAY);
        if (setup_of(pass)->is_prompt)
                watch(pass, true);
        return 0;
}

static bool pass_is_full(struct handoff *handoff) {
        struct pass *pass = pass_of(handoff);
        size_t most = places(pass);

        if (pass->queue.count < setup_of(pass)->queue_max &&
            (passqueue_known(&pass->queue) < most || passqueue_waiting(&pass->queue) < most))
                return false;
        /* From now on we want to know; the first edge comes at once, for what there was before. */
        pass->was_full = true;
        watch(pass, true);
        return true;
}

static void pass_boot(struct handoff *handoff) {
        struct pass *pass = pass_of(handoff);

        if (pass->is_retired)
                return;
        pass->pool.has_begun = true;
        pass->pool.is_resting = false;
        pool_run_soon(&pass->pool);
}

static void pass_on_process_end(struct handoff *handoff, const struct process_end *end) {
        pool_on_end(&pass_of(handoff)->pool, end, clock_monotonic());
}

static void pass_on_policy(struct handoff *handoff) {
        pool_run_soon(&pass_of(handoff)->pool);
}

static void pass_retire(struct handoff *handoff, enum handoff_retirement how) {
        struct pass *pass = pass_of(handoff);

        pass->is_retired = true;
        if (how == HANDOFF_REPLACED)
                take_back(pass, HANDOFF_GIVEN_BACK);
        end_if_empty(pass);
        if (passqueue_known(&pass->queue) > 0)
                watch(pass, true);
}

static bool pass_cut(struct handoff *handoff) {
        struct pass *pass = pass_of(handoff);

        take_back(pass, HANDOFF_STOPPED);
        end_if_empty(pass);
        return handoff->connection_count > 0;
}

static void pass_stop(struct handoff *handoff) {
        struct pass *pass = pass_of(handoff);

        pass_cut(handoff);
        pass->pool.has_begun = false;
        pool_stop_all(&pass->pool, PROCESS_STOPPED);
        pool_need(&pass->pool, 0, now_of(pass));
}

static void pass_restart(struct handoff *handoff) {
        struct pass *pass = pass_of(handoff);
        bool had_begun = pass->pool.has_begun;

        pass_stop(handoff);
        if (had_begun)
                pass_boot(handoff);
}

static void pass_rest(struct handoff *handoff) {
        struct pass *pass = pass_of(handoff);

        pool_rest(&pass->pool, now_of(pass));
}

/* Who of them has nothing to do we do not see: those who have look at the queue later. */
static size_t pass_idle_count(const struct handoff *handoff) {
        return ((const struct pass *)handoff)->pool.count;
}

static bool pass_is_failing(const struct handoff *handoff, int *ret_error) {
        return pool_is_failing(&((const struct pass *)handoff)->pool, clock_monotonic(), ret_error);
}

static bool pass_is_waiting(const struct handoff *handoff) {
        return pool_is_short(&((const struct pass *)handoff)->pool);
}

static void pass_abandon(struct handoff *handoff) {
        struct pass *pass = pass_of(handoff);
        struct connection *connection;

        pass->queue.taken = pass->queue.count;
        while ((connection = passqueue_next_taken(&pass->queue)))
                free(connection);
        while ((connection = list_first(&pass->back, struct connection, link))) {
                list_remove(&connection->link);
                connection_close(connection);
                free(connection);
        }
        handoff->connection_count = 0;
}

static void pass_close(struct handoff *handoff) {
        struct pass *pass = pass_of(handoff);

        pool_deinit(&pass->pool);
        pass->taken = sd_event_source_disable_unref(pass->taken);
        pass->look = sd_event_source_disable_unref(pass->look);
        passqueue_close(&pass->queue);
}

bool pass_is_settled(const struct pass *pass) {
        return list_is_empty(&pass->back);
}

int pass_adopt_queue(struct pass *pass, int own_write_fd, int own_read_fd) {
        int r = sd_event_source_set_io_fd(pass->taken, own_write_fd);

        if (r < 0) {
                fd_close(own_write_fd);
                fd_close(own_read_fd);
                return err_raise(r);
        }
        passqueue_adopt(&pass->queue, own_write_fd, own_read_fd);
        return 0;
}

void pass_resume(struct pass *pass) {
        end_if_empty(pass);
        watch(pass, passqueue_known(&pass->queue) > 0);
        look_soon(pass);
        pool_run_soon(&pass->pool);
}

const struct handoff_ops pass_ops = {
        .type = HANDOFF_TYPE_PASS,
        .size = sizeof(struct pass),
        .take_connection = pass_take_connection,
        .open = pass_open,
        .boot = pass_boot,
        .on_process_end = pass_on_process_end,
        .on_policy = pass_on_policy,
        .retire = pass_retire,
        .stop = pass_stop,
        .restart = pass_restart,
        .rest = pass_rest,
        .idle_count = pass_idle_count,
        .cut = pass_cut,
        .is_waiting = pass_is_waiting,
        .is_failing = pass_is_failing,
        .is_full = pass_is_full,
        .abandon = pass_abandon,
        .close = pass_close,
};
