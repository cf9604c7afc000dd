#include "unit.h"

#include "client/text.h"

static void check(struct buf *out, const char *expected) {
        assert_string_equal(buf_text(out), expected);
        buf_deinit(out);
}

static void test_ages(void **state UNUSED) {
        static const struct {
                usec_t age;
                const char *text;
        } cases[] = {
                {0, "<1s"},
                {999999, "<1s"},
                {USEC_PER_SEC, "1s"},
                {59 * USEC_PER_SEC, "59s"},
                {60 * USEC_PER_SEC, "1min"},
                {3599 * USEC_PER_SEC, "59min"},
                {3600 * USEC_PER_SEC, "1h"},
                {7500 * USEC_PER_SEC, "2h 5min"},
                {86400 * USEC_PER_SEC, "1d"},
                {(3 * 86400 + 4 * 3600 + 59) * USEC_PER_SEC, "3d 4h"},
                {400 * 86400 * USEC_PER_SEC, "400d"},
        };

        for (size_t i = 0; i < LENGTH_OF(cases); i++) {
                struct buf out = BUF_NULL;

                text_add_age(&out, cases[i].age);
                check(&out, cases[i].text);
        }
}

static void test_durations(void **state UNUSED) {
        static const struct {
                usec_t duration;
                const char *text;
        } cases[] = {
                {0, "0us"},
                {100, "100us"},
                {1000, "1ms"},
                {2500, "2.5ms"},
                {123456, "123ms"},
                {USEC_PER_SEC, "1s"},
                {1234567, "1.23s"},
                {300 * USEC_PER_SEC, "5min"},
                {5400 * USEC_PER_SEC, "1.5h"},
                {USEC_INFINITY, "more"},
        };

        for (size_t i = 0; i < LENGTH_OF(cases); i++) {
                struct buf out = BUF_NULL;

                text_add_duration(&out, cases[i].duration);
                check(&out, cases[i].text);
        }
}

static void test_bars(void **state UNUSED) {
        static const struct {
                struct text_bar bar;
                const char *text;
        } cases[] = {
                {{.value = 0, .full = 10, .width = 4, .utf8 = true}, ""},
                {{.value = 10, .full = 10, .width = 4, .utf8 = true}, "████"},
                {{.value = 5, .full = 10, .width = 4, .utf8 = true}, "██"},
                {{.value = 1, .full = 8, .width = 4, .utf8 = true}, "▌"},
                {{.value = 9, .full = 16, .width = 2, .utf8 = true}, "█▏"},
                {{.value = 1, .full = 1000000, .width = 4, .utf8 = true}, "▏"},
                {{.value = 10, .full = 10, .width = 4, .utf8 = false}, "####"},
                {{.value = 1, .full = 1000, .width = 4, .utf8 = false}, "#"},
                {{.value = UINT64_MAX, .full = UINT64_MAX, .width = 4, .utf8 = false}, "####"},
                {{.value = 3, .full = 0, .width = 4, .utf8 = true}, ""},
        };

        for (size_t i = 0; i < LENGTH_OF(cases); i++) {
                struct buf out = BUF_NULL;

                text_add_bar(&out, &cases[i].bar);
                check(&out, cases[i].text);
        }
}

static void test_safe_lines(void **state UNUSED) {
        AUTO(buf_deinit) struct buf out = BUF_NULL;

        text_add_safe_lines(&out, "one\033[31m\n\ntwo\n", true);
        assert_string_equal(buf_text(&out), "one\\x1b[31m\n\ntwo\n");
}

static void test_safe(void **state UNUSED) {
        static const struct {
                const char *text;
                const char *utf8;
                const char *ascii;
        } cases[] = {
                {"plain, with blanks", "plain, with blanks", "plain, with blanks"},
                {"\033[31mred", "\\x1b[31mred", "\\x1b[31mred"},
                {"a\nb\tc\177", "a\\x0ab\\x09c\\x7f", "a\\x0ab\\x09c\\x7f"},
                {"\xc2\x9b"
                 "31m",
                 "\\xc2\\x9b"
                 "31m",
                 "\\xc2\\x9b"
                 "31m"},
                {"ü☺", "ü☺", "\\xc3\\xbc\\xe2\\x98\\xba"},
                {"\xe2\x80\xae"
                 "x",
                 "\\xe2\\x80\\xae"
                 "x",
                 "\\xe2\\x80\\xae"
                 "x"},
                {"\xff\xc3", "\\xff\\xc3", "\\xff\\xc3"},
                {"", "", ""},
        };

        for (size_t i = 0; i < LENGTH_OF(cases); i++) {
                struct buf out = BUF_NULL;

                text_add_safe(&out, cases[i].text, true);
                check(&out, cases[i].utf8);
                text_add_safe(&out, cases[i].text, false);
                check(&out, cases[i].ascii);
        }
}

static void test_fitted(void **state UNUSED) {
        static const struct {
                const char *text;
                size_t width;
                const char *utf8;
                const char *ascii;
        } cases[] = {
                {"abc", 5, "abc  ", "abc  "}, {"abc", 3, "abc", "abc"},  {"abcd", 3, "ab…", "ab~"},
                {"üöä", 3, "üöä", "üöä"},     {"üöäß", 3, "üö…", "üö~"}, {"abc", 1, "…", "~"},
                {"", 2, "  ", "  "},
        };

        for (size_t i = 0; i < LENGTH_OF(cases); i++) {
                struct buf out = BUF_NULL;

                text_add_fitted(&out, cases[i].text, cases[i].width, true);
                assert_int_equal(text_width(buf_text(&out)), cases[i].width);
                check(&out, cases[i].utf8);
                text_add_fitted(&out, cases[i].text, cases[i].width, false);
                check(&out, cases[i].ascii);
        }
}

static void test_columns(void **state UNUSED) {
        static const size_t minimums[] = {4, 0, 10};
        static const struct {
                size_t room;
                size_t widths[3];
        } cases[] = {
                {0, {20, 10, 40}},  /* any */
                {74, {20, 10, 40}}, /* it fits */
                {73, {20, 10, 39}}, /* the widest first */
                {54, {20, 10, 20}}, /* until another is as wide */
                {44, {15, 10, 15}}, /* then both */
                {30, {6, 10, 10}},  /* one is at its minimum */
                {28, {4, 10, 10}},  /* both are */
                {5, {4, 10, 10}},   /* and stay there */
        };

        for (size_t i = 0; i < LENGTH_OF(cases); i++) {
                size_t widths[] = {20, 10, 40};

                text_fit_columns(&(struct text_columns){widths, minimums, 3, 2, cases[i].room});
                for (size_t j = 0; j < 3; j++)
                        assert_int_equal(widths[j], cases[i].widths[j]);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ages),    cmocka_unit_test(test_durations),  cmocka_unit_test(test_bars),
                cmocka_unit_test(test_safe),    cmocka_unit_test(test_safe_lines), cmocka_unit_test(test_fitted),
                cmocka_unit_test(test_columns),
        };

        return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
