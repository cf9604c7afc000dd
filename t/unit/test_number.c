#include "unit.h"

#include "base/number.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>

static void test_integers(void **state UNUSED) {
        static const struct {
                const char *text;
                int outcome;
                int64_t value;
        } cases[] = {
                {"0", 0, 0},
                {"7", 0, 7},
                {"-5", 0, -5},
                {"+5", 0, 5},
                {"10", 0, 10},
                {"", -EINVAL, 0},
                {"-", -EINVAL, 0},
                {" 5", -EINVAL, 0},
                {"5 ", -EINVAL, 0},
                {"05", -EINVAL, 0},
                {"0x5", -EINVAL, 0},
                {"5.0", -EINVAL, 0},
                {"1e3", -EINVAL, 0},
                {"--5", -EINVAL, 0},
                {"11", -ERANGE, 0},
                {"-11", -ERANGE, 0},
                {"99999999999999999999", -ERANGE, 0},
        };

        for (size_t i = 0; i < LENGTH_OF(cases); i++) {
                int64_t value = 4711;

                assert_int_equal(number_parse(cases[i].text, -10, 10, &value), cases[i].outcome);
                assert_yes(value == (cases[i].outcome == 0 ? cases[i].value : 4711));
        }
}

static void test_booleans(void **state UNUSED) {
        bool value;

        assert_int_equal(number_parse_bool("yes", &value), 0);
        assert_yes(value);
        assert_int_equal(number_parse_bool("Off", &value), 0);
        assert_no(value);
        assert_int_equal(number_parse_bool("TRUE", &value), 0);
        assert_yes(value);
        assert_int_equal(number_parse_bool("1", &value), -EINVAL);
        assert_int_equal(number_parse_bool("", &value), -EINVAL);
        assert_int_equal(number_parse_bool("yess", &value), -EINVAL);
}

static void test_sizes(void **state UNUSED) {
        static const struct {
                const char *text;
                uint64_t value;
                const char *back;
        } cases[] = {
                {"0", 0, "0"},
                {"1", 1, "1"},
                {"1024", 1024, "1K"},
                {"64K", 65536, "64K"},
                {"64k", 65536, "64K"},
                {"1M", 1 << 20, "1M"},
                {"2G", UINT64_C(2) << 30, "2G"},
                {"1T", UINT64_C(1) << 40, "1T"},
                {"1500", 1500, "1500"},
                {"1048577", 1048577, "1048577"},
        };
        uint64_t value;

        for (size_t i = 0; i < LENGTH_OF(cases); i++) {
                AUTO(buf_deinit) struct buf text = BUF_NULL;

                assert_int_equal(number_parse_size(cases[i].text, &value), 0);
                assert_yes(value == cases[i].value);
                number_add_size(&text, value);
                assert_string_equal(buf_text(&text), cases[i].back);
        }
        assert_int_equal(number_parse_size("1KB", &value), -EINVAL);
        assert_int_equal(number_parse_size("K", &value), -EINVAL);
        assert_int_equal(number_parse_size("-1", &value), -EINVAL);
        assert_int_equal(number_parse_size("1.5M", &value), -EINVAL);
        assert_int_equal(number_parse_size("99999999T", &value), -ERANGE);
}

static void test_durations(void **state UNUSED) {
        static const struct {
                const char *text;
                usec_t value;
                const char *back;
        } cases[] = {
                {"0", 0, "0s"},
                {"5", 5 * USEC_PER_SEC, "5s"},
                {"2.5", 2500000, "2500ms"},
                {"0.000001", 1, "1us"},
                {"500ms", 500000, "500ms"},
                {"1500us", 1500, "1500us"},
                {"1000ms", USEC_PER_SEC, "1s"},
                {"90s", 90 * USEC_PER_SEC, "90s"},
                {"5min", 300 * USEC_PER_SEC, "5min"},
                {"5m", 300 * USEC_PER_SEC, "5min"},
                {"1h30min", 5400 * USEC_PER_SEC, "90min"},
                {"2d", 172800 * USEC_PER_SEC, "2d"},
                {"36h", 129600 * USEC_PER_SEC, "36h"},
                {"infinity", USEC_INFINITY, "infinity"},
        };
        usec_t value;

        for (size_t i = 0; i < LENGTH_OF(cases); i++) {
                AUTO(buf_deinit) struct buf text = BUF_NULL;
                usec_t again;

                assert_int_equal(number_parse_duration(cases[i].text, &value), 0);
                assert_yes(value == cases[i].value);
                number_add_duration(&text, value);
                assert_string_equal(buf_text(&text), cases[i].back);
                assert_int_equal(number_parse_duration(buf_text(&text), &again), 0);
                assert_yes(again == value);
        }
        static const char *const bad[] = {"", "s", "5 s", "-5", "5sec", "1h 30min", "5.s", ".5", "1e3", "5S", "five"};

        for (size_t i = 0; i < LENGTH_OF(bad); i++)
                assert_int_equal(number_parse_duration(bad[i], &value), -EINVAL);
        assert_int_equal(number_parse_duration("99999999999999999999", &value), -ERANGE);
        assert_int_equal(number_parse_duration("999999999999999d", &value), -ERANGE);
}

static void test_rates(void **state UNUSED) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        struct rate_limit value;

        assert_int_equal(number_parse_rate("20/2s", &value), 0);
        assert_int_equal(value.burst, 20);
        assert_yes(value.interval == 2 * USEC_PER_SEC);
        number_add_rate(&text, &value);
        assert_string_equal(buf_text(&text), "20/2s");
        assert_int_equal(number_parse_rate("unlimited", &value), 0);
        assert_int_equal(value.burst, 0);
        buf_clear(&text);
        number_add_rate(&text, &value);
        assert_string_equal(buf_text(&text), "unlimited");
        assert_int_equal(number_parse_rate("20", &value), -EINVAL);
        assert_int_equal(number_parse_rate("/2s", &value), -EINVAL);
        assert_int_equal(number_parse_rate("20/", &value), -EINVAL);
        assert_int_equal(number_parse_rate("20/2s/3", &value), -EINVAL);
        assert_int_equal(number_parse_rate("0/2s", &value), -ERANGE);
        assert_int_equal(number_parse_rate("1/0", &value), -ERANGE);
        assert_int_equal(number_parse_rate("1/infinity", &value), -ERANGE);
        assert_int_equal(number_parse_rate("11111111111111111111111111/1s", &value), -EINVAL);
}

static void test_modes(void **state UNUSED) {
        mode_t value;

        assert_int_equal(number_parse_mode("022", &value), 0);
        assert_int_equal(value, 022);
        assert_int_equal(number_parse_mode("22", &value), 0);
        assert_int_equal(value, 022);
        assert_int_equal(number_parse_mode("07777", &value), 0);
        assert_int_equal(value, 07777);
        assert_int_equal(number_parse_mode("0", &value), 0);
        assert_int_equal(value, 0);
        assert_int_equal(number_parse_mode("", &value), -EINVAL);
        assert_int_equal(number_parse_mode("8", &value), -EINVAL);
        assert_int_equal(number_parse_mode("0x1", &value), -EINVAL);
        assert_int_equal(number_parse_mode("-1", &value), -EINVAL);
        assert_int_equal(number_parse_mode("17777", &value), -ERANGE);
        assert_int_equal(number_parse_mode("000000", &value), -ERANGE);
}

static void test_signals(void **state UNUSED) {
        static const struct {
                const char *text;
                int value;
        } cases[] = {
                {"TERM", SIGTERM}, {"SIGTERM", SIGTERM}, {"sigint", SIGINT},
                {"15", 15},        {"SIGUSR1", SIGUSR1}, {"HUP", SIGHUP},
        };
        int value;

        for (size_t i = 0; i < LENGTH_OF(cases); i++) {
                assert_int_equal(number_parse_signal(cases[i].text, &value), 0);
                assert_int_equal(value, cases[i].value);
        }
        assert_int_equal(number_parse_signal("SIGRTMIN+3", &value), 0);
        assert_int_equal(value, SIGRTMIN + 3);
        assert_int_equal(number_parse_signal("SIGRTMIN+99", &value), -EINVAL);
        assert_int_equal(number_parse_signal("0", &value), -EINVAL);
        assert_int_equal(number_parse_signal("SIG", &value), -EINVAL);
        assert_int_equal(number_parse_signal("", &value), -EINVAL);
        assert_int_equal(number_parse_signal("SIGSIGTERM", &value), -EINVAL);
        for (int s = 1; s <= SIGRTMAX; s++) {
                AUTO(buf_deinit) struct buf text = BUF_NULL;

                number_add_signal(&text, s);
                assert_int_equal(number_parse_signal(buf_text(&text), &value), 0);
                assert_int_equal(value, s);
        }
}

static void test_files(void **state UNUSED) {
        int64_t value = 7;

        assert_int_equal(number_read_file("/nonexistent", 0, 9, &value), -ENOENT);
        assert_int_equal(number_read_file("/dev/null", 0, 9, &value), -EINVAL);
        assert_int_equal(number_read_file("/proc/self/comm", 0, 9, &value), -EINVAL);
        assert_int_equal(number_read_file("/proc/sys/fs/nr_open", 0, 1, &value), -ERANGE);
        assert_int_equal(value, 7);
        assert_int_equal(number_read_file("/proc/sys/fs/nr_open", 1, INT64_MAX, &value), 0);
        assert_yes(value > 7);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_integers),  cmocka_unit_test(test_booleans), cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_durations), cmocka_unit_test(test_rates),    cmocka_unit_test(test_modes),
                cmocka_unit_test(test_signals),   cmocka_unit_test(test_files),
        };

        return cmocka_run_group_tests_name("number", tests, NULL, NULL);
}
