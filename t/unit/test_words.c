#include "unit.h"

#include "conf/words.h"

#include "base/buf.h"

static void check(const char *text, enum words_outcome outcome, const char *expected) {
        AUTO(strlist_deinit) struct strlist words = STRLIST_NULL;
        AUTO(buf_deinit) struct buf out = BUF_NULL;

        assert_int_equal(words_split(text, &words), outcome);
        for (size_t i = 0; i < words.count; i++)
                buf_printf(&out, "<%s>", words.items[i]);
        if (outcome == WORDS_OK)
                assert_string_equal(buf_text(&out), expected);
}

static void test_split(void **state UNUSED) {
        check("", WORDS_OK, "");
        check(" \t\n ", WORDS_OK, "");
        check("a", WORDS_OK, "<a>");
        check("  a  b\tc\nd ", WORDS_OK, "<a><b><c><d>");
        check("'a b' \"c d\"", WORDS_OK, "<a b><c d>");
        check("a'b 'c\"d e\"f", WORDS_OK, "<ab cd ef>");
        check("'' \"\"", WORDS_OK, "<><>");
        check("a\\ b \\' \\\" \\\\ \\n", WORDS_OK, "<a b><'><\"><\\><n>");
        check("'a\\b'", WORDS_OK, "<a\\b>");
        check("\"a\\\"b\\\\c\\n\\$\"", WORDS_OK, "<a\"b\\c\\n\\$>");
        check("a#b # c", WORDS_OK, "<a#b><#><c>");
        check("$HOME ${pid} $$ *", WORDS_OK, "<$HOME><${pid}><$$><*>");
        check("a=b;c&d|e>f", WORDS_OK, "<a=b;c&d|e>f>");
}

static void test_outcomes(void **state UNUSED) {
        check("a 'b", WORDS_UNCLOSED_SINGLE, "");
        check("a \"b", WORDS_UNCLOSED_DOUBLE, "");
        check("\"b\\\"", WORDS_UNCLOSED_DOUBLE, "");
        check("a\\", WORDS_LONE_BACKSLASH, "");
        check("\\", WORDS_LONE_BACKSLASH, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_split),
                cmocka_unit_test(test_outcomes),
        };

        return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
