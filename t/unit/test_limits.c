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

static void test_instances(void **state UNUSED) {
        struct connection a = from("10.0.0.1"), b = from("10.0.0.2"), c = from("10.0.0.3");
        struct limits limits;

        limits_init(&limits);
        limits_set(&limits, 2, UINT32_MAX);
        assert_int_equal(limits_admit(&limits, &a), ADMIT_OK);
        assert_false(limits_is_full(&limits));
        assert_int_equal(limits_admit(&limits, &b), ADMIT_OK);
        assert_true(limits_is_full(&limits));
        assert_int_equal(limits_admit(&limits, &c), ADMIT_FULL);
        limits_return(&limits, &a);
        assert_int_equal(limits_admit(&limits, &c), ADMIT_OK);
        limits_deinit(&limits);
}

static void test_per_source(void **state UNUSED) {
        struct connection a = from("10.0.0.1"), same = from("10.0.0.1"), mapped = from("::ffff:10.0.0.1");
        struct connection other = from("2001:db8::1");
        struct limits limits;

        limits_init(&limits);
        limits_set(&limits, UINT32_MAX, 1);
        assert_int_equal(limits_admit(&limits, &a), ADMIT_OK);
        assert_int_equal(limits_admit(&limits, &same), ADMIT_SOURCE_FULL);
        assert_int_equal(limits_admit(&limits, &mapped), ADMIT_SOURCE_FULL);
        assert_int_equal(limits_admit(&limits, &other), ADMIT_OK);
        assert_int_equal(limits.taken, 2);
        limits_return(&limits, &a);
        assert_int_equal(limits_admit(&limits, &mapped), ADMIT_OK);
        limits_return(&limits, &mapped);
        limits_return(&limits, &other);
        assert_int_equal(limits.taken, 0);
        limits_deinit(&limits);
}

/* A reload may turn the counting of sources on or off while connections are being served. */
static void test_change(void **state UNUSED) {
        struct connection a = from("10.0.0.1"), b = from("10.0.0.1"), c = from("10.0.0.1");
        struct limits limits;

        limits_init(&limits);
        limits_set(&limits, 10, UINT32_MAX);
        assert_int_equal(limits_admit(&limits, &a), ADMIT_OK);
        limits_set(&limits, 10, 1);
        assert_int_equal(limits_admit(&limits, &b), ADMIT_OK);
        assert_int_equal(limits_admit(&limits, &c), ADMIT_SOURCE_FULL);
        limits_set(&limits, 10, UINT32_MAX);
        assert_int_equal(limits_admit(&limits, &c), ADMIT_OK);
        limits_return(&limits, &b);
        limits_return(&limits, &c);
        limits_return(&limits, &a);
        assert_int_equal(limits.taken, 0);
        limits_deinit(&limits);
}

static void test_many(void **state UNUSED) {
        static struct connection connections[5000];
        struct limits limits;
        char address[32];

        limits_init(&limits);
        limits_set(&limits, UINT32_MAX, 2);
        for (int round = 0; round < 3; round++) {
                for (int i = 0; i < 5000; i++) {
                        snprintf(address, sizeof(address), "10.%d.%d.%d", round, i / 250, i % 250 + 1);
                        connections[i] = from(address);
                        assert_int_equal(limits_admit(&limits, &connections[i]), ADMIT_OK);
                }
                for (int i = 0; i < 5000; i++)
                        limits_return(&limits, &connections[i]);
        }
        assert_int_equal(limits.taken, 0);
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
