/* Ranges of the day: forms, ends, and midnight. */
#include "unit.h"

#include "base/dayranges.h"

static void reads_as(const char *text, unsigned from, unsigned to, const char *expected) {
        AUTO(buf_deinit) struct buf why = BUF_NULL, out = BUF_NULL;
        struct day_range range;

        if (!dayranges_parse(text, &range, &why))
                fail_msg("'%s' %s", text, buf_text(&why));
        assert_int_equal(range.from, from);
        assert_int_equal(range.to, to);
        dayranges_format(&range, &out);
        assert_string_equal(buf_text(&out), expected);
}

static void test_parse(void **state UNUSED) {
        reads_as("8:00-18:00", 480, 1080, "8:00-18:00");
        reads_as("08:05-18:09", 485, 1089, "8:05-18:09");
        reads_as("22:00-02:00", 1320, 120, "22:00-2:00");
        reads_as("0:00-24:00", 0, 1440, "0:00-24:00");
        reads_as("00:00-00:01", 0, 1, "0:00-0:01");
        reads_as("23:59-0:00", 1439, 0, "23:59-0:00");
}

static void test_refuse(void **state UNUSED) {
        static const char *const texts[] = {
                "",           "8:00",        "8-18",         "8:00-",        "-18:00",     "8:0-18:00",
                "8:00 -9:00", "8:00-9:00 ",  "8:60-9:00",    "8:00-24:01",   "8:00-25:00", "24:00-8:00",
                "8:00-8:00",  "0:00-0:00",   "008:00-9:00",  "8:000-9:00",   "8.00-9.00",  "+8:00-9:00",
                "8:00--9:00", "8:00-9:00pm", "8:00-9:00-10", "8:00:00-9:00", ":00-9:00",   "8:-9:00",
        };

        for (size_t i = 0; i < LENGTH_OF(texts); i++) {
                AUTO(buf_deinit) struct buf why = BUF_NULL;
                struct day_range range = {7, 7};

                if (dayranges_parse(texts[i], &range, &why))
                        fail_msg("'%s' was taken", texts[i]);
                assert_yes(why.size > 0);
                assert_int_equal(range.from, 7);
        }
}

static bool contains(const char *text, unsigned minute) {
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        struct day_range range;
        const struct day_ranges ranges = {.items = &range, .count = 1};

        assert_yes(dayranges_parse(text, &range, &why));
        return dayranges_contain(&ranges, minute);
}

static void test_contain(void **state UNUSED) {
        assert_no(contains("8:00-18:00", 479));
        assert_yes(contains("8:00-18:00", 480));
        assert_yes(contains("8:00-18:00", 1079));
        assert_no(contains("8:00-18:00", 1080));
        assert_yes(contains("22:00-2:00", 1320));
        assert_yes(contains("22:00-2:00", 1439));
        assert_yes(contains("22:00-2:00", 0));
        assert_yes(contains("22:00-2:00", 119));
        assert_no(contains("22:00-2:00", 120));
        assert_no(contains("22:00-2:00", 1319));
        assert_yes(contains("23:59-0:00", 1439));
        assert_no(contains("23:59-0:00", 0));
        for (unsigned minute = 0; minute < MINUTES_PER_DAY; minute++)
                assert_yes(contains("0:00-24:00", minute));
}

static void test_several(void **state UNUSED) {
        struct day_range items[] = {{480, 720}, {700, 800}, {1320, 120}};
        const struct day_ranges ranges = {.items = items, .count = LENGTH_OF(items)}, none = {0};
        unsigned count = 0;

        for (unsigned minute = 0; minute < MINUTES_PER_DAY; minute++)
                count += dayranges_contain(&ranges, minute);
        assert_int_equal(count, 320 + 240);
        assert_no(dayranges_contain(&none, 0));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse),
                cmocka_unit_test(test_refuse),
                cmocka_unit_test(test_contain),
                cmocka_unit_test(test_several),
        };

        return cmocka_run_group_tests_name("dayranges", tests, NULL, NULL);
}
