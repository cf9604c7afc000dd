#include "unit.h"

#include "base/defs.h"
#include "base/nearest.h"

static void test_nearest(void **state UNUSED) {
        static const char *const names[] = {"command",   "listen",      "wait",  "user",  "group",
                                            "group_add", "working_dir", "start", "status"};
        static const struct {
                const char *text;
                const char *found;
        } cases[] = {
                {"comand", "command"},
                {"commnad", "command"},
                {"COMMAND", "command"},
                {"lisen", "listen"},
                {"wiat", "wait"},
                {"usr", "user"},
                {"gruop", "group"},
                {"group-add", "group_add"},
                {"WorkingDir", "working_dir"},
                {"groups", "group"},
                {"stat", "status"},
                {"stort", "start"},
                {"blub", NULL},
                {"", NULL},
                {"x", NULL},
                {"entirely_different", NULL},
                {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
        };

        for (size_t i = 0; i < LENGTH_OF(cases); i++) {
                const char *found = nearest_name(cases[i].text, names, LENGTH_OF(names));

                if (!cases[i].found)
                        assert_null(found);
                else
                        assert_string_equal(found, cases[i].found);
        }
        assert_null(nearest_name("x", names, 0));
}

int main(void) {
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_nearest)};

        return cmocka_run_group_tests_name("nearest", tests, NULL, NULL);
}
