#include "unit.h"

#include "import/unitname.h"
#include "import/unitspec.h"

static void check_part(void (*part)(const char *, struct buf *), const char *name, const char *expected) {
        AUTO(buf_deinit) struct buf out = BUF_NULL;

        part(name, &out);
        assert_string_equal(buf_text(&out), expected);
}

static void test_names(void **state UNUSED) {
        AUTO(buf_deinit) struct buf out = BUF_NULL;

        assert_yes(unitname_is_valid("a.socket"));
        assert_yes(unitname_is_valid("a-b@c\\x2dd.service"));
        assert_no(unitname_is_valid("a"));
        assert_no(unitname_is_valid("a."));
        assert_no(unitname_is_valid("@.service"));
        assert_no(unitname_is_valid(".service"));
        assert_no(unitname_is_valid("a b.service"));
        assert_no(unitname_is_valid("a/b.service"));
        assert_yes(unitname_is_template("a@.service"));
        assert_no(unitname_is_template("a@b.service"));
        assert_no(unitname_is_template("a.service"));
        assert_yes(unitname_is_instance("a@b.service"));
        assert_no(unitname_is_instance("a@.service"));
        check_part(unitname_prefix, "a-b@c.d.service", "a-b");
        check_part(unitname_prefix, "a-b.service", "a-b");
        check_part(unitname_instance, "a@b@c.d.service", "b@c.d");
        check_part(unitname_instance, "a.service", "");
        check_part(unitname_template, "a@b.service", "a@.service");
        check_part(unitname_unescape, "a-b\\x2dc\\x00\\x2", "a/b-c\\x00\\x2");
        unitname_with_suffix("a@b.socket", ".service", &out);
        unitname_fill("a@.service", "x.y", &out);
        assert_string_equal(buf_text(&out), "a@b.servicea@x.y.service");
}

static void expand(const struct unitspec_scope *scope, const char *text, const char *expected) {
        AUTO(buf_deinit) struct buf out = BUF_NULL, why = BUF_NULL;
        bool machine = false;

        if (unitspec_expand(scope, text, &out, &machine, &why))
                assert_string_equal(buf_text(&out), expected);
        else
                assert_null(expected);
        assert_int_equal(why.size > 0, expected == NULL);
        assert_no(machine);
}

static void test_specifiers(void **state UNUSED) {
        const struct unitspec_scope plain = {.name = "a-b\\x2dc.service", .path = "/etc/systemd/system/a.service"};
        const struct unitspec_scope instance = {.name = "a@x-y.socket", .path = "a@.socket"};
        const struct unitspec_scope template = {.name = "a@.socket"};
        const struct unitspec_scope connection = {.name = "a@.service", .per_connection = true};

        expand(&plain, "%n|%N|%p|%P|%j|%J|%i|%I|%f",
               "a-b\\x2dc.service|a-b\\x2dc|a-b\\x2dc|a/b-c|b\\x2dc|b-c|||/a/b-c");
        expand(&plain, "%y|%Y", "/etc/systemd/system/a.service|/etc/systemd/system");
        expand(&plain, "%t|%S|%C|%L|%E|%T|%V|%D", "/run|/var/lib|/var/cache|/var/log|/etc|/tmp|/var/tmp|/usr/share");
        expand(&plain, "%u|%U|%g|%G|%h|%s", "root|0|root|0|/root|/bin/sh");
        expand(&plain, "100%% %z 5%", "100% %z 5%");
        expand(&plain, "%d", NULL);
        expand(&instance, "%n|%N|%p|%i|%I|%f|%Y", "a@x-y.socket|a@x-y|a|x-y|x/y|/x/y|");
        expand(&template, "%p", "a");
        expand(&template, "x%i", NULL);
        expand(&connection, "%p", "a");
        expand(&connection, "%i", NULL);
        expand(&connection, "%n", NULL);
}

static void test_machine(void **state UNUSED) {
        const struct unitspec_scope scope = {.name = "a.service"};
        const struct unitspec_scope user = {.name = "a.service", .user = true};
        AUTO(buf_deinit) struct buf out = BUF_NULL, why = BUF_NULL;
        bool machine = false;

        assert_yes(unitspec_expand(&scope, "%v%H%a", &out, &machine, &why));
        assert_yes(machine);
        machine = false;
        buf_clear(&out);
        setenv("XDG_RUNTIME_DIR", "/run/mine", 1);
        assert_yes(unitspec_expand(&user, "%t", &out, &machine, &why));
        assert_yes(machine);
        assert_string_equal(buf_text(&out), "/run/mine");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_specifiers),
                cmocka_unit_test(test_machine),
        };

        return cmocka_run_group_tests_name("unitname", tests, NULL, NULL);
}
