/* The clients and the workers of handoff: request on their way to the next binary (core/keep.h): open requests go on,
 * with what has been read and not been written yet. */
#include "base/fd.h"
#include "core/keep.h"
#include "handoff/requests.h"

static const char *const step_names[] = {
        [REQUEST_READING] = "reading", [REQUEST_WAITING] = "waiting",     [REQUEST_SERVED] = "served",
        [REQUEST_SENDING] = "sending", [REQUEST_LINGERING] = "lingering",
};

enum worker_place { PLACE_NONE, PLACE_IDLE, PLACE_BUSY, PLACE_GONE };

static const char *const place_names[] = {
        [PLACE_NONE] = "none", [PLACE_IDLE] = "idle", [PLACE_BUSY] = "busy", [PLACE_GONE] = "gone"};

static void bytes_save(struct state_out out, const char *key, const struct buf *data, size_t from) {
        if (data->size > from)
                state_put_bytes(out, key, data->data + from, data->size - from);
}

static void client_save(const struct request_client *client, struct state_out out) {
        connection_save(client->connection, state_put_object(out, "connection"));
        state_put_name(out, "step", step_names, LENGTH_OF(step_names), client->step);
        state_put_flag(out, "ended", client->has_ended);
        state_put_flag(out, "delayed", client->is_delayed);
        state_put_flag(out, "closes", client->closes);
        state_put_integer(out, "request_size", (int64_t)client->request_size);
        state_put_usec(out, "since", client->since);
        state_put_usec(out, "begun", client->begun);
        state_put_integer(out, "from_client", (int64_t)client->from_client);
        state_put_integer(out, "from_target", (int64_t)client->from_target);
        state_put_integer(out, "error", client->error);
        bytes_save(out, "in", &client->in, client->in_used);
        bytes_save(out, "out", &client->out, client->out_sent);
        if (client->worker && client->worker->pooled)
                state_put_integer(out, "worker", client->worker->pooled->process->launched.pid);
}

static void worker_save(const struct request_worker *worker, struct state_out out) {
        bool is_listed = !list_is_empty(&worker->link);
        enum worker_place place = !is_listed        ? PLACE_NONE
                                  : worker->is_gone ? PLACE_GONE
                                  : worker->is_busy ? PLACE_BUSY
                                                    : PLACE_IDLE;

        state_put_integer(out, "pid", worker->pooled->process->launched.pid);
        state_put_name(out, "place", place_names, LENGTH_OF(place_names), place);
        state_put_fd(out, "stdin", worker->stdin_fd);
        state_put_fd(out, "stdout", worker->stdout_fd);
        state_put_flag(out, "replied", worker->has_replied);
        state_put_usec(out, "since", worker->since);
        state_put_usec(out, "idle_since", worker->pooled->idle_since);
        state_put_integer(out, "served", (int64_t)worker->pooled->served);
        bytes_save(out, "pending", &worker->pending, worker->pending_sent);
        bytes_save(out, "reply", &worker->reply, 0);
}

static void setup_save(const struct handoff_request *setup, struct state_out out) {
        state_put_text(out, "end", setup->end.end);
        state_put_text(out, "reply_end", setup->reply_end.end);
        state_put_text(out, "reply", setup->error);
        state_put_integer(out, "max_size", (int64_t)setup->max_size);
        state_put_integer(out, "queue", (int64_t)setup->queue);
        state_put_flag(out, "keep_alive", setup->keep_alive);
        state_put_usec(out, "busy_timeout", setup->busy_timeout);
        state_put_usec(out, "connection_timeout", setup->connection_timeout);
}

/* What the clients go by who came under an older definition. */
static void setup_restore(struct program *program, struct state_in in) {
        AUTO(freep) char *end = state_get_text(in, "end"), *reply_end = state_get_text(in, "reply_end");
        AUTO(freep) char *error = state_get_text(in, "reply");
        const struct request_def def = {
                .end = end,
                .reply_end = reply_end,
                .error = error ? error : (char *)"",
                .max_size = state_get_integer(in, "max_size", 64 << 10),
                .queue = (int)state_get_integer(in, "queue", 0),
                .keep_alive = state_get_flag(in, "keep_alive"),
                .busy_timeout = state_get_usec(in, "busy_timeout"),
        };

        if (!end || !end[0] || !reply_end || !reply_end[0] || def.max_size <= 0)
                state_reader_fail(in.reader, "the running broker does not say how requests end");
        else if (program_set_answers(program, &def, state_get_usec(in, "connection_timeout")) < 0)
                state_reader_fail(in.reader, "memory ran out");
}

void requests_save(const struct program *program, struct state_out out) {
        struct requests *requests = requests_of(program->handoff);
        struct list *const lists[] = {&requests->reading, &requests->sending, &requests->waiting, &requests->served,
                                      &requests->lingering};
        const struct pool *pool = &requests->pool;
        struct state_out clients, workers;
        const struct request_client *client;
        const struct pool_worker *pooled;

        state_put_flag(out, "retired", requests->is_retired);
        state_put_flag(out, "begun", pool->has_begun);
        state_put_integer(out, "lost", (int64_t)pool->lost);
        state_put_usec(out, "retry_at", pool->retry_at);
        state_put_usec(out, "restart_delay", pool->restart_delay);
        setup_save(program->handoff->setup.request, state_put_object(out, "setup"));
        clients = state_put_list(out, "clients");
        for (size_t i = 0; i < LENGTH_OF(lists); i++)
                list_for_each(client, lists[i], link)
                        client_save(client, state_add_object(clients));
        workers = state_put_list(out, "workers");
        list_for_each(pooled, &pool->workers, link)
                if (pooled->userdata)
                        worker_save(pooled->userdata, state_add_object(workers));
}

static struct pool_worker *find_worker(struct requests *requests, pid_t pid) {
        struct pool_worker *pooled;

        list_for_each(pooled, &requests->pool.workers, link)
                if (pooled->process->launched.pid == pid)
                        return pooled;
        return NULL;
}

static void client_restore(struct program *program, struct state_in in) {
        struct service *service = program->service;
        struct requests *requests = requests_of(program->handoff);
        struct connection *connection =
                connection_restore(service->manager, service, state_get_object(in, "connection"));
        struct pool_worker *pooled = find_worker(requests, (pid_t)state_get_integer(in, "worker", -1));
        struct request_client *client = connection ? requestclient_new(requests, connection) : NULL;

        if (!client) {
                state_reader_fail(in.reader, "memory ran out");
                return;
        }
        client->has_ended = state_get_flag(in, "ended");
        client->is_delayed = state_get_flag(in, "delayed");
        client->closes = state_get_flag(in, "closes");
        client->request_size = (size_t)state_get_integer(in, "request_size", 0);
        client->begun = state_get_usec(in, "begun");
        client->from_client = (uint64_t)state_get_integer(in, "from_client", 0);
        client->from_target = (uint64_t)state_get_integer(in, "from_target", 0);
        client->error = (int)state_get_integer(in, "error", 0);
        state_get_buf(in, "in", &client->in);
        state_get_buf(in, "out", &client->out);
        if (pooled && pooled->userdata) {
                client->worker = pooled->userdata;
                client->worker->client = client;
        }
        requestclient_resume(client, state_get_name(in, "step", step_names, LENGTH_OF(step_names), REQUEST_READING),
                             state_get_usec(in, "since"));
        program->handoff->connection_count++;
}

static void worker_restore(struct program *program, struct state_in in) {
        struct requests *requests = requests_of(program->handoff);
        struct list *const lists[] = {NULL, &requests->idle, &requests->busy, &requests->gone};
        struct pool_worker *pooled = find_worker(requests, (pid_t)state_get_integer(in, "pid", -1));
        struct request_worker *worker = pooled ? requestworker_new(requests, pooled) : NULL;
        enum worker_place place = state_get_name(in, "place", place_names, LENGTH_OF(place_names), PLACE_NONE);
        int stdin_fd = state_take_fd(in, "stdin"), stdout_fd = state_take_fd(in, "stdout");

        if (!worker) {
                fd_close(stdin_fd);
                fd_close(stdout_fd);
                state_reader_fail(in.reader, "a worker of service %s has no process", program->service->name);
                return;
        }
        pooled->userdata = worker;
        worker->stdin_fd = stdin_fd;
        worker->stdout_fd = stdout_fd;
        worker->has_replied = state_get_flag(in, "replied");
        pooled->served = (uint64_t)state_get_integer(in, "served", 0);
        state_get_buf(in, "pending", &worker->pending);
        state_get_buf(in, "reply", &worker->reply);
        worker->is_gone = place == PLACE_GONE;
        worker->is_busy = place == PLACE_BUSY || place == PLACE_GONE;
        pool_set_busy(pooled, worker->is_busy, state_get_usec(in, "since"));
        pooled->idle_since = state_get_usec(in, "idle_since");
        worker->since = state_get_usec(in, "since");
        if (place != PLACE_NONE)
                list_append(lists[place], &worker->link);
        if ((place == PLACE_IDLE || place == PLACE_BUSY) && requestworker_watch(worker) < 0)
                state_reader_fail(in.reader, "a worker of service %s cannot be watched", program->service->name);
}

void requests_restore(struct program *program, struct state_in in) {
        struct state_in clients = state_get_list(in, "clients"), workers = state_get_list(in, "workers");
        struct requests *requests = requests_of(program->handoff);
        struct process *process;

        if (!program->answers) {
                state_reader_fail(in.reader, "service %s answered requests, and does not", program->service->name);
                return;
        }
        setup_restore(program, state_get_object(in, "setup"));
        requests->is_retired = state_get_flag(in, "retired");
        requests->pool.has_begun = state_get_flag(in, "begun");
        requests->pool.lost = (size_t)state_get_integer(in, "lost", 0);
        requests->pool.retry_at = state_has(in, "retry_at") ? state_get_usec(in, "retry_at") : 0;
        requests->pool.restart_delay = state_has(in, "restart_delay") ? state_get_usec(in, "restart_delay") : 0;
        list_for_each(process, &program->handoff->processes, link)
                if (!pool_adopt(&requests->pool, process))
                        state_reader_fail(in.reader, "memory ran out");
        for (size_t i = 0; i < state_count(workers); i++)
                worker_restore(program, state_entry(workers, i));
        for (size_t i = 0; i < state_count(clients); i++)
                client_restore(program, state_entry(clients, i));
        if (requests->is_retired && program->handoff->connection_count == 0)
                pool_end(&requests->pool);
        requests_run_soon(requests);
        pool_run_soon(&requests->pool);
}
