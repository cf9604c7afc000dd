#include "core/limits.h"
#include "unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static struct connection from(const char *address) {
        struct connection connection = {.fd = -1};

        if (strchr(address, ':')) {
                connection.peer.in6.sin6_family = AF_INET6;
                inet_pton(AF_INET6, address, &connection.peer.in6.sin6_addr);
        } else {
                connection.peer.in.sin_family = AF_INET;
                inet_pton(AF_INET, address, &connection.peer.in.sin_addr);
        }
        return connection;
}

/* Counts CONNECTION, which may have at most LIMIT like it. Returns a source_outcome. */
static int take(struct limits *limits, struct connection *connection, uint32_t limit) {
        struct prefix source;

        connection_source(connection, &source);
        return limits_take_ticket(limits, connection, &source, limit);
}

static void test_instances(void **state UNUSED) {
        struct connection a = from("10.0.0.1"), b = from("10.0.0.2"), c = from("10.0.0.3");
        struct limits limits;

        limits_init(&limits);
        limits_set(&limits, 2);
        assert_true(limits_take_place(&limits, &a));
        assert_true(limits_take_place(&limits, &a));
        assert_int_equal(limits.taken, 1);
        assert_false(limits_is_full(&limits));
        assert_true(limits_take_place(&limits, &b));
        assert_true(limits_is_full(&limits));
        assert_false(limits_take_place(&limits, &c));
        limits_return(&limits, &c);
        assert_int_equal(limits.taken, 2);
        limits_return(&limits, &a);
        assert_true(limits_take_place(&limits, &c));
        limits_deinit(&limits);
}

static void test_per_source(void **state UNUSED) {
        struct connection a = from("10.0.0.1"), same = from("10.0.0.1"), mapped = from("::ffff:10.0.0.1");
        struct connection other = from("2001:db8::1");
        struct limits limits;

        limits_init(&limits);
        assert_int_equal(take(&limits, &a, 1), SOURCE_OK);
        assert_int_equal(take(&limits, &same, 1), SOURCE_FULL);
        assert_int_equal(take(&limits, &mapped, 1), SOURCE_FULL);
        assert_int_equal(take(&limits, &other, 1), SOURCE_OK);
        limits_return(&limits, &a);
        assert_int_equal(take(&limits, &mapped, 1), SOURCE_OK);
        limits_return(&limits, &mapped);
        limits_return(&limits, &other);
        assert_null(limits.sources);
        limits_deinit(&limits);
}

/* A reload may turn the counting of sources on or off while connections are being served. */
static void test_change(void **state UNUSED) {
        struct connection a = from("10.0.0.1"), b = from("10.0.0.1"), c = from("10.0.0.1");
        struct limits limits;

        limits_init(&limits);
        assert_int_equal(take(&limits, &a, UINT32_MAX), SOURCE_OK);
        assert_int_equal(take(&limits, &b, 1), SOURCE_OK);
        assert_int_equal(take(&limits, &c, 1), SOURCE_FULL);
        assert_int_equal(take(&limits, &c, UINT32_MAX), SOURCE_OK);
        limits_return(&limits, &b);
        limits_return(&limits, &c);
        limits_return(&limits, &a);
        assert_null(limits.sources);
        limits_deinit(&limits);
}

static void test_many(void **state UNUSED) {
        static struct connection connections[5000];
        struct limits limits;
        char address[32];

        limits_init(&limits);
        for (int round = 0; round < 3; round++) {
                for (int i = 0; i < 5000; i++) {
                        snprintf(address, sizeof(address), "10.%d.%d.%d", round, i / 250, i % 250 + 1);
                        connections[i] = from(address);
                        assert_int_equal(take(&limits, &connections[i], 2), SOURCE_OK);
                }
                for (int i = 0; i < 5000; i++)
                        limits_return(&limits, &connections[i]);
                /* What is kept for later is bounded. */
                assert_in_range(limits.idle_count, 1, 1024);
        }
        assert_null(limits.sources);
        limits_deinit(&limits);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_instances),
                cmocka_unit_test(test_per_source),
                cmocka_unit_test(test_change),
                cmocka_unit_test(test_many),
        };

        return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
