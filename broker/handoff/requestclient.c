#include "handoff/requests.h"

#include "base/err.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define READ_SIZE (16 << 10)
#define READS_MAX 8 /* of one client, before others have their turn */

struct request_client *requestclient_new(struct requests *requests, struct connection *connection) {
        struct request_client *client = calloc(1, sizeof(*client));

        if (!client)
                return NULL;
        client->requests = requests;
        client->connection = connection;
        client->is_readable = true;
        client->since = requests_now(requests);
        list_init(&client->ready_link);
        list_init(&client->link);
        list_append(&requests->reading, &client->link);
        return client;
}

struct request_client *requestclient_free(struct request_client *client) {
        if (!client)
                return NULL;
        list_remove(&client->ready_link);
        list_remove(&client->link);
        client->io = sd_event_source_disable_unref(client->io);
        buf_deinit(&client->out);
        buf_deinit(&client->in);
        free(client);
        return NULL;
}

void requestclient_move(struct request_client *client, enum request_step step) {
        struct requests *requests = client->requests;
        struct list *const lists[] = {
                [REQUEST_READING] = &requests->reading,     [REQUEST_WAITING] = &requests->waiting,
                [REQUEST_SERVED] = &requests->served,       [REQUEST_SENDING] = &requests->sending,
                [REQUEST_LINGERING] = &requests->lingering, [REQUEST_OVER] = &requests->over,
        };

        requests->waiting_count -= client->step == REQUEST_WAITING;
        requests->waiting_count += step == REQUEST_WAITING;
        client->step = step;
        client->since = requests_now(requests);
        list_remove(&client->link);
        list_append(lists[step], &client->link);
}

void requestclient_end(struct request_client *client, enum handoff_outcome outcome) {
        if (client->step == REQUEST_OVER)
                return;
        if (client->step == REQUEST_WAITING || client->step == REQUEST_SERVED)
                requests_count(client, HANDOFF_ANSWER_DROPPED);
        /* The worker goes on: what it says is for nobody. */
        if (client->worker)
                client->worker->client = NULL;
        client->worker = NULL;
        client->io = sd_event_source_disable_unref(client->io);
        list_remove(&client->ready_link);
        requestclient_move(client, REQUEST_OVER);
        client->outcome = (unsigned char)outcome;
        if (!client->requests->is_inside)
                requests_run_soon(client->requests);
}

static void put_into_turn(struct request_client *client) {
        list_remove(&client->ready_link);
        list_append(&client->requests->ready, &client->ready_link);
        requests_run_soon(client->requests);
}

static size_t unread(const struct request_client *client) {
        return client->in.size - client->in_used;
}

void requestclient_forget(struct request_client *client, size_t size) {
        client->in_used += size;
        client->in_scanned = 0;
        if (unread(client) > 0)
                return;
        buf_deinit(&client->in);
        client->in_used = 0;
}

/* Returns false when memory ran out. */
static bool keep_read(struct request_client *client, const char *data, size_t size) {
        struct buf *in = &client->in;

        if (client->in_used > 0) {
                memmove(in->data, in->data + client->in_used, unread(client));
                in->size = unread(client);
                client->in_used = 0;
        }
        buf_add(in, data, size);
        return !buf_failed(in);
}

static void end_well(struct request_client *client) {
        requestclient_end(client, client->error < 0 ? HANDOFF_UNANSWERED : HANDOFF_DONE);
}

/* Whether there is more of it that nobody will read. */
static bool has_said_more(const struct request_client *client) {
        char byte;

        return unread(client) > 0 || client->closes ||
               recv(client->connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Who has said more than was answered would be reset by a close, and might lose the answer with it. */
static void finish(struct request_client *client) {
        if (!client->has_ended && has_said_more(client)) {
                shutdown(client->connection->fd, SHUT_WR);
                requestclient_move(client, REQUEST_LINGERING);
                if (requestclient_watch(client) == 0) {
                        put_into_turn(client);
                        return;
                }
        }
        end_well(client);
}

static void on_sent(struct request_client *client) {
        const struct requests *requests = client->requests;

        if (!client->closes && requests_setup(requests)->keep_alive && !requests->is_retired) {
                requestclient_move(client, REQUEST_READING);
                requestclient_go_on(client);
        } else {
                finish(client);
        }
}

/* A client that closes with something unread does so by a reset, as if it had been killed. */
static void on_send_failed(struct request_client *client) {
        requestclient_end(client, HANDOFF_NOT_WAITED);
}

static void go_on_sending(struct request_client *client) {
        struct buf *out = &client->out;
        ssize_t n = send(client->connection->fd, out->data + client->out_sent, out->size - client->out_sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN) {
                on_send_failed(client);
                return;
        }
        if (n <= 0)
                return;
        client->from_target += (uint64_t)n;
        client->out_sent += (size_t)n;
        if (client->out_sent < out->size) {
                requestclient_move(client, REQUEST_SENDING);
                return;
        }
        buf_deinit(out);
        client->out_sent = 0;
        on_sent(client);
}

/* Sends an answer, or what stands for one. */
static void say(struct request_client *client, const char *data, size_t size) {
        ssize_t n = size > 0 ? send(client->connection->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

        if (n < 0 && errno != EAGAIN) {
                on_send_failed(client);
                return;
        }
        client->from_target += n > 0 ? (uint64_t)n : 0;
        if (n == (ssize_t)size) {
                on_sent(client);
                return;
        }
        buf_add(&client->out, data + MAX_OF(n, 0), size - (size_t)MAX_OF(n, 0));
        requestclient_move(client, REQUEST_SENDING);
        client->is_watched_out = true;
        if (buf_failed(&client->out) || requestclient_watch(client) < 0)
                requestclient_end(client, HANDOFF_RESET);
}

void requestclient_answer(struct request_client *client, const char *data, size_t size) {
        client->worker = NULL;
        requests_count(client, HANDOFF_ANSWER_REPLIED);
        requestclient_move(client, REQUEST_SENDING);
        say(client, data, size);
}

void requestclient_fail(struct request_client *client, enum handoff_answer answer, int error) {
        const char *text = requests_setup(client->requests)->error;

        if (client->step == REQUEST_WAITING)
                requestclient_forget(client, client->request_size);
        client->worker = NULL;
        client->error = error;
        /* Who hears nothing would wait for ever. */
        if (text[0] == '\0')
                client->closes = true;
        requests_count(client, answer);
        requestclient_move(client, REQUEST_SENDING);
        say(client, text, strlen(text));
}

/* Nobody knows where the next one begins. */
static void refuse_long(struct request_client *client) {
        client->begun = requests_now(client->requests);
        client->closes = true;
        client->from_client += unread(client);
        requestclient_fail(client, HANDOFF_ANSWER_FAILED, -EMSGSIZE);
}

/* Nobody may wait: but a worker that can be started for it takes it at once. */
static bool give_to_new_worker(struct request_client *client, size_t size) {
        struct requests *requests = client->requests;
        struct pool *pool = &requests->pool;

        if (!list_is_empty(&requests->waiting))
                return false;
        pool_need(pool, pool->busy_count + 1, requests_now(requests));
        if (!requestworker_give(client, client->in.data + client->in_used, size))
                return false;
        client->is_delayed = true;
        requestclient_forget(client, size);
        return true;
}

/* It waits for a worker, in what it has been read into. */
static void wait_for_worker(struct request_client *client, size_t size) {
        struct requests *requests = client->requests;

        client->request_size = size;
        if (requests->waiting_count >= requests_setup(requests)->queue) {
                if (give_to_new_worker(client, size))
                        return;
                requestclient_forget(client, size);
                requestclient_fail(client, HANDOFF_ANSWER_FAILED, -ENOBUFS);
                return;
        }
        client->is_delayed = true;
        requestclient_move(client, REQUEST_WAITING);
        requests_need(requests);
        requestworker_dispatch(requests);
        if (client->step == REQUEST_WAITING)
                requests_look_soon(requests);
}

static void begin(struct request_client *client) {
        client->begun = requests_now(client->requests);
        client->is_delayed = false;
        list_remove(&client->ready_link);
}

/* What was read before: whether a request is there. */
static bool begin_kept(struct request_client *client) {
        const struct handoff_request *setup = requests_setup(client->requests);
        const char *data = buf_text(&client->in) + client->in_used;
        size_t size = framing_find(&setup->end, data, unread(client), &client->in_scanned);

        if (size > setup->max_size || (size == 0 && unread(client) >= setup->max_size)) {
                refuse_long(client);
                return true;
        }
        if (size == 0)
                return false;
        begin(client);
        client->from_client += size;
        if (list_is_empty(&client->requests->waiting) && requestworker_give(client, data, size))
                requestclient_forget(client, size);
        else
                wait_for_worker(client, size);
        return true;
}

/* One request alone, as most are, goes on as it was read. */
static bool begin_read(struct request_client *client, const char *data, size_t size) {
        const struct handoff_request *setup = requests_setup(client->requests);

        if (client->in.size > 0 || size > setup->max_size || !list_is_empty(&client->requests->waiting) ||
            framing_find(&setup->end, data, size, &(size_t){0}) != size)
                return false;
        begin(client);
        if (!requestworker_give(client, data, size))
                return false;
        client->from_client += size;
        return true;
}

/* The end of what it sends: a request that is not complete is none. */
static void on_end(struct request_client *client) {
        client->has_ended = true;
        if (unread(client) > 0)
                requestclient_end(client, HANDOFF_NOT_WAITED);
        else
                end_well(client);
}

static void read_once(struct request_client *client) {
        char data[READ_SIZE];
        ssize_t n = recv(client->connection->fd, data, sizeof(data), MSG_DONTWAIT);

        if (n == 0) {
                on_end(client);
        } else if (n < 0 && errno == EAGAIN) {
                client->is_readable = false;
        } else if (n < 0) {
                requestclient_end(client, HANDOFF_RESET);
        } else {
                requestclient_move(client, REQUEST_READING);
                if (!begin_read(client, data, (size_t)n) && !keep_read(client, data, (size_t)n))
                        requestclient_end(client, HANDOFF_RESET);
        }
}

static void linger(struct request_client *client) {
        char data[READ_SIZE];

        for (unsigned i = 0; i < READS_MAX; i++) {
                ssize_t n = recv(client->connection->fd, data, sizeof(data), MSG_DONTWAIT);

                if (n < 0 && errno == EAGAIN)
                        return;
                if (n <= 0) {
                        end_well(client);
                        return;
                }
        }
        put_into_turn(client);
}

void requestclient_go_on(struct request_client *client) {
        if (client->is_resumed) {
                client->is_resumed = false;
                if (requestclient_watch(client) < 0)
                        requestclient_end(client, HANDOFF_RESET);
        }
        if (client->step == REQUEST_LINGERING)
                linger(client);
        if (client->step != REQUEST_READING || client->is_in_turn)
                return;
        client->is_in_turn = true;
        for (unsigned i = 0; client->step == REQUEST_READING; i++) {
                if (unread(client) > 0 && begin_kept(client))
                        continue;
                if (!client->is_readable)
                        break;
                if (i >= READS_MAX) {
                        put_into_turn(client);
                        break;
                }
                read_once(client);
        }
        client->is_in_turn = false;
        if (client->step == REQUEST_READING && requestclient_watch(client) < 0)
                requestclient_end(client, HANDOFF_RESET);
}

/* Of an AF_UNIX client a hang-up says no more than an end does of a TCP one; but it cannot be answered any more. */
static bool has_left(const struct request_client *client, uint32_t events) {
        return events & (EPOLLERR | EPOLLHUP) && (client->step == REQUEST_WAITING || client->step == REQUEST_SERVED);
}

static void note(struct request_client *client, uint32_t events) {
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                client->is_readable = true;
        if (has_left(client, events))
                requestclient_end(client, HANDOFF_NOT_WAITED);
        else if (client->step == REQUEST_SENDING)
                go_on_sending(client);
        else
                requestclient_go_on(client);
}

static int on_io(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events, void *userdata) {
        struct request_client *client = userdata;
        struct requests *requests = client->requests;

        requests_enter(requests);
        note(client, events);
        requests_deliver(requests);
        return 0;
}

int requestclient_watch(struct request_client *client) {
        const uint32_t events = EPOLLIN | EPOLLRDHUP | EPOLLET | (client->is_watched_out ? EPOLLOUT : 0u);
        uint32_t old;
        int r;

        if (!client->io) {
                r = sd_event_add_io(client->requests->handoff.setup.host->event, &client->io, client->connection->fd,
                                    events, on_io, client);
                return r < 0 ? err_raise(r) : 0;
        }
        r = sd_event_source_get_io_events(client->io, &old);
        if (r >= 0 && old != events)
                r = sd_event_source_set_io_events(client->io, events);
        return r < 0 ? err_raise(r) : 0;
}

int requestclient_take(struct requests *requests, struct connection *connection) {
        struct request_client *client = requestclient_new(requests, connection);

        if (!client)
                return err_raise(-ENOMEM);
        if (requests_setup(requests)->keep_alive)
                setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        read_once(client);
        /* What it had sent has begun already; a shortage of what watches it then is its end. */
        if (client->step == REQUEST_READING && client->in.size == 0) {
                int r = requestclient_watch(client);

                if (r < 0) {
                        requestclient_free(client);
                        return r;
                }
        }
        requests->handoff.connection_count++;
        requestclient_go_on(client);
        return 0;
}

void requestclient_resume(struct request_client *client, enum request_step step, usec_t since) {
        requestclient_move(client, step);
        client->since = since;
        client->is_watched_out = step == REQUEST_SENDING;
        client->is_resumed = true;
        put_into_turn(client);
}
