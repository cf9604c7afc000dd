#include "sockbroker/sockbroker.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX 4

struct queue {
        int ours, theirs;
        int open; /* the lowest free descriptor: nothing may be left open below it */
};

static int lowest_free(void) {
        int fd = dup(STDIN_FILENO);

        close(fd);
        return fd;
}

static int make_queue(void **state) {
        static struct queue queue;
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
                return -1;
        queue = (struct queue){.ours = pair[0], .theirs = pair[1], .open = lowest_free()};
        *state = &queue;
        return 0;
}

static int close_queue(void **state) {
        struct queue *queue = *state;
        int free_now = lowest_free();

        close(queue->ours);
        close(queue->theirs);
        return free_now == queue->open ? 0 : -1;
}

/* TEXT of SIZE bytes with FD_COUNT descriptors, all of /dev/null. */
static void send_message(const struct queue *queue, const char *text, size_t size, size_t fd_count) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
        } control = {0};
        struct iovec iov = {.iov_base = (void *)text, .iov_len = size};
        struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
        int null = open("/dev/null", O_RDWR | O_CLOEXEC), fds[FDS_MAX];

        assert(null >= 0 && fd_count <= FDS_MAX);
        for (size_t i = 0; i < FDS_MAX; i++)
                fds[i] = null;
        if (fd_count > 0) {
                message.msg_control = control.room;
                message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_RIGHTS;
                control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
                memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
        }
        assert_int_equal(sendmsg(queue->ours, &message, 0), size);
        close(null);
}

#define SEND(queue, text, fds) send_message((queue), (text), sizeof(text) - 1, (fds))

static void test_connection(void **state) {
        const struct queue *queue = *state;
        struct broker_connection *connection = NULL;
        char *const *entries;
        int fd;

        SEND(queue, "REMOTE_ADDR=192.0.2.1\nREMOTE_PORT=4242\nEMPTY=\nEQUALS=a=b\n", 1);
        assert_int_equal(broker_receive(queue->theirs, &connection), 1);
        fd = broker_connection_fd(connection);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        assert_string_equal(broker_connection_get(connection, "REMOTE_ADDR"), "192.0.2.1");
        assert_string_equal(broker_connection_get(connection, "REMOTE_PORT"), "4242");
        assert_string_equal(broker_connection_get(connection, "EMPTY"), "");
        assert_string_equal(broker_connection_get(connection, "EQUALS"), "a=b");
        assert_null(broker_connection_get(connection, "REMOTE"));
        assert_null(broker_connection_get(connection, "REMOTE_PORTS"));
        entries = broker_connection_environment(connection);
        assert_string_equal(entries[3], "EQUALS=a=b");
        assert_null(entries[4]);
        assert_null(broker_connection_free(connection));
        assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_taken(void **state) {
        const struct queue *queue = *state;
        struct broker_connection *connection;
        int fd;

        /* A last line without an end is one; so is a message without any. */
        SEND(queue, "A=1\nB=2", 1);
        SEND(queue, "", 1);
        assert_int_equal(broker_receive(queue->theirs, &connection), 1);
        assert_string_equal(broker_connection_get(connection, "B"), "2");
        fd = broker_connection_take_fd(connection);
        assert_true(broker_connection_fd(connection) < 0);
        broker_connection_free(connection);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        close(fd);
        assert_int_equal(broker_receive(queue->theirs, &connection), 1);
        assert_null(broker_connection_environment(connection)[0]);
        broker_connection_free(connection);
}

static void test_end(void **state) {
        struct queue *queue = *state;
        struct broker_connection *connection = NULL;

        assert_int_equal(broker_receive(queue->theirs, &connection), -EAGAIN);
        SEND(queue, "A=1\n", 1);
        shutdown(queue->ours, SHUT_RDWR);
        assert_int_equal(broker_receive(queue->theirs, &connection), 1);
        broker_connection_free(connection);
        connection = NULL;
        assert_int_equal(broker_receive(queue->theirs, &connection), 0);
        assert_null(connection);
        assert_int_equal(broker_receive(-1, &connection), -EBADF);
}

static void check_refused(const struct queue *queue, int error) {
        struct broker_connection *connection = NULL;

        assert_int_equal(broker_receive(queue->theirs, &connection), error);
        assert_null(connection);
        assert_int_equal(lowest_free(), queue->open);
}

/* Whatever is wrong, no descriptor stays open, and the next message is not touched. */
static void test_bad(void **state) {
        const struct queue *queue = *state;
        struct broker_connection *connection;

        SEND(queue, "A=1\n", 0);
        check_refused(queue, -EBADMSG);
        SEND(queue, "A=1\n", 2);
        check_refused(queue, -EBADMSG);
        SEND(queue, "A=1\n", 4);
        check_refused(queue, -EBADMSG);
        SEND(queue, "A=1\nnonsense\n", 1);
        check_refused(queue, -EBADMSG);
        SEND(queue, "=1\n", 1);
        check_refused(queue, -EBADMSG);
        SEND(queue, "A=1\n\nB=2\n", 1);
        check_refused(queue, -EBADMSG);
        SEND(queue, "A=\0\n", 1);
        check_refused(queue, -EBADMSG);
        SEND(queue, "A=1\n", 1);
        assert_int_equal(broker_receive(queue->theirs, &connection), 1);
        broker_connection_free(connection);
}

static void test_long(void **state) {
        const struct queue *queue = *state;
        size_t size = 40000;
        char *text = malloc(size);

        assert_non_null(text);
        memset(text, 'x', size);
        memcpy(text, "A=", 2);
        send_message(queue, text, size, 1);
        free(text);
        check_refused(queue, -EMSGSIZE);
}

static void test_no_descriptor(void **state) {
        const struct queue *queue = *state;
        struct broker_connection *connection = NULL;
        struct rlimit before, none;
        int r;

        SEND(queue, "A=1\n", 1);
        getrlimit(RLIMIT_NOFILE, &before);
        none = (struct rlimit){.rlim_cur = (rlim_t)queue->open, .rlim_max = before.rlim_max};
        setrlimit(RLIMIT_NOFILE, &none);
        r = broker_receive(queue->theirs, &connection);
        setrlimit(RLIMIT_NOFILE, &before);
        assert_int_equal(r, -EMFILE);
        assert_null(connection);
}

#define QUEUE_TEST(test) cmocka_unit_test_setup_teardown(test, make_queue, close_queue)

int main(void) {
        const struct CMUnitTest tests[] = {
                QUEUE_TEST(test_connection), QUEUE_TEST(test_taken), QUEUE_TEST(test_end),
                QUEUE_TEST(test_bad),        QUEUE_TEST(test_long),  QUEUE_TEST(test_no_descriptor),
        };

        return cmocka_run_group_tests_name("receive", tests, NULL, NULL);
}
