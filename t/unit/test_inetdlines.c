#include "unit.h"

#include "import/inetdlines.h"

#include "base/buf.h"

static const char kinds[] = "eahpic";

/* Everything about the lines of TEXT in one: LINE KIND FLAGS WORDS {OPTIONS} (ERROR). */
static void check(const char *text, const char *expected) {
        AUTO(inetd_lines_deinit) struct inetd_lines lines = INETD_LINES_NULL;
        AUTO(buf_deinit) struct buf out = BUF_NULL;

        assert_int_equal(inetd_lines_parse(text, &lines), 0);
        buf_add_string(&out, "");
        for (size_t i = 0; i < lines.count; i++) {
                const struct inetd_line *line = &lines.items[i];

                buf_printf(&out, "%u%c%s%s%s", line->line, kinds[line->kind], line->off ? "-" : "",
                           line->quoted ? "q" : "", line->indented ? ">" : "");
                for (size_t n = 0; n < line->words.count; n++)
                        buf_printf(&out, "<%s>", line->words.items[n]);
                for (size_t n = 0; n < line->option_count; n++) {
                        buf_printf(&out, "{%u %s", line->options[n].line, line->options[n].key);
                        for (size_t m = 0; m < line->options[n].values.count; m++)
                                buf_printf(&out, "<%s>", line->options[n].values.items[m]);
                        buf_add_char(&out, '}');
                }
                if (line->error)
                        buf_printf(&out, "(%s)", line->error);
                buf_add_char(&out, '\n');
        }
        assert_string_equal(buf_text(&out), expected);
}

static void test_fields(void **state UNUSED) {
        check("", "");
        check("\n  \n\t\n", "");
        check("a b", "1e<a><b>\n");
        check("a \t b\t\tc\r\nd\r\n", "1e<a><b><c>\n2e<d>\n");
        check("ftp stream tcp nowait root /ftpd ftpd -l # x",
              "1e<ftp><stream><tcp><nowait><root></ftpd><ftpd><-l><#><x>\n");
        check("\n\n  a b\n", "3e<a><b>\n");
}

static void test_continuation(void **state UNUSED) {
        check("a b\n  c\n\td\ne", "1e<a><b><c><d>\n4e<e>\n");
        check("a b\n \n c\n", "1e<a><b><c>\n");
        check("a b\n # c\n d\n", "1e<a><b>\n2c\n3e<d>\n");
        check("a\n\n b\n", "1e<a>\n3e<b>\n");
        check("a b\n ftp stream tcp nowait root /x x\n", "1e<a><b>\n2e><ftp><stream><tcp><nowait><root></x><x>\n");
        check("a b\n ftp stream tcp nowait\n", "1e<a><b><ftp><stream><tcp><nowait>\n");
}

static void test_comments(void **state UNUSED) {
        check("#\n# a\n#:INTERNAL: x\n", "1c\n2c\n3c\n");
        check("#@ipsec ah/require\n#@\n", "1p<ipsec><ah/require>\n2p\n");
        check("#<off># a\tb\n#<off>#c\n", "1e-<a><b>\n2e-<c>\n");
        check("# a\n b\n", "1c\n2e<b>\n");
}

static void test_quotes(void **state UNUSED) {
        check("a 'b c' \"d 'e\" f'g'\n", "1eq<a><b c><d 'e><fg>\n");
        check("a ''\n", "1eq<a><>\n");
        check("it's a\n", "1e<it's><a>\n");
        check("a 'b\n c'\n", "1eq<a><b\n c>\n");
}

static void test_hosts(void **state UNUSED) {
        check("127.0.0.1:\n*:\n[::1]:\n", "1h<127.0.0.1:>\n2h<*:>\n3h<[::1]:>\n");
        check("host: ftp stream\n", "1e<host:ftp><stream>\n");
        check("host:ftp stream\n", "1e<host:ftp><stream>\n");
        check(".include \"a b\"\n.x\n", "1iq<.include><a b>\n2i<.x>\n");
}

static void test_options(void **state UNUSED) {
        check("a on wait = no;", "1a<a><on>{1 wait<no>}\n");
        check("a off\n wait=no, # x\n args = b c\n 'd e' , user=;\n",
              "1a-q<a><off>{2 wait<no>}{3 args<b><c><d e>}{4 user}\n");
        check("a on#x\nb = c;\n", "1a<a><on>{2 b<c>}\n");
        check("a on b=c; d on e=f; g h\ni j\n", "1a<a><on>{1 b<c>}\n1a<d><on>{1 e<f>}\n1e<g><h>\n2e<i><j>\n");
        check("a on b='\\x41\\\\\\n\\'\"', c=\"x\"y'z';\n", "1aq<a><on>{1 b<A\\\n'\">}{1 c<xyz>}\n");
        check("a on b=#c\nd;", "1a<a><on>{1 b<d>}\n");
        check("a one b\n", "1e<a><one><b>\n");
        check("a onx\n", "1e<a><onx>\n");
}

static void test_broken_options(void **state UNUSED) {
        check("a on b=c\n", "1a<a><on>{1 b<c>}(has no semicolon at its end)\n");
        check("a on", "1a<a><on>(has no semicolon at its end)\n");
        check("a on b c;\nd e\n", "1a<a><on>{1 b}(has something other than KEY = VALUE)\n2e<d><e>\n");
        check("a on =c;\nd e\n", "1a<a><on>{1 }(has something other than KEY = VALUE)\n2e<d><e>\n");
        check("a on b='c;\nd e\n", "1aq<a><on>{1 b}(has a quote without its end)\n2e<d><e>\n");
        check("a on b='\\q';\nd e\n",
              "1aq<a><on>{1 b}(has a backslash before something that it gives no meaning to)\n2e<d><e>\n");
        check("a on b='\\x00';\n", "1aq<a><on>{1 b}(has a backslash before something that it gives no meaning to)\n");
        check("a on b='\\", "1aq<a><on>{1 b}(has a backslash before something that it gives no meaning to)\n");
}

static void test_text(void **state UNUSED) {
        AUTO(inetd_lines_deinit) struct inetd_lines lines = INETD_LINES_NULL;

        assert_int_equal(inetd_lines_parse("#<off># a b\na b\r\n\tc\nd on e =\n f; g h\n", &lines), 0);
        assert_int_equal(lines.count, 4);
        assert_string_equal(lines.items[0].text, "#<off># a b");
        assert_string_equal(lines.items[1].text, "a b\n\tc");
        assert_string_equal(lines.items[2].text, "d on e =\n f;");
        assert_string_equal(lines.items[3].text, "g h");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fields), cmocka_unit_test(test_continuation),   cmocka_unit_test(test_comments),
                cmocka_unit_test(test_quotes), cmocka_unit_test(test_hosts),          cmocka_unit_test(test_options),
                cmocka_unit_test(test_text),   cmocka_unit_test(test_broken_options),
        };

        return cmocka_run_group_tests_name("inetdlines", tests, NULL, NULL);
}
