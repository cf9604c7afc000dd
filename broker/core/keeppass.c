/* The queue and the workers of handoff: pass on their way to the next binary (core/keep.h): both ends of the queue go
 * along, and with them who waits in it. */
#include "base/err.h"
#include "core/keep.h"
#include "handoff/pass.h"

static void queue_save(struct passqueue *queue, struct state_out out) {
        struct state_out list = state_put_list(out, "waiting");

        state_put_fd(out, "write", queue->write_fd);
        state_put_fd(out, "read", queue->read_fd);
        state_put_integer(out, "taken", (int64_t)queue->taken);
        for (size_t i = 0; i < queue->count; i++) {
                const struct passqueue_item *item = passqueue_item(queue, i);
                struct state_out entry = state_add_object(list);

                connection_save(item->connection, state_put_object(entry, "connection"));
                state_put_integer(entry, "cookie", (int64_t)item->cookie);
                state_put_integer(entry, "size", item->size);
        }
}

static void item_restore(struct program *program, struct state_in in) {
        struct service *service = program->service;
        struct pass *pass = pass_of(program->handoff);
        struct connection *connection =
                connection_restore(service->manager, service, state_get_object(in, "connection"));
        uint64_t cookie = (uint64_t)state_get_integer(in, "cookie", 0);

        if (!connection)
                return;
        if (passqueue_remember(&pass->queue, connection, cookie, (uint32_t)state_get_integer(in, "size", 0)) < 0) {
                state_reader_fail(in.reader, "memory ran out");
                return;
        }
        program->handoff->connection_count++;
}

static void queue_restore(struct program *program, struct state_in in) {
        struct pass *pass = pass_of(program->handoff);
        struct state_in waiting = state_get_list(in, "waiting");
        int write_fd = state_take_fd(in, "write"), read_fd = state_take_fd(in, "read");
        int64_t taken = state_get_integer(in, "taken", 0);

        if (write_fd < 0 || read_fd < 0 || pass_adopt_queue(pass, write_fd, read_fd) < 0) {
                state_reader_fail(in.reader, "the queue of service %s cannot be taken over", program->service->name);
                return;
        }
        for (size_t i = 0; i < state_count(waiting); i++)
                item_restore(program, state_entry(waiting, i));
        passqueue_note_taken(&pass->queue, taken > 0 ? (size_t)taken : 0);
}

void pass_save(const struct program *program, struct state_out out) {
        struct pass *pass = pass_of(program->handoff);
        const struct pool *pool = &pass->pool;

        state_put_flag(out, "retired", pass->is_retired);
        state_put_flag(out, "begun", pool->has_begun);
        state_put_flag(out, "called", pool->has_called);
        state_put_integer(out, "needed", (int64_t)pool->needed);
        state_put_integer(out, "served", (int64_t)pool->served);
        state_put_integer(out, "lost", (int64_t)pool->lost);
        state_put_usec(out, "recycled_at", pool->recycled_at);
        state_put_usec(out, "retry_at", pool->retry_at);
        state_put_usec(out, "restart_delay", pool->restart_delay);
        queue_save(&pass->queue, state_put_object(out, "queue"));
}

void pass_restore(struct program *program, struct state_in in) {
        struct pass *pass = pass_of(program->handoff);
        struct process *process;

        if (!program->pool) {
                state_reader_fail(in.reader, "service %s had a queue, and has none", program->service->name);
                return;
        }
        pass->is_retired = state_get_flag(in, "retired");
        pass->pool.has_begun = state_get_flag(in, "begun");
        pass->pool.has_called = state_get_flag(in, "called");
        pass->pool.needed = (size_t)state_get_integer(in, "needed", 0);
        pass->pool.served = (uint64_t)state_get_integer(in, "served", 0);
        pass->pool.lost = (size_t)state_get_integer(in, "lost", 0);
        pass->pool.recycled_at = state_get_usec(in, "recycled_at");
        pass->pool.retry_at = state_get_usec(in, "retry_at");
        pass->pool.restart_delay = state_get_usec(in, "restart_delay");
        list_for_each(process, &program->handoff->processes, link)
                if (!pool_adopt(&pass->pool, process))
                        state_reader_fail(in.reader, "memory ran out");
        queue_restore(program, state_get_object(in, "queue"));
        pass_resume(pass);
}
