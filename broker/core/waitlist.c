#include "core/waitlist.h"

#include "base/clock.h"
#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>

#define IDLE_MAX 256

void waitlist_init(struct waitlist *list) {
        list_init(&list->waiting);
        list_init(&list->idle);
        list->count = list->idle_count = 0;
        list->timer = NULL;
}

static struct waiter *waiter_free(struct waiter *waiter) {
        list_remove(&waiter->link);
        sd_event_source_disable_unref(waiter->io);
        free(waiter);
        return NULL;
}

void waitlist_deinit(struct waitlist *list) {
        struct waiter *waiter;

        while ((waiter = list_first(&list->waiting, struct waiter, link))) {
                struct connection *connection = waitlist_remove(waiter);

                connection_close(connection);
                free(connection);
        }
        while ((waiter = list_first(&list->idle, struct waiter, link)))
                waiter_free(waiter);
        list->timer = sd_event_source_disable_unref(list->timer);
}

static int on_io(sd_event_source *source UNUSED, int fd UNUSED, uint32_t revents, void *userdata) {
        struct waiter *waiter = userdata;

        waiter->list->on_word(waiter, (revents & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
        return 0;
}

static void arm_timer(struct waitlist *list);

static int on_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        struct waitlist *list = userdata;
        struct waiter *waiter;

        while ((waiter = list_first(&list->waiting, struct waiter, link)) && waiter->late_at <= clock_monotonic())
                list->on_late(waiter);
        arm_timer(list);
        return 0;
}

/* For the oldest; left alone when that one goes early, since the next is due soon after. */
static void arm_timer(struct waitlist *list) {
        struct waiter *first = list_first(&list->waiting, struct waiter, link);

        if (!first)
                return;
        if (!list->timer) {
                sd_event_add_time(list->event, &list->timer, CLOCK_MONOTONIC, first->late_at, 0, on_timer, list);
                return;
        }
        sd_event_source_set_time(list->timer, first->late_at);
        sd_event_source_set_enabled(list->timer, SD_EVENT_ONESHOT);
}

static int watch(struct waiter *waiter, int fd) {
        int r;

        if (!waiter->io)
                return sd_event_add_io(waiter->list->event, &waiter->io, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, on_io,
                                       waiter);
        r = sd_event_source_set_io_fd(waiter->io, fd);
        return r < 0 ? r : sd_event_source_set_enabled(waiter->io, SD_EVENT_ON);
}

static struct waiter *take_idle(struct waitlist *list) {
        struct waiter *waiter = list_first(&list->idle, struct waiter, link);

        if (waiter) {
                list_remove(&waiter->link);
                list->idle_count--;
                return waiter;
        }
        waiter = calloc(1, sizeof(*waiter));
        if (waiter) {
                list_init(&waiter->link);
                waiter->list = list;
        }
        return waiter;
}

static void put_idle(struct waiter *waiter) {
        struct waitlist *list = waiter->list;

        waiter->connection = NULL;
        waiter->service = NULL;
        if (list->idle_count >= IDLE_MAX) {
                waiter_free(waiter);
                return;
        }
        list_append(&list->idle, &waiter->link);
        list->idle_count++;
}

int waitlist_add(struct waitlist *list, struct service *service, struct connection *connection) {
        return waitlist_add_until(list, service, connection, clock_monotonic() + list->patience);
}

int waitlist_add_until(struct waitlist *list, struct service *service, struct connection *connection, usec_t late_at) {
        struct waiter *waiter = take_idle(list);
        int r;

        if (!waiter)
                return err_raise(-ENOMEM);
        r = watch(waiter, connection->fd);
        if (r < 0) {
                put_idle(waiter);
                return err_raise(r);
        }
        waiter->service = service;
        waiter->connection = connection;
        waiter->late_at = late_at;
        list_append(&list->waiting, &waiter->link);
        if (list->count++ == 0)
                arm_timer(list);
        return 0;
}

struct connection *waitlist_remove(struct waiter *waiter) {
        struct connection *connection = waiter->connection;

        assert(connection);
        list_remove(&waiter->link);
        waiter->list->count--;
        /* Out of the epoll set while the descriptor is still open: a child on its way to exec may have a copy. */
        sd_event_source_set_enabled(waiter->io, SD_EVENT_OFF);
        put_idle(waiter);
        return connection;
}
