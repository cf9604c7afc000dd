#include "unit.h"

#include "base/buf.h"

static void test_grow(void **state UNUSED) {
        AUTO(buf_deinit) struct buf buf = BUF_NULL;

        assert_string_equal(buf_text(&buf), "");
        for (int i = 0; i < 10000; i++)
                buf_printf(&buf, "%d,", i % 10);
        assert_int_equal(buf.size, 20000);
        assert_int_equal(strlen(buf_text(&buf)), 20000);
        assert_yes(strncmp(buf_text(&buf), "0,1,2,3,4,5,6,7,8,9,0,", 22) == 0);
        buf_clear(&buf);
        assert_string_equal(buf_text(&buf), "");
        buf_add(&buf, "a\0b", 3);
        assert_int_equal(buf.size, 3);
        assert_memory_equal(buf.data, "a\0b", 4);
}

static void test_take(void **state UNUSED) {
        struct buf buf = BUF_NULL;
        AUTO(freep) char *text = NULL;
        AUTO(freep) char *empty = buf_take(&buf);

        assert_string_equal(empty, "");
        buf_add_string(&buf, "text");
        text = buf_take(&buf);
        assert_string_equal(text, "text");
        assert_null(buf.data);
        assert_int_equal(buf.size, 0);
}

static void test_failure(void **state UNUSED) {
        struct buf buf = BUF_NULL;

        buf_add_string(&buf, "a");
        buf.failed = true; /* as when memory ran out */
        buf_add_string(&buf, "b");
        buf_printf(&buf, "%d", 5);
        assert_yes(buf_failed(&buf));
        assert_string_equal(buf_text(&buf), "a");
        assert_null(buf_take(&buf));
        assert_no(buf_failed(&buf));
}

static void test_escaped(void **state UNUSED) {
        AUTO(buf_deinit) struct buf buf = BUF_NULL;

        buf_add_escaped(&buf, "a\n\x1b\\\x7f"
                              "äb");
        assert_string_equal(buf_text(&buf), "a\\x0a\\x1b\\\\\\x7fäb");
        /* What is no UTF-8, the controls of ISO 8859, ends of lines, directions of text. */
        buf_clear(&buf);
        buf_add_escaped(&buf, "\x9b\xff|\xc2\x9b|\xc2\xa0|\xe2\x80\xa8|\xe2\x80\xae|\xe2\x81\xa6|\xe2\x80\x93");
        assert_string_equal(buf_text(&buf), "\\x9b\\xff|\\xc2\\x9b|\xc2\xa0|\\xe2\\x80\\xa8|\\xe2\\x80\\xae|"
                                            "\\xe2\\x81\\xa6|\xe2\x80\x93");
}

static void test_valid(void **state UNUSED) {
        static const char mark[] = "\xef\xbf\xbd";
        struct buf buf = BUF_NULL;

        buf_add_valid(&buf, "ü\n\x7f");
        assert_string_equal(buf_text(&buf), "ü\n\x7f");
        buf_clear(&buf);
        buf_add_valid(&buf, "\xff\xc3");
        assert_memory_equal(buf_text(&buf), mark, 3);
        assert_string_equal(buf_text(&buf) + 3, mark);
        buf_deinit(&buf);
}

static void test_json(void **state UNUSED) {
        static const struct {
                const char *text;
                const char *json;
        } cases[] = {
                {"", "\"\""},
                {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
                {"\n\t\x01\x7f", "\"\\u000a\\u0009\\u0001\\u007f\""},
                {"äöü\xf0\x9f\x98\x80", "\"äöü\xf0\x9f\x98\x80\""},
                {"\xff", "\"\\ufffd\""},
                {"\xc2\x9b\xe2\x80\xae", "\"\\u009b\\u202e\""},
                {"a\xc3", "\"a\\ufffd\""},
                {"\xc0\xaf", "\"\\ufffd\\ufffd\""},            /* overlong */
                {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""}, /* a surrogate */
                {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
        };

        for (size_t i = 0; i < LENGTH_OF(cases); i++) {
                AUTO(buf_deinit) struct buf buf = BUF_NULL;

                buf_add_json(&buf, cases[i].text);
                assert_string_equal(buf_text(&buf), cases[i].json);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_grow),    cmocka_unit_test(test_take), cmocka_unit_test(test_failure),
                cmocka_unit_test(test_escaped), cmocka_unit_test(test_json), cmocka_unit_test(test_valid),
        };

        return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
