#include "unit.h"

#include "import/unitvalue.h"

static void duration(const char *text, usec_t expected) {
        usec_t value = 0;

        assert_yes(unitvalue_duration(text, &value));
        assert_yes(value == expected);
}

static void test_durations(void **state UNUSED) {
        usec_t value;

        duration("5", 5 * USEC_PER_SEC);
        duration("0", 0);
        duration("1.5", 1500 * USEC_PER_MSEC);
        duration("5min 20s", 320 * USEC_PER_SEC);
        duration("5min20s", 320 * USEC_PER_SEC);
        duration("2 min 200ms", 120200 * USEC_PER_MSEC);
        duration("1h 30m", 5400 * USEC_PER_SEC);
        duration("100us 1usec 1\xc2\xb5s", 102);
        duration("1w 1d", 8 * 86400 * USEC_PER_SEC);
        duration("1month", 2629800 * USEC_PER_SEC);
        duration("1M", 2629800 * USEC_PER_SEC);
        duration("0.25min", 15 * USEC_PER_SEC);
        duration("  infinity", USEC_INFINITY);
        assert_no(unitvalue_duration("", &value));
        assert_no(unitvalue_duration("soon", &value));
        assert_no(unitvalue_duration("5 parsecs", &value));
        duration(".5", 500 * USEC_PER_MSEC);
        assert_no(unitvalue_duration("5.", &value));
        duration(".5", 500 * USEC_PER_MSEC);
        assert_no(unitvalue_duration("99999999999999999999", &value));
        assert_no(unitvalue_duration("18446744073709551615d", &value));
}

static void test_sizes(void **state UNUSED) {
        uint64_t value;

        assert_yes(unitvalue_size("0", &value) && value == 0);
        assert_yes(unitvalue_size("4294967295", &value) && value == UINT32_MAX);
        assert_yes(unitvalue_size("8M", &value) && value == 8 << 20);
        assert_yes(unitvalue_size("64 K", &value) && value == 65536);
        assert_yes(unitvalue_size("10B", &value) && value == 10);
        assert_yes(unitvalue_size("1.5G", &value) && value == UINT64_C(3) << 29);
        assert_yes(unitvalue_size("0.5 K", &value) && value == 512);
        assert_yes(unitvalue_size("1G 512M", &value) && value == UINT64_C(3) << 29);
        assert_yes(unitvalue_size("1K 1", &value) && value == 1025);
        assert_no(unitvalue_size("512M 1G", &value));
        assert_no(unitvalue_size("1.G.5", &value));
        assert_no(unitvalue_size(".5G", &value));
        assert_no(unitvalue_size("", &value));
        assert_no(unitvalue_size("-1", &value));
        assert_no(unitvalue_size("1KB", &value));
        assert_no(unitvalue_size("16E", &value));
        assert_no(unitvalue_size("99999999999999999999", &value));
}

static void test_integers(void **state UNUSED) {
        int64_t value;

        assert_yes(unitvalue_integer("-20", -20, 19, &value) && value == -20);
        assert_yes(unitvalue_integer("+5", -20, 19, &value) && value == 5);
        assert_yes(unitvalue_integer("0x10", 0, 255, &value) && value == 16);
        assert_no(unitvalue_integer("20", -20, 19, &value));
        assert_no(unitvalue_integer("1x", 0, 9, &value));
        assert_no(unitvalue_integer("", 0, 9, &value));
        assert_no(unitvalue_integer("+", 0, 9, &value));
        assert_no(unitvalue_integer("99999999999999999999", 0, INT64_MAX, &value));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_durations),
                cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_integers),
        };

        return cmocka_run_group_tests_name("unitvalue", tests, NULL, NULL);
}
