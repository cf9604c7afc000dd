/* The queue of connections: who waits, who was taken, and who is taken back while others take. */
#include "unit.h"

#include "net/passqueue.h"
#include "sockbroker/sockbroker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct connection *connect_unix(int *far) {
        struct connection *connection = calloc(1, sizeof(*connection));
        int fds[2];

        assert_non_null(connection);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        connection->fd = fds[0];
        connection->peer.sa.sa_family = AF_UNIX;
        connection->peer_size = sizeof(sa_family_t);
        connection->cred.uid = 7;
        *far = fds[1];
        return connection;
}

static void take(struct passqueue *queue, int far) {
        struct broker_connection *got;

        assert_int_equal(broker_receive(queue->read_fd, &got), 1);
        assert_int_equal(write(far, "x", 1), 1);
        assert_int_equal(read(broker_connection_fd(got), (char[1]){0}, 1), 1);
        assert_string_equal(broker_connection_get(got, "IPCREMOTEEUID"), "7");
        broker_connection_free(got);
}

static void release(struct connection *connection, int far) {
        connection_close(connection);
        free(connection);
        close(far);
}

static void test_order(void **state UNUSED) {
        struct connection *connections[40];
        struct passqueue queue;
        int far[40];

        assert_int_equal(passqueue_open(&queue, 40), 0);
        assert_yes(queue.capacity >= 40);
        assert_no(passqueue_is_dismissing(&queue));
        for (size_t i = 0; i < 40; i++) {
                connections[i] = connect_unix(&far[i]);
                assert_int_equal(passqueue_put(&queue, connections[i]), 0);
                assert_int_equal(connections[i]->fd, -EBADF);
        }
        assert_int_equal(passqueue_waiting(&queue), 40);
        assert_null(passqueue_next_taken(&queue));
        for (size_t i = 0; i < 30; i++)
                take(&queue, far[i]);
        assert_int_equal(passqueue_known(&queue), 40);
        assert_int_equal(passqueue_waiting(&queue), 10);
        for (size_t i = 0; i < 30; i++)
                assert_ptr_equal(passqueue_next_taken(&queue), connections[i]);
        assert_null(passqueue_next_taken(&queue));
        for (size_t i = 30; i < 40; i++) {
                assert_ptr_equal(passqueue_take_back(&queue), connections[i]);
                assert_yes(connections[i]->fd >= 0);
        }
        assert_null(passqueue_take_back(&queue));
        for (size_t i = 0; i < 40; i++)
                release(connections[i], far[i]);
        passqueue_close(&queue);
}

/* What a worker takes between two looks of ours. */
static void test_race(void **state UNUSED) {
        struct connection *connections[4];
        struct passqueue queue;
        int far[4];

        assert_int_equal(passqueue_open(&queue, 4), 0);
        for (size_t i = 0; i < 4; i++) {
                connections[i] = connect_unix(&far[i]);
                assert_int_equal(passqueue_put(&queue, connections[i]), 0);
        }
        take(&queue, far[0]);
        take(&queue, far[1]);
        assert_ptr_equal(passqueue_take_back(&queue), connections[2]);
        assert_ptr_equal(passqueue_next_taken(&queue), connections[0]);
        take(&queue, far[3]);
        assert_null(passqueue_take_back(&queue));
        assert_ptr_equal(passqueue_next_taken(&queue), connections[1]);
        assert_ptr_equal(passqueue_next_taken(&queue), connections[3]);
        assert_int_equal(queue.bytes, 0);
        for (size_t i = 0; i < 4; i++)
                release(connections[i], far[i]);
        passqueue_close(&queue);
}

static void test_line_feeds(void **state UNUSED) {
        struct broker_connection *got;
        struct connection *connection;
        struct passqueue queue;
        int far;

        assert_int_equal(passqueue_open(&queue, 1), 0);
        connection = connect_unix(&far);
        strcpy(connection->peer.un.sun_path, "/a\nREMOTE_ADDR=10.0.0.1");
        connection->peer_size = sizeof(connection->peer.un);
        assert_int_equal(passqueue_put(&queue, connection), 0);
        assert_int_equal(broker_receive(queue.read_fd, &got), 1);
        assert_string_equal(broker_connection_get(got, "REMOTE_ADDR"), "/a?REMOTE_ADDR=10.0.0.1");
        broker_connection_free(got);
        assert_int_equal(passqueue_waiting(&queue), 0);
        release(passqueue_next_taken(&queue), far);
        passqueue_close(&queue);
}

static void test_dismissal(void **state UNUSED) {
        struct broker_connection *got;
        struct connection *connection;
        struct passqueue queue;
        int far;

        assert_int_equal(passqueue_open(&queue, 1), 0);
        assert_yes(passqueue_dismiss_one(&queue));
        assert_yes(passqueue_is_dismissing(&queue));
        connection = connect_unix(&far);
        assert_int_equal(passqueue_put(&queue, connection), 0);
        assert_yes(passqueue_is_dismissing(&queue));
        assert_int_equal(broker_receive(queue.read_fd, &got), 0);
        assert_no(passqueue_is_dismissing(&queue));
        assert_int_equal(passqueue_waiting(&queue), 1);
        /* One more, in the way of what is taken back. */
        assert_yes(passqueue_dismiss_one(&queue));
        assert_ptr_equal(passqueue_take_back(&queue), connection);
        assert_int_equal(broker_receive(queue.read_fd, &got), 0);
        assert_no(passqueue_is_dismissing(&queue));
        assert_int_equal(passqueue_put(&queue, connection), 0);
        assert_no(passqueue_is_shut(&queue));
        passqueue_end(&queue);
        assert_yes(passqueue_is_shut(&queue));
        take(&queue, far);
        assert_int_equal(broker_receive(queue.read_fd, &got), 0);
        assert_int_equal(passqueue_waiting(&queue), 0);
        assert_ptr_equal(passqueue_next_taken(&queue), connection);
        release(connection, far);
        passqueue_close(&queue);
}

static void test_shut_down(void **state UNUSED) {
        struct passqueue queue, other;
        struct connection *connections[2], *late;
        int far[2], late_far;

        assert_int_equal(passqueue_open(&queue, 2), 0);
        for (size_t i = 0; i < 2; i++) {
                connections[i] = connect_unix(&far[i]);
                assert_int_equal(passqueue_put(&queue, connections[i]), 0);
        }
        take(&queue, far[0]);
        assert_int_equal(shutdown(queue.read_fd, SHUT_RDWR), 0);
        late = connect_unix(&late_far);
        assert_int_equal(passqueue_put(&queue, late), -EPIPE);
        assert_yes(late->fd >= 0);
        assert_ptr_equal(passqueue_take_back(&queue), connections[1]);
        assert_int_equal(passqueue_open(&other, 2), 0);
        assert_int_equal(passqueue_move_taken(&queue, &other), 0);
        assert_int_equal(passqueue_put(&other, connections[1]), 0);
        assert_int_equal(passqueue_waiting(&other), 1);
        assert_ptr_equal(passqueue_next_taken(&other), connections[0]);
        take(&other, far[1]);
        assert_int_equal(passqueue_waiting(&other), 0);
        assert_ptr_equal(passqueue_next_taken(&other), connections[1]);
        for (size_t i = 0; i < 2; i++)
                release(connections[i], far[i]);
        release(late, late_far);
        passqueue_close(&queue);
        passqueue_close(&other);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),     cmocka_unit_test(test_race),      cmocka_unit_test(test_line_feeds),
                cmocka_unit_test(test_dismissal), cmocka_unit_test(test_shut_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
