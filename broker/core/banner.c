#include "core/banner.h"

#include "core/manager.h"

#include <errno.h>
#include <sys/socket.h>

#define PARTING_PATIENCE (2 * USEC_PER_SEC)
#define PARTINGS_MAX 64
#define DRAIN_MAX 65536 /* bytes a client may go on sending for each time we look */

/* Whether it arrives is the client's affair. */
static bool say(const struct connection *connection, const char *data, size_t size) {
        (void)!send(connection->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        return true;
}

bool banner_send(const struct connection *connection, const struct banner_def *banner) {
        return banner && banner->size > 0 && say(connection, banner->data, banner->size);
}

bool banner_say(const struct connection *connection, const char *text) {
        return say(connection, text, strlen(text));
}

static void finish(struct manager *manager, struct connection *own_connection) {
        connection_close(own_connection);
        manager_return_connection(manager, own_connection);
}

/* Takes what is there out of the socket. Returns whether more may come. */
static bool drain(const struct connection *connection) {
        char data[4096];
        ssize_t n;

        for (size_t taken = 0; taken < DRAIN_MAX; taken += (size_t)n) {
                n = recv(connection->fd, data, sizeof(data), MSG_DONTWAIT);
                if (n <= 0)
                        return n < 0 && errno == EAGAIN;
        }
        return false;
}

static void on_word(struct waiter *waiter, bool gone) {
        struct manager *manager = container_of(waiter->list, struct manager, partings);

        if (!drain(waiter->connection) || gone)
                finish(manager, waitlist_remove(waiter));
}

static void on_late(struct waiter *waiter) {
        struct manager *manager = container_of(waiter->list, struct manager, partings);

        finish(manager, waitlist_remove(waiter));
}

void banner_partings_init(struct waitlist *list) {
        waitlist_init(list);
        list->patience = PARTING_PATIENCE;
        list->on_word = on_word;
        list->on_late = on_late;
}

void banner_part(struct manager *manager, struct connection *own_connection) {
        shutdown(own_connection->fd, SHUT_WR);
        if (!drain(own_connection) || manager->partings.count >= PARTINGS_MAX ||
            waitlist_add(&manager->partings, NULL, own_connection) < 0)
                finish(manager, own_connection);
}
