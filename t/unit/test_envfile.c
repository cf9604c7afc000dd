#include "unit.h"

#include "conf/envfile.h"

static void check(const char *text, const char *expected, const char *messages) {
        AUTO(buf_deinit) struct buf buf = BUF_NULL, out = BUF_NULL, errors = BUF_NULL;
        AUTO(envfile_deinit) struct envfile envfile = ENVFILE_NULL;
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;

        buf_add_string(&buf, text);
        assert_int_equal(envfile_parse("x.env", &buf, &envfile, &diag), 0);
        for (size_t i = 0; i < envfile.count; i++)
                buf_printf(&out, "%s<%s>%u:%u|", envfile.items[i].name,
                           envfile.items[i].value ? envfile.items[i].value : "(own)", envfile.items[i].mark.line,
                           envfile.items[i].mark.column);
        assert_string_equal(buf_text(&out), expected);
        diag_format(&diag, &errors);
        assert_string_equal(buf_text(&errors), messages);
}

static void test_plain(void **state UNUSED) {
        check("", "", "");
        check("\n\n# comment\n  # another\n", "", "");
        check("A=1", "A<1>1:1|", "");
        check("A=1\r\nB=2\r\n", "A<1>1:1|B<2>2:1|", "");
        check("A=\nB= \n", "A<>1:1|B<>2:1|", "");
        check("A = 1\n  B=2  \n", "A<1>1:1|B<2>2:3|", "");
        check("A=a b  c # comment\n", "A<a b  c>1:1|", "");
        check("A=a#b\nB=#b\nC= #b\n", "A<a#b>1:1|B<>2:1|C<>3:1|", "");
        check("A=b=c\n", "A<b=c>1:1|", "");
        check("A: 1\nB:2\nC : 'x'\nexport D: a=b:c\nE:\nF=a:b\n",
              "A<1>1:1|B<2>2:1|C<x>3:1|D<a=b:c>4:8|E<>5:1|F<a:b>6:1|", "");
        check("A\nB # comment\n", "A<(own)>1:1|B<(own)>2:1|", "");
        check("export A=1\nexport\tB=2\nexport C\nexport=1\nexported=2\n",
              "A<1>1:8|B<2>2:8|C<(own)>3:8|export<1>4:1|exported<2>5:1|", "");
        check("\xef\xbb\xbf"
              "A=1\n",
              "A<1>1:1|", "");
        check("A=$B \\n \"x\"\n", "A<$B \\n \"x\">1:1|", "");
}

static void test_quotes(void **state UNUSED) {
        check("A='x y'\n", "A<x y>1:1|", "");
        check("A='a\\n$b\"'\n", "A<a\\n$b\">1:1|", "");
        check("A=\"a\\nb\\tc\\\\d\\\"e\\$f\\x\"\n", "A<a\nb\tc\\d\"e$f\\x>1:1|", "");
        check("A=\"x\" # comment\nB='' \n", "A<x>1:1|B<>2:1|", "");
        check("A=\"two\nlines\"\nB=1\n", "A<two\nlines>1:1|B<1>3:1|", "");
        check("A='it\\'s' # so\nB='C:\\x'\n", "A<it's>1:1|B<C:\\x>2:1|", "");
        check("A='it''s'\n", "", "x.env:1:7: has text after the closing quote\n");
}

static void test_errors(void **state UNUSED) {
        check("A=\"x\nB=1\n", "", "x.env:1:3: has a \" that is not closed\n");
        check("A=1\nB='x", "A<1>1:1|", "x.env:2:3: has a ' that is not closed\n");
        check("A B=1\nC=1\n", "C<1>2:1|", "x.env:1:3: has a blank in the name; write NAME=VALUE\n");
        check("=1\nC=1\n", "C<1>2:1|", "x.env:1:1: '' is not a variable's name; write one without blanks and =\n");
        check("A=\"x\"y\nB='1'#c\nC=1\n", "B<1>2:1|C<1>3:1|", "x.env:1:6: has text after the closing quote\n");
        check("A=\"two\nlines\" y\nC=1\n", "C<1>3:1|", "x.env:2:8: has text after the closing quote\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_plain),
                cmocka_unit_test(test_quotes),
                cmocka_unit_test(test_errors),
        };

        return cmocka_run_group_tests_name("envfile", tests, NULL, NULL);
}
