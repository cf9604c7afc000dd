#include "unit.h"

#include "base/strlist.h"

static void test_add(void **state UNUSED) {
        AUTO(strlist_deinit) struct strlist list = STRLIST_NULL;

        for (int i = 0; i < 100; i++)
                assert_int_equal(strlist_add(&list, i % 2 ? "odd" : "even"), 0);
        assert_int_equal(list.count, 100);
        assert_null(list.items[100]);
        assert_string_equal(list.items[99], "odd");
        assert_yes(strlist_has(&list, "even"));
        assert_no(strlist_has(&list, "eve"));
        assert_int_equal(strlist_consume(&list, strdup("mine")), 0);
        assert_string_equal(list.items[100], "mine");
        assert_int_equal(strlist_consume(&list, NULL), -12);
}

static void test_env(void **state UNUSED) {
        AUTO(strlist_deinit) struct strlist list = STRLIST_NULL;

        assert_int_equal(strlist_set_env(&list, "A", "1"), 0);
        assert_int_equal(strlist_set_env(&list, "AB", "2"), 0);
        assert_int_equal(strlist_set_env(&list, "A", "x=y"), 0);
        assert_int_equal(list.count, 2);
        assert_string_equal(strlist_get_env(&list, "A"), "x=y");
        assert_string_equal(strlist_get_env(&list, "AB"), "2");
        assert_null(strlist_get_env(&list, "B"));
        strlist_unset_env(&list, "A");
        strlist_unset_env(&list, "none");
        assert_int_equal(list.count, 1);
        assert_string_equal(list.items[0], "AB=2");
        assert_null(list.items[1]);
        assert_int_equal(strlist_set_env(&list, "C", ""), 0);
        assert_string_equal(strlist_get_env(&list, "C"), "");
}

static void test_copy(void **state UNUSED) {
        AUTO(strlist_deinit) struct strlist a = STRLIST_NULL, b = STRLIST_NULL, none = STRLIST_NULL;

        assert_int_equal(strlist_copy(&none, &b), 0);
        assert_yes(strlist_equal(&none, &b));
        strlist_add(&a, "x");
        strlist_add(&a, "y");
        assert_no(strlist_equal(&a, &b));
        assert_int_equal(strlist_copy(&a, &b), 0);
        assert_yes(strlist_equal(&a, &b));
        assert_ptr_not_equal(a.items[0], b.items[0]);
        free(b.items[1]);
        b.items[1] = strdup("z");
        assert_no(strlist_equal(&a, &b));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_add),
                cmocka_unit_test(test_env),
                cmocka_unit_test(test_copy),
        };

        return cmocka_run_group_tests_name("strlist", tests, NULL, NULL);
}
