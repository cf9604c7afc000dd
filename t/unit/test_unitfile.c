#include "unit.h"

#include "import/unitfile.h"
#include "import/unitword.h"

static void parse(const char *input, const char *expected, size_t warnings, size_t errors) {
        AUTO(unitfile_deinit) struct unitfile unit = UNITFILE_NULL;
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        AUTO(buf_deinit) struct buf text = BUF_NULL, out = BUF_NULL;

        buf_add_string(&text, input);
        assert_int_equal(unitfile_parse("x.service", &text, &unit, &diag), 0);
        for (size_t i = 0; i < unit.count; i++) {
                const struct unit_entry *entry = &unit.items[i];

                buf_printf(&out, "%u:%u[%s]%s=%s|", entry->mark.line, entry->mark.column, entry->section, entry->name,
                           entry->value);
        }
        assert_string_equal(buf_text(&out), expected);
        assert_int_equal(diag.warnings, warnings);
        assert_int_equal(diag.errors, errors);
}

static void test_lines(void **state UNUSED) {
        parse("", "", 0, 0);
        parse("[A]\nB=c\n", "2:1[A]B=c|", 0, 0);
        parse("[A]\nB=c", "2:1[A]B=c|", 0, 0);
        parse("\xef\xbb\xbf[A]\r\n  B = c d \r\n", "2:3[A]B=c d|", 0, 0);
        parse("[A]\nB=\nB==\nB= =x\n", "2:1[A]B=|3:1[A]B==|4:1[A]B==x|", 0, 0);
        parse("# c\n; d\n  # e\n[A]\n\n \t\n#B=1\nB=2 # no comment\n", "8:1[A]B=2 # no comment|", 0, 0);
        parse("[A]\nB=1\n[C]\nB=2\n[A]\nD=3\n", "2:1[A]B=1|4:1[C]B=2|6:1[A]D=3|", 0, 0);
        parse("[X-Mine]\nB=1\n", "2:1[X-Mine]B=1|", 0, 0);
}

static void test_joined_lines(void **state UNUSED) {
        parse("[A]\nB=1\\\n2\nC=3\n", "2:1[A]B=1 2|4:1[A]C=3|", 0, 0);
        parse("[A]\nB=1 \\\n   2 \\\n\nC=3\n", "2:1[A]B=1     2|5:1[A]C=3|", 0, 0);
        parse("[A]\nB=1\\\n# left out\n ; this too\\\n2\nC=3\n", "2:1[A]B=1 2|6:1[A]C=3|", 0, 0);
        parse("[A]\nB=1\\\\\nC=2\n", "2:1[A]B=1\\\\|3:1[A]C=2|", 0, 0);
        parse("[A]\nB=1\\\\\\\n2\n", "2:1[A]B=1\\\\ 2|", 0, 0);
        parse("[A]\r\nB=1\\\r\n2\r\n", "2:1[A]B=1 2|", 0, 0);
        parse("[A]\nB=1\\", "2:1[A]B=1|", 0, 0);
        parse("[A]\n# a comment \\\nB=1\n", "3:1[A]B=1|", 0, 0);
}

static void test_trouble(void **state UNUSED) {
        parse("B=1\n[A]\nC=2\n", "3:1[A]C=2|", 1, 0);
        parse("[A]\nnothing\n=1\nC=2\n", "4:1[A]C=2|", 2, 0);
        parse("[A]\nB=\xff\nC=2\n", "3:1[A]C=2|", 1, 0);
        parse("[A\nB=1\n", "", 1, 1);
        parse("[A]\nB=1\n[C\nD=2\n", "2:1[A]B=1|4:1[A]D=2|", 0, 1);
        parse("[]\nB=1\n", "2:1[]B=1|", 0, 0);
}

static void test_too_many(void **state UNUSED) {
        AUTO(unitfile_deinit) struct unitfile unit = UNITFILE_NULL;
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        buf_add_string(&text, "[A]\n");
        for (unsigned i = 0; i < UNITFILE_MAX + 5; i++)
                buf_add_string(&text, "B=1\n");
        assert_int_equal(unitfile_parse("x", &text, &unit, &diag), 0);
        assert_int_equal(unit.count, UNITFILE_MAX);
        assert_int_equal(diag.errors, 1);
}

static void test_last(void **state UNUSED) {
        AUTO(unitfile_deinit) struct unitfile unit = UNITFILE_NULL;
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        buf_add_string(&text, "[A]\nB=1\nB=2\n[C]\nB=3\n");
        assert_int_equal(unitfile_parse("x", &text, &unit, &diag), 0);
        assert_string_equal(unitfile_last(&unit, "A", "B")->value, "2");
        assert_string_equal(unitfile_last(&unit, "C", "B")->value, "3");
        assert_null(unitfile_last(&unit, "A", "C"));
}

static void test_bool(void **state UNUSED) {
        bool value = false;

        assert_yes(unitfile_read_bool("Yes", &value));
        assert_yes(value);
        assert_yes(unitfile_read_bool("off", &value));
        assert_no(value);
        assert_no(unitfile_read_bool("", &value));
        assert_no(unitfile_read_bool("yes ", &value));
        assert_no(unitfile_read_bool("2", &value));
}

static void split(const char *input, const char *expected) {
        AUTO(buf_deinit) struct buf word = BUF_NULL, out = BUF_NULL;
        const char *p = input;
        enum unitword_outcome outcome;

        while ((outcome = unitword_next(&p, &word)) == UNITWORD_OK || outcome == UNITWORD_ODD)
                buf_printf(&out, outcome == UNITWORD_OK ? "<%s>" : "{%s}", buf_text(&word));
        if (outcome == UNITWORD_UNCLOSED)
                buf_add_string(&out, "!");
        assert_string_equal(buf_text(&out), expected);
}

static void test_words(void **state UNUSED) {
        split("", "");
        split("  a \t b ", "<a><b>");
        split("'a b' \"c d\" '' \"\"", "<a b><c d><><>");
        split("--x=\"a b\",'c'", "<--x=a b,c>");
        split("'it\"s' \"it's\"", "<it\"s><it's>");
        split("\\x20 a\\sb \\\" \\' \\\\", "< ><a b><\"><'><\\>");
        split("'a\\'b' \"c\\\"d\"", "<a'b><c\"d>");
        split("\\n\\t\\a", "<\n\t\a>");
        split("\\101\\u00e9\\U0001f600\\u20ac", "<A\xc3\xa9\xf0\x9f\x98\x80\xe2\x82\xac>");
        split("; \\; a;b", "<;>{\\;}<a;b>");
        split("\\q \\x0 \\x00 \\000 \\u00 \\ud800", "{\\q}{\\x0}{\\x00}{\\000}{\\u00}{\\ud800}");
        split("a 'b", "<a>!");
        split("a \"b\\\"", "<a>!");
        split("a b\\", "<a>!");
        split("$A ${B} $$ %n", "<$A><${B}><$$><%n>");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lines),    cmocka_unit_test(test_joined_lines), cmocka_unit_test(test_trouble),
                cmocka_unit_test(test_too_many), cmocka_unit_test(test_last),         cmocka_unit_test(test_bool),
                cmocka_unit_test(test_words),
        };

        return cmocka_run_group_tests_name("unitfile", tests, NULL, NULL);
}
