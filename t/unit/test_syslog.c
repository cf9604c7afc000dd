#include "base/syslog.h"
#include "unit.h"

#include <string.h>

static void test_line(void **state UNUSED) {
        const struct syslog_head head = {.level = LOG_LEVEL_WARNING, .time = 1000000000, .pid = 42};
        AUTO(buf_deinit) struct buf line = BUF_NULL;

        setenv("TZ", "UTC", 1);
        tzset();
        syslog_format(&line, &head, "it\nis",
                      LOG_FIELDS(LOG_STRING("service", "web"), LOG_STRING("peer", "a b\x1b"), LOG_STRING("none", NULL),
                                 LOG_INTEGER("pid", 7)));
        assert_string_equal(buf_text(&line),
                            "<28>Sep  9 01:46:40 broker[42]: web: it\\x0ais peer=\"a b\\u001b\" pid=7");
}

/* It is cut, and not within a character. */
static void test_long(void **state UNUSED) {
        const struct syslog_head head = {.level = LOG_LEVEL_ERROR, .time = 0, .pid = 1};

        for (size_t lead = 0; lead < 3; lead++) {
                AUTO(buf_deinit) struct buf line = BUF_NULL;
                AUTO(buf_deinit) struct buf text = BUF_NULL;

                buf_add(&text, "xxx", lead);
                while (text.size < SYSLOG_SIZE_MAX)
                        buf_add_string(&text, "€");
                syslog_format(&line, &head, buf_text(&text), NULL);
                assert_in_range(line.size, SYSLOG_SIZE_MAX - 5, SYSLOG_SIZE_MAX);
                assert_string_equal(line.data + line.size - 6, "€...");
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_line),
                cmocka_unit_test(test_long),
        };

        return cmocka_run_group_tests_name("syslog", tests, NULL, NULL);
}
