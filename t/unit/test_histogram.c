#include "base/histogram.h"
#include "unit.h"

static void test_classes(void **state UNUSED) {
        struct histogram h = {0};

        histogram_add(&h, 0);
        histogram_add(&h, 100);
        histogram_add(&h, 101);
        histogram_add(&h, USEC_INFINITY - 1);
        assert_int_equal(h.classes[0], 2);
        assert_int_equal(h.classes[1], 1);
        assert_int_equal(h.classes[HISTOGRAM_CLASSES - 1], 1);
        assert_int_equal(h.count, 4);
}

static void test_bounds_grow(void **state UNUSED) {
        for (size_t i = 1; i < HISTOGRAM_CLASSES; i++)
                assert_true(histogram_bounds[i] > histogram_bounds[i - 1]);
        assert_string_equal(histogram_names[0], "to_100us");
        assert_true(histogram_bounds[8] == 100 * USEC_PER_MSEC);
        assert_string_equal(histogram_names[8], "to_100ms");
        assert_true(histogram_bounds[HISTOGRAM_CLASSES - 2] == 300 * USEC_PER_SEC);
        assert_string_equal(histogram_names[HISTOGRAM_CLASSES - 2], "to_5min");
        assert_string_equal(histogram_names[HISTOGRAM_CLASSES - 1], "longer");
        assert_true(histogram_bounds[HISTOGRAM_CLASSES - 1] == USEC_INFINITY);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_classes),
                cmocka_unit_test(test_bounds_grow),
        };

        return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
