/* What built-ins say, one connection of theirs between two sockets, which clients are known, and datagrams. */
#include "unit.h"

#include "handoff/builtins.h"
#include "handoff/builtintext.h"
#include "handoff/datagrams.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
        struct handoff_builtin setup;
        struct builtins builtins;
        struct connection connection;
        struct builtin builtin;
        char pattern[BUILTIN_PATTERN_SIZE];
        int far;
};

static int set_up(void **state) {
        struct fixture *fixture = calloc(1, sizeof(*fixture));
        int fds[2];

        assert_non_null(fixture);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        builtintext_pattern(fixture->pattern);
        fixture->connection.fd = fds[0];
        fixture->far = fds[1];
        fixture->builtins.handoff.setup.builtin = &fixture->setup;
        fixture->builtins.pattern = fixture->pattern;
        fixture->builtin.builtins = &fixture->builtins;
        fixture->builtin.connection = &fixture->connection;
        *state = fixture;
        return 0;
}

static int tear_down(void **state) {
        struct fixture *fixture = *state;

        close(fixture->connection.fd);
        if (fixture->far >= 0)
                close(fixture->far);
        free(fixture->builtin.name);
        free(fixture);
        return 0;
}

static enum builtin_verdict pump(struct fixture *fixture) {
        bool moved;

        return builtin_pump(&fixture->builtin, &moved);
}

static void say(int fd, const char *text) {
        assert_int_equal(send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL), strlen(text));
}

static void assert_arrives(int fd, const char *text) {
        char data[64];
        ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

        assert_int_equal(n, strlen(text));
        assert_memory_equal(data, text, strlen(text));
}

static void test_daytime(void **state UNUSED) {
        char text[BUILTIN_DAYTIME_SIZE + 1];

        setenv("TZ", "UTC", 1);
        tzset();
        builtintext_daytime(1795281235, text);
        assert_string_equal(text, "Sat Nov 21 17:13:55 2026\r\n");
        builtintext_daytime(0, text);
        assert_string_equal(text, "Thu Jan  1 00:00:00 1970\r\n");
        assert_int_equal(strlen(text), BUILTIN_DAYTIME_SIZE);
}

/* The examples of RFC 868. */
static void test_time(void **state UNUSED) {
        char text[BUILTIN_TIME_SIZE];
        uint32_t seconds;

        builtintext_time(0, text);
        memcpy(&seconds, text, sizeof(seconds));
        assert_int_equal(ntohl(seconds), 2208988800);
        builtintext_time(420595200, text);
        memcpy(&seconds, text, sizeof(seconds));
        assert_int_equal(ntohl(seconds), 2629584000);
        builtintext_time((time_t)UINT32_MAX - 2208988800 + 1, text);
        assert_memory_equal(text, "\0\0\0\0", 4);
}

static void test_pattern(void **state) {
        struct fixture *fixture = *state;

        assert_memory_equal(fixture->pattern, " !\"#", 4);
        assert_memory_equal(fixture->pattern + 72, "\r\n!\"#", 5);
        assert_memory_equal(fixture->pattern + 94 * 74, "~ !", 3);
        assert_memory_equal(fixture->pattern + BUILTIN_PATTERN_SIZE - 2, "\r\n", 2);
}

static void test_echo(void **state) {
        struct fixture *fixture = *state;
        bool moved;

        assert_int_equal(builtin_pump(&fixture->builtin, &moved), BUILTIN_IDLE);
        assert_false(moved);
        say(fixture->far, "hello");
        assert_int_equal(builtin_pump(&fixture->builtin, &moved), BUILTIN_IDLE);
        assert_true(moved);
        assert_arrives(fixture->far, "hello");
        say(fixture->far, "last");
        shutdown(fixture->far, SHUT_WR);
        assert_int_equal(pump(fixture), BUILTIN_DONE);
        assert_arrives(fixture->far, "last");
        assert_int_equal(fixture->builtin.received, 9);
        assert_int_equal(fixture->builtin.sent, 9);
}

/* What does not fit is left with whoever sends. */
static void test_echo_full(void **state) {
        struct fixture *fixture = *state;
        char data[4096] = "x";
        uint64_t sent = 0, got = 0;
        ssize_t n;
        int full = 0;

        setsockopt(fixture->connection.fd, SOL_SOCKET, SO_SNDBUF, &(int){4096}, sizeof(int));
        for (int i = 0; i < 1000 && full < 3; i++) {
                n = send(fixture->far, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL);
                sent += n > 0 ? (uint64_t)n : 0;
                full += pump(fixture) == BUILTIN_FULL;
        }
        assert_int_equal(full, 3);
        assert_true(fixture->builtin.received < sent);
        assert_int_equal(fixture->builtin.received, fixture->builtin.sent);
        shutdown(fixture->far, SHUT_WR);
        do {
                enum builtin_verdict verdict = pump(fixture);

                while ((n = recv(fixture->far, data, sizeof(data), MSG_DONTWAIT)) > 0)
                        got += (uint64_t)n;
                if (verdict == BUILTIN_DONE)
                        break;
                assert_true(verdict == BUILTIN_FULL || verdict == BUILTIN_BUSY);
        } while (got < sent);
        assert_int_equal(got, sent);
}

static void test_reset(void **state) {
        struct fixture *fixture = *state;

        say(fixture->far, "hello");
        close(fixture->far);
        fixture->far = -1;
        assert_int_equal(pump(fixture), BUILTIN_RESET);
}

static void test_discard(void **state) {
        struct fixture *fixture = *state;

        fixture->setup.kind = HANDOFF_BUILTIN_DISCARD;
        say(fixture->far, "hello");
        assert_int_equal(pump(fixture), BUILTIN_IDLE);
        assert_int_equal(fixture->builtin.received, 5);
        shutdown(fixture->far, SHUT_WR);
        assert_int_equal(pump(fixture), BUILTIN_DONE);
        assert_int_equal(fixture->builtin.sent, 0);
}

static void test_chargen(void **state) {
        struct fixture *fixture = *state;
        char data[1000];
        size_t at = 0;

        fixture->setup.kind = HANDOFF_BUILTIN_CHARGEN;
        say(fixture->far, "ignored");
        shutdown(fixture->far, SHUT_WR);
        for (int i = 0; i < 100; i++) {
                enum builtin_verdict verdict = pump(fixture);

                assert_true(verdict == BUILTIN_FULL || verdict == BUILTIN_BUSY);
                for (int j = 0; j < 40; j++) {
                        ssize_t n = recv(fixture->far, data, sizeof(data), MSG_DONTWAIT);

                        for (ssize_t k = 0; k < n; k++)
                                assert_int_equal(data[k], fixture->pattern[at++ % BUILTIN_PATTERN_SIZE]);
                }
        }
        assert_true(at > 3 * BUILTIN_PATTERN_SIZE);
        assert_int_equal(fixture->builtin.received, 7);
        close(fixture->far);
        fixture->far = -1;
        assert_int_equal(pump(fixture), BUILTIN_RESET);
}

static void test_names(void **state) {
        struct fixture *fixture = *state;
        struct builtin *builtin = &fixture->builtin;

        builtin->step = BUILTIN_ASKING;
        assert_int_equal(pump(fixture), BUILTIN_IDLE);
        say(fixture->far, "ec");
        assert_int_equal(pump(fixture), BUILTIN_IDLE);
        assert_int_equal(builtin->received, 0);
        say(fixture->far, "ho\r\nand more");
        assert_int_equal(pump(fixture), BUILTIN_ASKED);
        assert_string_equal(builtin->name, "echo");
        assert_arrives(fixture->connection.fd, "and more");
        free(take_ptr(builtin->name));
        say(fixture->far, "HeLp\n");
        assert_int_equal(pump(fixture), BUILTIN_ASKED);
        assert_null(builtin->name);
}

static void test_no_names(void **state) {
        struct fixture *fixture = *state;
        char data[300];

        fixture->builtin.step = BUILTIN_ASKING;
        memset(data, 'x', sizeof(data));
        assert_int_equal(send(fixture->far, data, 255, 0), 255);
        assert_int_equal(pump(fixture), BUILTIN_IDLE);
        assert_int_equal(send(fixture->far, data, 1, 0), 1);
        assert_int_equal(pump(fixture), BUILTIN_UNASKED);
        assert_int_equal(send(fixture->far, "a\0b\n", 4, 0), 4);
        assert_int_equal(pump(fixture), BUILTIN_UNASKED);
        say(fixture->far, "\r\n");
        assert_int_equal(pump(fixture), BUILTIN_UNASKED);
        say(fixture->far, "half");
        shutdown(fixture->far, SHUT_WR);
        fixture->builtin.input_over = true;
        assert_int_equal(pump(fixture), BUILTIN_UNASKED);
}

static void test_say_last(void **state) {
        struct fixture *fixture = *state;

        say(fixture->far, "not read yet");
        builtin_say_last(&fixture->builtin, "bye", 3);
        assert_int_equal(fixture->builtin.sent, 3);
        assert_arrives(fixture->far, "bye");
        assert_arrives(fixture->far, "");
}

static union sockaddr_any address(const char *host) {
        union sockaddr_any sa = {.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(4000)}};

        if (inet_pton(AF_INET6, host, &sa.in6.sin6_addr) == 1)
                return sa;
        sa = (union sockaddr_any){.in = {.sin_family = AF_INET, .sin_port = htons(4000)}};
        assert_int_equal(inet_pton(AF_INET, host, &sa.in.sin_addr), 1);
        return sa;
}

static void test_seen(void **state UNUSED) {
        struct builtinseen *seen = builtinseen_new();
        const union sockaddr_any client = address("192.0.2.1"), mapped = address("::ffff:192.0.2.1");
        const union sockaddr_any other = address("192.0.2.2"), nobody = {.sa.sa_family = AF_VSOCK};
        const usec_t now = 1000 * USEC_PER_SEC;

        assert_non_null(seen);
        assert_false(builtinseen_has(seen, &client, now));
        builtinseen_note(seen, &client, now);
        assert_true(builtinseen_has(seen, &client, now));
        assert_true(builtinseen_has(seen, &mapped, now));
        assert_false(builtinseen_has(seen, &other, now));
        assert_true(builtinseen_has(seen, &client, now + 599 * USEC_PER_SEC));
        assert_false(builtinseen_has(seen, &client, now + 600 * USEC_PER_SEC));
        builtinseen_note(seen, &nobody, now);
        assert_false(builtinseen_has(seen, &nobody, now));
        builtinseen_free(seen);
}

static void test_loopback(void **state UNUSED) {
        static const char *const local[] = {"127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"};
        static const char *const far[] = {"128.0.0.1", "0.0.0.0", "::", "::ffff:10.0.0.1", "fe80::1", "::127.0.0.1"};
        const union sockaddr_any path = {.sa.sa_family = AF_UNIX}, machine = {.sa.sa_family = AF_VSOCK};
        union sockaddr_any sa;

        for (size_t i = 0; i < LENGTH_OF(local); i++) {
                sa = address(local[i]);
                assert_true(addr_is_loopback(&sa));
        }
        for (size_t i = 0; i < LENGTH_OF(far); i++) {
                sa = address(far[i]);
                assert_false(addr_is_loopback(&sa));
        }
        assert_true(addr_is_loopback(&path));
        assert_false(addr_is_loopback(&machine));
}

static int bind_udp(const char *host, union sockaddr_any *ret) {
        socklen_t size = sizeof(ret->in);
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        *ret = address(host);
        ret->in.sin_port = 0;
        assert_int_equal(bind(fd, &ret->sa, size), 0);
        assert_int_equal(getsockname(fd, &ret->sa, &size), 0);
        return fd;
}

static void test_datagrams(void **state UNUSED) {
        struct datagrams *datagrams = datagrams_new();
        union sockaddr_any here, there, from;
        int fd = bind_udp("0.0.0.0", &here), client = bind_udp("127.0.0.1", &there);
        socklen_t size = sizeof(from);
        char data[64];

        assert_non_null(datagrams);
        assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &(int){1}, sizeof(int)), 0);
        assert_int_equal(datagrams_receive(datagrams, fd, AF_INET, 16), -EAGAIN);
        assert_int_equal(inet_pton(AF_INET, "127.0.0.99", &here.in.sin_addr), 1);
        for (int i = 0; i < 20; i++)
                assert_int_equal(sendto(client, "hello", (size_t)i % 6, 0, &here.sa, sizeof(here.in)), i % 6);
        assert_int_equal(datagrams_receive(datagrams, fd, AF_INET, 100), DATAGRAMS_MAX);
        for (unsigned i = 0; i < DATAGRAMS_MAX; i++)
                assert_int_equal(datagrams_at(datagrams, i)->size, i % 6);
        datagrams_at(datagrams, 3)->answered = true;
        datagrams_answer(datagrams, fd, DATAGRAMS_MAX);
        assert_int_equal(recvfrom(client, data, sizeof(data), 0, &from.sa, &size), 3);
        assert_int_equal(from.in.sin_addr.s_addr, here.in.sin_addr.s_addr);
        assert_int_equal(recv(client, data, sizeof(data), MSG_DONTWAIT), -1);
        assert_int_equal(datagrams_receive(datagrams, fd, AF_INET, 3), 3);
        datagrams_free(datagrams);
        close(client);
        close(fd);
}

/* Descriptors that come along are not for us. */
static void test_descriptors(void **state UNUSED) {
        struct datagrams *datagrams = datagrams_new();
        union {
                struct cmsghdr head;
                char data[CMSG_SPACE(sizeof(int))];
        } control = {.head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
        char byte = 'x';
        struct iovec iov = {.iov_base = &byte, .iov_len = 1};
        struct msghdr message = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
        int fds[2], before, after;

        assert_non_null(datagrams);
        assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
        before = dup(fds[0]);
        close(before);
        memcpy(CMSG_DATA(&control.head), &fds[0], sizeof(int));
        assert_int_equal(sendmsg(fds[1], &message, 0), 1);
        assert_int_equal(datagrams_receive(datagrams, fds[0], AF_UNIX, 1), 1);
        assert_int_equal(datagrams_at(datagrams, 0)->peer_size, 0);
        after = dup(fds[0]);
        assert_int_equal(after, before);
        close(after);
        close(fds[0]);
        close(fds[1]);
        datagrams_free(datagrams);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_daytime),
                cmocka_unit_test(test_time),
                WITH(test_pattern),
                WITH(test_echo),
                WITH(test_echo_full),
                WITH(test_reset),
                WITH(test_discard),
                WITH(test_chargen),
                WITH(test_names),
                WITH(test_no_names),
                WITH(test_say_last),
                cmocka_unit_test(test_seen),
                cmocka_unit_test(test_loopback),
                cmocka_unit_test(test_datagrams),
                cmocka_unit_test(test_descriptors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
