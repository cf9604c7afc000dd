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

static void test_bucket(void **state UNUSED) {
        const struct rate_limit limit = {.burst = 4, .interval = 1000};
        struct bucket bucket = {0};

        for (int i = 0; i < 4; i++)
                assert_true(bucket_take(&bucket, &limit, 5000));
        assert_false(bucket_has_room(&bucket, &limit, 5000));
        assert_false(bucket_has_room(&bucket, &limit, 5249));
        assert_true(bucket_has_room(&bucket, &limit, 5250));
        assert_true(bucket_take(&bucket, &limit, 5250));
        assert_false(bucket_take(&bucket, &limit, 5250));
        /* Full again, and not more than that. */
        for (int i = 0; i < 4; i++)
                assert_true(bucket_take(&bucket, &limit, 900000));
        assert_false(bucket_take(&bucket, &limit, 900000));
}

/* Who takes without asking never owes more than all. */
static void test_bucket_overdrawn(void **state UNUSED) {
        const struct rate_limit limit = {.burst = 2, .interval = 1000};
        struct bucket bucket = {0};

        for (int i = 0; i < 100; i++)
                bucket_take(&bucket, &limit, 1);
        assert_true(bucket_take(&bucket, &limit, 501));
}

static void test_bucket_shares(void **state UNUSED) {
        const struct rate_limit third = {.burst = 3, .interval = 1000000}, dense = {.burst = 5000, .interval = 1000};
        struct bucket bucket = {0};

        /* An interval that does not divide evenly still has its whole burst. */
        for (int i = 0; i < 3; i++)
                assert_true(bucket_take(&bucket, &third, 0));
        assert_false(bucket_take(&bucket, &third, 0));
        /* More than one in a microsecond is one in a microsecond. */
        bucket = (struct bucket){0};
        for (int i = 0; i < 1000; i++)
                assert_true(bucket_take(&bucket, &dense, 0));
        assert_false(bucket_take(&bucket, &dense, 0));
}

static void test_bucket_unlimited(void **state UNUSED) {
        const struct rate_limit limit = {0};
        struct bucket bucket = {0};

        for (int i = 0; i < 1000; i++)
                assert_true(bucket_take(&bucket, &limit, 0));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_window),        cmocka_unit_test(test_unlimited),
                cmocka_unit_test(test_bucket),        cmocka_unit_test(test_bucket_overdrawn),
                cmocka_unit_test(test_bucket_shares), cmocka_unit_test(test_bucket_unlimited),
        };

        return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
