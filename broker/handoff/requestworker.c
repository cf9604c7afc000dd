#include "handoff/requests.h"

#include "base/err.h"
#include "base/fd.h"
#include "handoff/fdplan.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READ_SIZE (16 << 10)

struct request_worker *requestworker_new(struct requests *requests, struct pool_worker *pooled) {
        struct request_worker *worker = calloc(1, sizeof(*worker));

        if (!worker)
                return NULL;
        worker->requests = requests;
        worker->pooled = pooled;
        worker->stdin_fd = worker->stdout_fd = -EBADF;
        list_init(&worker->link);
        return worker;
}

struct request_worker *requestworker_free(struct request_worker *worker) {
        if (!worker)
                return NULL;
        list_remove(&worker->link);
        worker->stdout_io = sd_event_source_disable_unref(worker->stdout_io);
        worker->stdin_io = sd_event_source_disable_unref(worker->stdin_io);
        fd_close(worker->stdout_fd);
        fd_close(worker->stdin_fd);
        buf_deinit(&worker->reply);
        buf_deinit(&worker->pending);
        free(worker);
        return NULL;
}

static void requestworker_freep(struct request_worker **worker) {
        *worker = requestworker_free(*worker);
}

static void set_busy(struct request_worker *worker, bool busy) {
        usec_t now = requests_now(worker->requests);

        worker->is_busy = busy;
        worker->since = now;
        if (worker->pooled)
                pool_set_busy(worker->pooled, busy, now);
}

/* It gets no work any more, and ends. */
static void stop(struct request_worker *worker, enum process_reason reason) {
        list_remove(&worker->link);
        worker->stdout_io = sd_event_source_disable_unref(worker->stdout_io);
        worker->stdin_io = sd_event_source_disable_unref(worker->stdin_io);
        worker->stdin_fd = fd_close(worker->stdin_fd);
        if (!worker->pooled)
                return;
        pool_stop_worker(worker->pooled, reason);
        pool_run_soon(&worker->requests->pool);
}

static void fail_client(struct request_worker *worker, enum handoff_answer answer, int error) {
        struct request_client *client = take_ptr(worker->client);

        if (client)
                requestclient_fail(client, answer, error);
}

void requestworker_end_late(struct request_worker *worker) {
        /* Who does not answer in all that time is not asked; the stop signal comes too late to count. */
        process_kill(worker->pooled->process, SIGKILL);
        stop(worker, PROCESS_BUSY);
        fail_client(worker, HANDOFF_ANSWER_TIMED_OUT, -ETIMEDOUT);
}

/* One that does so at once, each time, is not to spin. */
static void end_chatty(struct request_worker *worker) {
        pool_fail(&worker->requests->pool, requests_now(worker->requests));
        stop(worker, PROCESS_CHATTY);
        fail_client(worker, HANDOFF_ANSWER_FAILED, -EPROTO);
}

void requestworker_end_mute(struct request_worker *worker) {
        pool_fail(&worker->requests->pool, requests_now(worker->requests));
        stop(worker, PROCESS_MUTE);
}

/* It has closed an end of its pipes: most do so by ending, which then is about to show. */
static void on_gone(struct request_worker *worker) {
        if (worker->is_gone)
                return;
        worker->is_gone = true;
        worker->stdout_io = sd_event_source_disable_unref(worker->stdout_io);
        worker->stdin_io = sd_event_source_disable_unref(worker->stdin_io);
        list_remove(&worker->link);
        if (worker->pooled && worker->pooled->process->reason == PROCESS_ENDED) {
                set_busy(worker, true);
                list_append(&worker->requests->gone, &worker->link);
        }
        fail_client(worker, HANDOFF_ANSWER_FAILED, -EPIPE);
}

static void on_free(struct request_worker *worker) {
        struct requests *requests = worker->requests;
        usec_t now = requests_now(requests);

        if (!worker->pooled)
                return;
        list_remove(&worker->link);
        worker->has_replied = false;
        pool_count_work(&requests->pool, worker->pooled, 1, now);
        set_busy(worker, false);
        if (!worker->pooled->is_leaving) {
                list_append(&requests->idle, &worker->link);
                requestworker_dispatch(requests);
        }
        requests_need(requests);
}

static void on_reply(struct request_worker *worker, const char *data, size_t size) {
        struct request_client *client = take_ptr(worker->client);

        worker->has_replied = true;
        /* The next one first: then they are at work while this one is told. */
        if (worker->pending.size == 0)
                on_free(worker);
        if (client)
                requestclient_answer(client, data, size);
}

static void read_kept(struct request_worker *worker, const char *data, size_t size) {
        const struct handoff_request *setup = requests_setup(worker->requests);
        AUTO(buf_deinit) struct buf reply = BUF_NULL;
        size_t found;

        buf_add(&worker->reply, data, size);
        if (buf_failed(&worker->reply)) {
                end_chatty(worker);
                return;
        }
        found = framing_find(&setup->reply_end, worker->reply.data, worker->reply.size, &worker->reply_scanned);
        if (found > setup->max_size || (found == 0 && worker->reply.size >= setup->max_size)) {
                end_chatty(worker);
                return;
        }
        if (found == 0)
                return;
        reply = worker->reply;
        worker->reply = BUF_NULL;
        worker->reply_scanned = 0;
        if (found < reply.size) {
                struct request_client *client = take_ptr(worker->client);

                end_chatty(worker);
                if (client)
                        requestclient_answer(client, reply.data, found);
                return;
        }
        on_reply(worker, reply.data, found);
}

static void on_read(struct request_worker *worker, const char *data, size_t size) {
        const struct handoff_request *setup = requests_setup(worker->requests);

        if (!worker->is_busy || worker->has_replied)
                end_chatty(worker);
        else if (worker->reply.size == 0 && size <= setup->max_size &&
                 framing_find(&setup->reply_end, data, size, &(size_t){0}) == size)
                on_reply(worker, data, size);
        else
                read_kept(worker, data, size);
}

/* Returns false when there is no more for now. */
static bool read_once(struct request_worker *worker) {
        char data[READ_SIZE];
        ssize_t n = read(worker->stdout_fd, data, sizeof(data));

        if (n > 0)
                on_read(worker, data, (size_t)n);
        else if (n == 0 || errno != EAGAIN)
                on_gone(worker);
        return n > 0;
}

static int on_stdout(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events UNUSED, void *userdata) {
        struct request_worker *worker = userdata;
        struct requests *requests = worker->requests;

        requests_enter(requests);
        read_once(worker);
        requests_deliver(requests);
        return 0;
}

static int on_stdin(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events UNUSED, void *userdata) {
        struct request_worker *worker = userdata;
        struct requests *requests = worker->requests;
        struct buf *pending = &worker->pending;
        ssize_t n = write(worker->stdin_fd, pending->data + worker->pending_sent, pending->size - worker->pending_sent);

        requests_enter(requests);
        if (n >= 0)
                worker->pending_sent += (size_t)n;
        if (n < 0 && errno != EAGAIN) {
                on_gone(worker);
        } else if (worker->pending_sent == pending->size) {
                sd_event_source_set_enabled(worker->stdin_io, SD_EVENT_OFF);
                buf_deinit(pending);
                worker->pending_sent = 0;
                if (worker->has_replied)
                        on_free(worker);
        }
        requests_deliver(requests);
        return 0;
}

static int watch_stdin(struct request_worker *worker) {
        sd_event *event = worker->requests->handoff.setup.host->event;
        int r = worker->stdin_io
                        ? sd_event_source_set_enabled(worker->stdin_io, SD_EVENT_ON)
                        : sd_event_add_io(event, &worker->stdin_io, worker->stdin_fd, EPOLLOUT, on_stdin, worker);

        return r < 0 ? err_raise(r) : 0;
}

int requestworker_watch(struct request_worker *worker) {
        sd_event *event = worker->requests->handoff.setup.host->event;
        int r = sd_event_add_io(event, &worker->stdout_io, worker->stdout_fd, EPOLLIN, on_stdout, worker);

        if (r >= 0 && worker->pending.size > 0)
                r = watch_stdin(worker);
        return r < 0 ? err_raise(r) : 0;
}

/* What a pipe does not take at once is kept, since the client may leave. */
static void keep_rest(struct request_worker *worker, const char *data, size_t size) {
        buf_add(&worker->pending, data, size);
        if (!buf_failed(&worker->pending) && watch_stdin(worker) == 0)
                return;
        /* It never gets the rest: as one that overruns, at once. */
        worker->since = 0;
        list_remove(&worker->link);
        list_append(worker->requests->busy.next, &worker->link);
        requests_run_soon(worker->requests);
}

/* Returns false where it does not take anything: then it is of no use, and the request is still whole. */
static bool give(struct request_worker *worker, struct request_client *client, const char *data, size_t size) {
        struct requests *requests = worker->requests;
        ssize_t n = write(worker->stdin_fd, data, size);

        if (n < 0 && errno != EAGAIN) {
                on_gone(worker);
                return false;
        }
        list_remove(&worker->link);
        list_append(&requests->busy, &worker->link);
        set_busy(worker, true);
        worker->client = client;
        client->worker = worker;
        requestclient_move(client, REQUEST_SERVED);
        if (n < (ssize_t)size)
                keep_rest(worker, data + MAX_OF(n, 0), size - (size_t)MAX_OF(n, 0));
        return true;
}

bool requestworker_give(struct request_client *client, const char *data, size_t size) {
        struct requests *requests = client->requests;
        struct request_worker *worker;

        while ((worker = list_last(&requests->idle, struct request_worker, link))) {
                if (worker->pooled->process->reason != PROCESS_ENDED) {
                        list_remove(&worker->link);
                        continue;
                }
                if (give(worker, client, data, size)) {
                        requests_need(requests);
                        return true;
                }
        }
        return false;
}

void requestworker_dispatch(struct requests *requests) {
        struct request_client *client;

        while (!list_is_empty(&requests->idle) &&
               (client = list_first(&requests->waiting, struct request_client, link))) {
                if (!requestworker_give(client, client->in.data + client->in_used, client->request_size))
                        return;
                requestclient_forget(client, client->request_size);
        }
}

static int open_pipes(struct request_worker *worker, int ret[2]) {
        int in[2], out[2];

        if (pipe2(in, O_CLOEXEC) < 0)
                return err_raise(-errno);
        if (pipe2(out, O_CLOEXEC) < 0) {
                int r = err_raise(-errno);

                fd_close(in[0]);
                fd_close(in[1]);
                return r;
        }
        worker->stdin_fd = in[1];
        worker->stdout_fd = out[0];
        ret[0] = in[0];
        ret[1] = out[1];
        return 0;
}

static int launch(struct request_worker *worker, struct process **ret) {
        const struct handoff_setup *setup = &worker->requests->handoff.setup;
        struct launch_fd fds[FDPLAN_STDIO_MAX];
        struct launch_request request = {.plan = setup->plan, .fds = fds};
        int ends[2] = {-EBADF, -EBADF};
        int r = open_pipes(worker, ends);

        if (r == 0)
                r = fd_set_nonblock(worker->stdin_fd, true);
        if (r == 0)
                r = fd_set_nonblock(worker->stdout_fd, true);
        if (r == 0)
                r = requestworker_watch(worker);
        if (r == 0) {
                request.fd_count = fdplan_standard(setup, ends[1], fds);
                fds[0].from = ends[0];
                r = pool_launch(&worker->requests->pool, &request, ret);
        }
        fd_close(ends[0]);
        fd_close(ends[1]);
        return r;
}

static int on_start(struct pool *pool, struct pool_worker *pooled, struct process **ret) {
        struct requests *requests = container_of(pool, struct requests, pool);
        AUTO(requestworker_freep) struct request_worker *worker = NULL;
        int r = pool_prepare(pool);

        if (r < 0)
                return r;
        worker = requestworker_new(requests, pooled);
        if (!worker)
                return err_raise(-ENOMEM);
        r = launch(worker, ret);
        if (r < 0)
                return r;
        pooled->userdata = worker;
        /* Who was busy last comes first: others may leave. */
        list_append(requests->idle.next, &worker->link);
        take_ptr(worker);
        if (requests->waiting_count > 0)
                requests_run_soon(requests);
        return 0;
}

/* What it has said before its end counts. */
static void on_ended(struct pool *pool UNUSED, struct pool_worker *pooled, const struct process_end *end UNUSED) {
        struct request_worker *worker = take_ptr(pooled->userdata);
        struct requests *requests = worker->requests;

        worker->pooled = NULL; /* and counts no more */
        while (worker->stdout_io && worker->client && read_once(worker))
                ;
        fail_client(worker, HANDOFF_ANSWER_FAILED, -EPIPE);
        requestworker_free(worker);
        requests_run_soon(requests);
}

static void on_dismiss(struct pool *pool UNUSED, struct pool_worker *pooled, enum pool_reason why) {
        stop(pooled->userdata, why == POOL_SHRINKS ? PROCESS_IDLE : PROCESS_STOPPED);
}

const struct pool_ops requestworker_ops = {
        .start = on_start,
        .ended = on_ended,
        .dismiss = on_dismiss,
};
