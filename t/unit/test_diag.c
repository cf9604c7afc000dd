#include "unit.h"

#include "base/diag.h"

#include <stdio.h>

static void check(const struct diag *diag, const char *expected) {
        AUTO(buf_deinit) struct buf out = BUF_NULL;

        diag_format(diag, &out);
        assert_string_equal(buf_text(&out), expected);
}

static void test_order(void **state UNUSED) {
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;

        check(&diag, "");
        diag_error(&diag, &(struct mark){"b", 5, 3}, "x.y", "third %d", 3);
        diag_error(&diag, &(struct mark){"b", 5, 1}, NULL, "second");
        diag_warning(&diag, &(struct mark){"b", 2, 9}, "z", "first");
        diag_error(&diag, &(struct mark){"a", 1, 1}, NULL, "fifth");
        diag_error(&diag, &(struct mark){"b", 9, 1}, NULL, "fourth");
        diag_error(&diag, &(struct mark){"a", 1, 1}, NULL, "sixth");
        diag_error(&diag, &(struct mark){"c", 0, 0}, NULL, "a file");
        check(&diag, "b:2:9: z: warning: first\nb:5:1: second\nb:5:3: x.y: third 3\nb:9:1: fourth\n"
                     "a:1:1: fifth\na:1:1: sixth\nc: a file\n");
        assert_int_equal(diag.errors, 6);
        assert_int_equal(diag.warnings, 1);
        assert_yes(diag_has_errors(&diag));
}

static void test_no_place(void **state UNUSED) {
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;

        diag_warning(&diag, NULL, NULL, "no place\nat all");
        check(&diag, "warning: no place\\x0aat all\n");
        assert_no(diag_has_errors(&diag));
}

/* Not even a name that is not there is looked at. */
static void test_unplaced(void **state UNUSED) {
        AUTO(diag_deinit) struct diag diag = {.unplaced = true};

        diag_error(&diag, &(struct mark){(const char *)1, 5, 3}, "x.y", "no");
        check(&diag, "x.y: no\n");
        assert_yes(diag_has_errors(&diag));
}

/* Whoever owned the name may be gone by the time the messages are printed. */
static void test_names_are_copied(void **state UNUSED) {
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        char name[] = "x.yaml";

        diag_error(&diag, &(struct mark){name, 1, 1}, NULL, "text");
        memset(name, 'y', sizeof(name) - 1);
        check(&diag, "x.yaml:1:1: text\n");
}

static void test_limit(void **state UNUSED) {
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        AUTO(buf_deinit) struct buf out = BUF_NULL;
        enum diag_level level;

        for (unsigned i = 1; i <= DIAG_MAX + 5; i++)
                diag_error(&diag, &(struct mark){"x", i, 1}, NULL, "text");
        assert_int_equal(diag.count, DIAG_MAX);
        assert_int_equal(diag.errors, DIAG_MAX + 5);
        diag_format(&diag, &out);
        assert_non_null(strstr(buf_text(&out), "x:1000:1: text\n(and 5 more)\n"));
        buf_clear(&out);
        assert_yes(diag_format_entry(&diag, 0, &out, &level));
        assert_string_equal(buf_text(&out), "x:1:1: text");
        assert_int_equal(level, DIAG_ERROR);
        assert_no(diag_format_entry(&diag, DIAG_MAX, &out, &level));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),    cmocka_unit_test(test_no_place),
                cmocka_unit_test(test_unplaced), cmocka_unit_test(test_names_are_copied),
                cmocka_unit_test(test_limit),
        };

        return cmocka_run_group_tests_name("diag", tests, NULL, NULL);
}
