#include "activate/workers.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <sys/epoll.h>

#define LONG_LIFE USEC_PER_SEC /* who has lived for that long is replaced at once */
#define DELAY (100 * USEC_PER_MSEC)
#define DELAY_MAX (30 * USEC_PER_SEC)

/* The writing end can be written to all the time, and only its edges say that something was taken: poll(2) knows none,
 * epoll does. */
static int watch_room(const struct workers *workers, int write_fd) {
        struct epoll_event event = {.events = EPOLLOUT | EPOLLET};

        return epoll_ctl(workers->room_fd, EPOLL_CTL_ADD, write_fd, &event) < 0 ? err_raise(-errno) : 0;
}

int workers_init(struct workers *workers, size_t wanted) {
        int r;

        *workers = WORKERS_NULL;
        workers->wanted = wanted;
        r = passqueue_open(&workers->queue, wanted);
        if (r < 0)
                return r;
        workers->room_fd = epoll_create1(EPOLL_CLOEXEC);
        if (workers->room_fd < 0)
                return err_raise(-errno);
        return watch_room(workers, workers->queue.write_fd);
}

static void forget_taken(struct workers *workers) {
        struct connection *connection;

        while ((connection = passqueue_next_taken(&workers->queue)))
                free(connection);
}

void workers_deinit(struct workers *workers) {
        passqueue_note_taken(&workers->queue, passqueue_known(&workers->queue));
        forget_taken(workers);
        workers->room_fd = fd_close(workers->room_fd);
        passqueue_close(&workers->queue);
}

int workers_put(struct workers *workers, struct connection *connection) {
        struct connection *kept = copy_items(connection, 1, sizeof(*connection));
        int r = kept ? passqueue_put(&workers->queue, kept) : err_raise(-ENOMEM);

        if (r < 0) {
                free(kept);
                return r;
        }
        connection->fd = -EBADF;
        return 0;
}

/* Who waits and finds no memory is lost; there was memory for him in the old one a moment ago. */
int workers_replace_queue(struct workers *workers) {
        struct passqueue queue;
        struct connection *connection;
        int r = passqueue_open(&queue, workers->wanted);

        if (r == 0)
                r = watch_room(workers, queue.write_fd);
        if (r < 0) {
                passqueue_close(&queue);
                return r;
        }
        while ((connection = passqueue_take_back(&workers->queue)))
                if (passqueue_put(&queue, connection) < 0) {
                        connection_close(connection);
                        free(connection);
                }
        forget_taken(workers);
        epoll_ctl(workers->room_fd, EPOLL_CTL_DEL, workers->queue.write_fd, NULL);
        passqueue_close(&workers->queue);
        workers->queue = queue;
        return 0;
}

bool workers_are_short(const struct workers *workers, const struct children *children) {
        return children->count < workers->wanted;
}

bool workers_note_end(struct workers *workers, usec_t started_at) {
        usec_t now = clock_monotonic();

        if (now - started_at >= LONG_LIFE) {
                workers->delay = 0;
                workers->restart_at = now;
                return true;
        }
        /* Those that end together are one failure. */
        if (now < workers->restart_at)
                return false;
        workers->delay = workers->delay == 0 ? DELAY : MIN_OF(workers->delay * 2, DELAY_MAX);
        workers->restart_at = usec_add(now, workers->delay);
        return true;
}

bool workers_have_room(struct workers *workers, const struct children *children) {
        size_t most = MIN_OF(MAX_OF(children->count, (size_t)1), workers->queue.capacity);

        if (passqueue_known(&workers->queue) < most)
                return true;
        passqueue_waiting(&workers->queue);
        forget_taken(workers);
        return passqueue_known(&workers->queue) < most;
}

bool workers_clear_room(struct workers *workers) {
        struct epoll_event event;

        return epoll_wait(workers->room_fd, &event, 1, 0) > 0 && event.events & EPOLLHUP;
}
