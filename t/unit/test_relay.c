/* One relay between two socket pairs: what moves, what is held back, how it ends; with pipes and without. */
#include "unit.h"

#include "handoff/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
        struct pipes pipes;
        struct relay relay;
        int client, target; /* the far ends */
};

static void open_pair(struct relay_end *end, int *far) {
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        *end = (struct relay_end){.fd = fds[0], .readable = true, .writable = true};
        *far = fds[1];
}

static int set_up(void **state) {
        struct fixture *fixture = calloc(1, sizeof(*fixture));

        assert_non_null(fixture);
        pipes_init(&fixture->pipes);
        fixture->relay.step = RELAY_RUNNING;
        open_pair(&fixture->relay.ends[RELAY_CLIENT], &fixture->client);
        open_pair(&fixture->relay.ends[RELAY_TARGET], &fixture->target);
        *state = fixture;
        return 0;
}

static int tear_down(void **state) {
        struct fixture *fixture = *state;

        relay_settle(&fixture->relay, &fixture->pipes, false);
        pipes_deinit(&fixture->pipes);
        close(fixture->relay.ends[RELAY_CLIENT].fd);
        close(fixture->relay.ends[RELAY_TARGET].fd);
        if (fixture->client >= 0)
                close(fixture->client);
        if (fixture->target >= 0)
                close(fixture->target);
        free(fixture);
        return 0;
}

static enum relay_verdict pump(struct fixture *fixture) {
        bool moved;

        return relay_pump(&fixture->relay, &fixture->pipes, &moved);
}

static void assert_arrives(int fd, const char *text) {
        char data[64];
        ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

        assert_int_equal(n, strlen(text));
        assert_memory_equal(data, text, strlen(text));
}

static void say(int fd, const char *text) {
        assert_int_equal(send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL), strlen(text));
}

static void check_both_ways(struct fixture *fixture) {
        struct relay *relay = &fixture->relay;
        bool moved;

        assert_int_equal(relay_pump(relay, &fixture->pipes, &moved), RELAY_IDLE);
        assert_false(moved);
        assert_false(relay->ends[RELAY_CLIENT].readable);
        say(fixture->client, "there");
        relay_note(relay, RELAY_CLIENT, EPOLLIN);
        assert_int_equal(relay_pump(relay, &fixture->pipes, &moved), RELAY_IDLE);
        assert_true(moved);
        assert_arrives(fixture->target, "there");
        say(fixture->target, "and back");
        relay_note(relay, RELAY_TARGET, EPOLLIN);
        assert_int_equal(pump(fixture), RELAY_IDLE);
        assert_arrives(fixture->client, "and back");
        assert_int_equal(relay->directions[RELAY_CLIENT].bytes, 5);
        assert_int_equal(relay->directions[RELAY_TARGET].bytes, 8);
        assert_null(relay->directions[RELAY_CLIENT].pipe);
        assert_null(relay->directions[RELAY_TARGET].pipe);
}

static void check_ends(struct fixture *fixture) {
        struct relay *relay = &fixture->relay;

        shutdown(fixture->client, SHUT_WR);
        relay_note(relay, RELAY_CLIENT, EPOLLIN | EPOLLRDHUP);
        assert_int_equal(pump(fixture), RELAY_IDLE);
        assert_true(relay->directions[RELAY_CLIENT].over);
        assert_arrives(fixture->target, "");
        say(fixture->target, "late");
        shutdown(fixture->target, SHUT_WR);
        relay_note(relay, RELAY_TARGET, EPOLLIN | EPOLLRDHUP);
        assert_int_equal(pump(fixture), RELAY_DONE);
        assert_arrives(fixture->client, "late");
}

static void test_both_ways(void **state) {
        struct fixture *fixture = *state;

        check_both_ways(fixture);
        assert_int_equal(fixture->pipes.idle_count, 1);
        check_ends(fixture);
}

/* No descriptor is left for a pipe. */
static void test_without_pipe(void **state) {
        struct fixture *fixture = *state;
        struct rlimit before, none;

        getrlimit(RLIMIT_NOFILE, &before);
        none = (struct rlimit){3, before.rlim_max};
        setrlimit(RLIMIT_NOFILE, &none);
        assert_null(pipes_take(&fixture->pipes));
        check_both_ways(fixture);
        check_ends(fixture);
        setrlimit(RLIMIT_NOFILE, &before);
}

/* Fills what there is of room between the client and a target that does not read. */
static size_t push(struct fixture *fixture) {
        static const char block[64 << 10];
        size_t sent = 0;

        for (;;) {
                ssize_t n = send(fixture->client, block, sizeof(block), MSG_DONTWAIT);

                if (n > 0)
                        sent += (size_t)n;
                relay_note(&fixture->relay, RELAY_CLIENT, EPOLLIN);
                while (pump(fixture) == RELAY_BUSY)
                        ;
                if (n < 0)
                        return sent;
        }
}

static void check_back_pressure(struct fixture *fixture) {
        char data[64 << 10];
        size_t sent = push(fixture), got = 0;
        struct relay *relay = &fixture->relay;

        assert_true(sent < 8 << 20);
        assert_false(relay->ends[RELAY_TARGET].writable);
        assert_true(!relay->directions[RELAY_CLIENT].pipe || relay->directions[RELAY_CLIENT].pipe->size > 0);
        /* The other way is not held back by it. */
        say(fixture->target, "still");
        relay_note(relay, RELAY_TARGET, EPOLLIN);
        assert_int_equal(pump(fixture), RELAY_IDLE);
        assert_arrives(fixture->client, "still");
        while (got < sent) {
                ssize_t n = recv(fixture->target, data, sizeof(data), MSG_DONTWAIT);

                if (n > 0)
                        got += (size_t)n;
                else
                        assert_true(n < 0 && errno == EAGAIN);
                relay_note(relay, RELAY_TARGET, EPOLLOUT);
                while (pump(fixture) == RELAY_BUSY)
                        ;
        }
        assert_int_equal(got, sent);
        assert_null(relay->directions[RELAY_CLIENT].pipe);
}

static void test_back_pressure(void **state) {
        check_back_pressure(*state);
}

static void test_back_pressure_copied(void **state) {
        struct fixture *fixture = *state;

        fixture->relay.directions[RELAY_CLIENT].copies = true;
        check_back_pressure(fixture);
}

/* Whoever takes nothing any more is listened to until it has said all. */
static void test_last_words(void **state) {
        struct fixture *fixture = *state;

        assert_int_equal(pump(fixture), RELAY_IDLE);
        say(fixture->target, "enough");
        close(fixture->target);
        fixture->target = -1;
        say(fixture->client, "more");
        relay_note(&fixture->relay, RELAY_CLIENT, EPOLLIN);
        relay_note(&fixture->relay, RELAY_TARGET, EPOLLIN | EPOLLOUT | EPOLLHUP);
        assert_int_equal(pump(fixture), RELAY_RESET);
        assert_arrives(fixture->client, "enough");
}

/* What is left in a pipe is never seen by whoever gets one next. */
static void test_leftover(void **state) {
        struct fixture *fixture = *state;
        struct relay_direction *direction = &fixture->relay.directions[RELAY_CLIENT];
        struct pipe *pipe;
        int left = -1;

        direction->pipe = pipe = pipes_take(&fixture->pipes);
        assert_non_null(pipe);
        assert_int_equal(write(pipe->write_fd, "secret", 6), 6);
        pipe->size = 6;
        relay_settle(&fixture->relay, &fixture->pipes, true);
        assert_null(direction->pipe);
        assert_int_equal(fixture->pipes.idle_count, 0);
        pipe = pipes_take(&fixture->pipes);
        assert_int_equal(ioctl(pipe->read_fd, FIONREAD, &left), 0);
        assert_int_equal(left, 0);
        pipes_return(&fixture->pipes, pipe);
        assert_int_equal(fixture->pipes.idle_count, 1);
}

/* A sender that was reset does not wait for a receiver that takes nothing. */
static void test_reset_while_blocked(void **state) {
        struct fixture *fixture = *state;

        assert_int_equal(pump(fixture), RELAY_IDLE);
        push(fixture);
        relay_note(&fixture->relay, RELAY_CLIENT, EPOLLIN | EPOLLHUP | EPOLLERR);
        assert_int_equal(pump(fixture), RELAY_RESET);
}

/* One relay does not keep the loop for itself. */
static void test_turns(void **state) {
        struct fixture *fixture = *state;

        fixture->relay.directions[RELAY_CLIENT].copies = true;
        for (int i = 0; i < 4; i++) {
                char block[16 << 10] = {0};

                assert_int_equal(send(fixture->client, block, sizeof(block), MSG_DONTWAIT), sizeof(block));
        }
        assert_int_equal(pump(fixture), RELAY_BUSY);
        assert_int_equal(pump(fixture), RELAY_IDLE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_both_ways, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_without_pipe, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_back_pressure, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_back_pressure_copied, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_last_words, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_leftover, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_reset_while_blocked, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_turns, set_up, tear_down),
        };

        /* As the broker has it: splice(2) has no MSG_NOSIGNAL. */
        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
