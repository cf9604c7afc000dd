#include "core/blocklist.h"
#include "unit.h"

#include <string.h>

static struct prefix ipv4(uint32_t number, uint8_t bits) {
        struct prefix prefix = {.family = AF_INET, .bits = 32};

        for (int i = 0; i < 4; i++)
                prefix.address[i] = (uint8_t)(number >> (24 - 8 * i));
        prefix_mask(&prefix, bits);
        return prefix;
}

static void test_until(void **state UNUSED) {
        struct prefix a = ipv4(0x0a000001, 32), b = ipv4(0x0a000002, 32);
        struct blocklist list;

        blocklist_init(&list);
        assert_false(blocklist_has(&list, &a, 100));
        assert_int_equal(blocklist_add(&list, &a, 200), 1);
        assert_true(blocklist_has(&list, &a, 199));
        assert_false(blocklist_has(&list, &b, 199));
        assert_int_equal(blocklist_add(&list, &a, 300), 0);
        assert_true(blocklist_has(&list, &a, 299));
        assert_false(blocklist_has(&list, &a, 300));
        assert_int_equal(list.count, 0);
        /* A sensor for less must not be the way out of one for more. */
        assert_int_equal(blocklist_add(&list, &b, 500), 1);
        assert_int_equal(blocklist_add(&list, &b, 400), 0);
        assert_true(blocklist_has(&list, &b, 499));
        blocklist_deinit(&list);
}

/* Two sensors need not agree on what one source is. */
static void test_lengths(void **state UNUSED) {
        struct prefix net = ipv4(0x0a010000, 16), host = ipv4(0x0a020304, 32);
        struct prefix in_net = ipv4(0x0a01ffff, 32), beside = ipv4(0x0a020305, 32);
        struct blocklist list;

        blocklist_init(&list);
        blocklist_add(&list, &net, 200);
        blocklist_add(&list, &host, 200);
        assert_true(blocklist_has(&list, &in_net, 0));
        assert_true(blocklist_has(&list, &host, 0));
        assert_false(blocklist_has(&list, &beside, 0));
        blocklist_deinit(&list);
}

static void test_bound(void **state UNUSED) {
        struct prefix first = ipv4(1, 32), second = ipv4(2, 32), source;
        struct blocklist list;

        blocklist_init(&list);
        for (uint32_t i = 1; i <= BLOCKLIST_MAX; i++) {
                source = ipv4(i, 32);
                assert_int_equal(blocklist_add(&list, &source, USEC_INFINITY), 1);
        }
        /* Touched again, so another one has been quiet for longest. */
        assert_int_equal(blocklist_add(&list, &first, USEC_INFINITY), 0);
        source = ipv4(BLOCKLIST_MAX + 1, 32);
        assert_int_equal(blocklist_add(&list, &source, USEC_INFINITY), 1);
        assert_int_equal(list.count, BLOCKLIST_MAX);
        assert_true(blocklist_has(&list, &first, 1));
        assert_false(blocklist_has(&list, &second, 1));
        assert_true(blocklist_has(&list, &source, 1));
        blocklist_deinit(&list);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_until),
                cmocka_unit_test(test_lengths),
                cmocka_unit_test(test_bound),
        };

        return cmocka_run_group_tests_name("blocklist", tests, NULL, NULL);
}
