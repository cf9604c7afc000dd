#include "base/rate.h"
#include "unit.h"

static void test_window(void **state UNUSED) {
        const struct rate_limit limit = {.burst = 3, .interval = 100};
        struct rate rate = {0};

        assert_true(rate_take(&rate, &limit, 1000));
        assert_true(rate_take(&rate, &limit, 1050));
        assert_true(rate_take(&rate, &limit, 1099));
        assert_false(rate_take(&rate, &limit, 1099));
        assert_true(rate_take(&rate, &limit, 1100));
        rate_reset(&rate);
        assert_true(rate_take(&rate, &limit, 1100));
}

static void test_unlimited(void **state UNUSED) {
        const struct rate_limit limit = {0};
        struct rate rate = {0};

        for (int i = 0; i < 1000; i++)
                assert_true(rate_take(&rate, &limit, 0));
}

int main(void) {
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_window), cmocka_unit_test(test_unlimited)};

        return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
