#include "unit.h"

#include "net/connenv.h"

#include <arpa/inet.h>
#include <errno.h>

static const char *value_of(const struct connenv *env, const char *name) {
        size_t n = strlen(name);

        for (size_t i = 0; i < env->count; i++)
                if (strncmp(env->items[i], name, n) == 0 && env->items[i][n] == '=')
                        return env->items[i] + n + 1;
        return NULL;
}

static struct connection ip_connection(int protocol) {
        struct connection connection = {
                .fd = -EBADF,
                .protocol = protocol,
                .local_known = true,
                .peer.in = {.sin_family = AF_INET, .sin_port = htons(4000)},
                .local.in = {.sin_family = AF_INET, .sin_port = htons(80)},
        };

        inet_pton(AF_INET, "192.0.2.1", &connection.peer.in.sin_addr);
        inet_pton(AF_INET, "192.0.2.2", &connection.local.in.sin_addr);
        return connection;
}

static void test_tcp(void **state UNUSED) {
        static const int protocols[] = {0, IPPROTO_TCP, IPPROTO_MPTCP};

        for (size_t i = 0; i < LENGTH_OF(protocols); i++) {
                struct connection connection = ip_connection(protocols[i]);
                struct connenv env;

                assert_int_equal(connenv_fill(&connection, &env), 0);
                assert_string_equal(value_of(&env, "PROTO"), "TCP");
                assert_string_equal(value_of(&env, "REMOTE_ADDR"), "192.0.2.1");
                assert_string_equal(value_of(&env, "TCPREMOTEPORT"), "4000");
                assert_string_equal(value_of(&env, "TCPLOCALIP"), "192.0.2.2");
        }
}

static void test_sctp(void **state UNUSED) {
        struct connection connection = ip_connection(IPPROTO_SCTP);
        struct connenv env;

        assert_int_equal(connenv_fill(&connection, &env), 0);
        assert_string_equal(value_of(&env, "PROTO"), "SCTP");
        assert_string_equal(value_of(&env, "REMOTE_PORT"), "4000");
        assert_string_equal(value_of(&env, "SERVER_ADDR"), "192.0.2.2");
        assert_null(value_of(&env, "TCPREMOTEIP"));
        assert_null(value_of(&env, "TCPLOCALPORT"));
}

static void test_vsock(void **state UNUSED) {
        struct connection connection = {
                .fd = -EBADF,
                .local_known = true,
                .peer.vm = {.svm_family = AF_VSOCK, .svm_cid = 4294967294, .svm_port = 4294967294},
                .local.vm = {.svm_family = AF_VSOCK, .svm_cid = 2, .svm_port = 80},
        };
        char peer[CONNECTION_PEER_MAX];
        struct prefix key, other;
        struct connenv env;

        assert_int_equal(connenv_fill(&connection, &env), 0);
        assert_string_equal(value_of(&env, "PROTO"), "VSOCK");
        assert_string_equal(value_of(&env, "REMOTE_ADDR"), "vsock:4294967294");
        assert_string_equal(value_of(&env, "REMOTE_PORT"), "4294967294");
        assert_string_equal(value_of(&env, "SERVER_ADDR"), "vsock:2");
        assert_string_equal(value_of(&env, "SERVER_PORT"), "80");
        assert_string_equal(env.remote_addr, "vsock:4294967294");
        connection_format_peer(&connection, peer);
        assert_string_equal(peer, "vsock:4294967294:4294967294");
        connection_source(&connection, &key);
        connection.peer.vm.svm_port = 1;
        connection_source(&connection, &other);
        assert_memory_equal(&key, &other, sizeof(key));
        connection.peer.vm.svm_cid = 3;
        connection_source(&connection, &other);
        assert_memory_not_equal(&key, &other, sizeof(key));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tcp),
                cmocka_unit_test(test_sctp),
                cmocka_unit_test(test_vsock),
        };

        return cmocka_run_group_tests_name("connenv", tests, NULL, NULL);
}
