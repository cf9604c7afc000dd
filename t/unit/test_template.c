#include "unit.h"

#include "base/template.h"

#include <stdio.h>

/* Writes <NAME|ARGUMENT>; refuses the name "bad", and leaves "later" as it was. */
static bool fill(void *userdata UNUSED, const struct template_name *name, struct buf *out) {
        if (strcmp(name->name, "bad") == 0)
                return false;
        if (strcmp(name->name, "later") == 0)
                buf_add(out, name->text, name->size);
        else
                buf_printf(out, "<%s|%s>", name->name, name->argument);
        return true;
}

static void check(const char *text, const char *expected, const char *partly) {
        AUTO(buf_deinit) struct buf out = BUF_NULL;

        assert_int_equal(template_expand(text, fill, NULL, &out), TEMPLATE_OK);
        assert_string_equal(buf_text(&out), expected);
        buf_clear(&out);
        assert_int_equal(template_expand_partly(text, fill, NULL, &out), TEMPLATE_OK);
        assert_string_equal(buf_text(&out), partly);
}

static void test_expand(void **state UNUSED) {
        check("", "", "");
        check("plain", "plain", "plain");
        check("${pid}", "<pid|>", "<pid|>");
        check("a${fd:http}b${fd:x}", "a<fd|http>b<fd|x>", "a<fd|http>b<fd|x>");
        check("$$", "$", "$$");
        check("$$$$", "$$", "$$$$");
        check("$${pid}", "${pid}", "$${pid}");
        check("$$${pid}", "$<pid|>", "$$<pid|>");
        check("$", "$", "$");
        check("$5 $HOME a$", "$5 $HOME a$", "$5 $HOME a$");
        check("${}", "<|>", "<|>");
        check("${a:b:c}", "<a|b:c>", "<a|b:c>");
        check("}${pid}}", "}<pid|>}", "}<pid|>}");
        check("${later:x}$$", "${later:x}$", "${later:x}$$");
}

static void test_outcomes(void **state UNUSED) {
        AUTO(buf_deinit) struct buf out = BUF_NULL;
        char text[200];

        assert_int_equal(template_expand("a${pid", fill, NULL, &out), TEMPLATE_UNCLOSED);
        assert_int_equal(template_expand("${", fill, NULL, &out), TEMPLATE_UNCLOSED);
        assert_int_equal(template_expand("${pid} ${bad}", fill, NULL, &out), TEMPLATE_REFUSED);
        snprintf(text, sizeof(text), "${%063d}", 0);
        assert_int_equal(template_expand(text, fill, NULL, &out), TEMPLATE_OK);
        snprintf(text, sizeof(text), "${%064d}", 0);
        assert_int_equal(template_expand(text, fill, NULL, &out), TEMPLATE_TOO_LONG);
        snprintf(text, sizeof(text), "${fd:%064d}", 0);
        assert_int_equal(template_expand(text, fill, NULL, &out), TEMPLATE_TOO_LONG);
}

static void test_plain(void **state UNUSED) {
        assert_yes(template_is_plain(""));
        assert_yes(template_is_plain("a $ b $5 {x}"));
        assert_no(template_is_plain("a$$"));
        assert_no(template_is_plain("$ ${x"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_expand),
                cmocka_unit_test(test_outcomes),
                cmocka_unit_test(test_plain),
        };

        return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
