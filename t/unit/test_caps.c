/* Which capabilities come out of what the broker has, cap_drop and cap_add, for root and for others; and names. */
#include "base/capability.h"
#include "proc/caps.h"
#include "unit.h"

#include <errno.h>
#include <linux/capability.h>

#define A CAPABILITY_BIT(0)
#define B CAPABILITY_BIT(10)
#define C CAPABILITY_BIT(40)
#define D CAPABILITY_BIT(63)

enum who {
        ROOT,    /* root starts a program as root */
        USER,    /* root starts a program as somebody else */
        OURSELF, /* we are not root, and stay who we are */
};

static const struct {
        const char *what;
        enum who who;
        struct capability_sets own;
        uint64_t drop, add;
        struct caps_plan plan;
} cases[] = {
        {"nothing said", ROOT, {.bounding = A | B, .permitted = A | B}, 0, 0, {0}},
        {"root, one less",
         ROOT,
         {.bounding = A | B | C, .permitted = A | B | C, .inheritable = A | B},
         B,
         0,
         {.change = true, .bounding_drop = B, .permitted = A | C, .inheritable = A}},
        {"root, one left",
         ROOT,
         {.bounding = A | B | C, .permitted = A | B | C},
         CAPABILITY_ALL,
         B,
         {.change = true, .bounding_drop = A | C, .permitted = B}},
        {"root, none left",
         ROOT,
         {.bounding = A | D, .permitted = A | D},
         CAPABILITY_ALL,
         0,
         {.change = true, .bounding_drop = A | D}},
        {"first drop, then add",
         ROOT,
         {.bounding = A | B, .permitted = A | B},
         A,
         A,
         {.change = true, .permitted = A | B}},
        {"add all but those dropped by name",
         ROOT,
         {.bounding = A | B, .permitted = A | B},
         A,
         CAPABILITY_ALL,
         {.change = true, .bounding_drop = A, .permitted = B}},
        {"drop all, add all",
         ROOT,
         {.bounding = A | B, .permitted = A | B},
         CAPABILITY_ALL,
         CAPABILITY_ALL,
         {.change = true, .permitted = A | B}},
        {"user, less: the bounding set only",
         USER,
         {.bounding = A | B, .permitted = A | B, .inheritable = A, .ambient = A},
         A,
         0,
         {.change = true, .bounding_drop = A}},
        {"user, one more",
         USER,
         {.bounding = A | B, .permitted = A | B},
         0,
         B,
         {.change = true, .keep = true, .permitted = B, .inheritable = B, .ambient = B}},
        {"user, one alone",
         USER,
         {.bounding = A | B | C, .permitted = A | B | C},
         CAPABILITY_ALL,
         B,
         {.change = true, .keep = true, .bounding_drop = A | C, .permitted = B, .inheritable = B, .ambient = B}},
        {"user, all",
         USER,
         {.bounding = A | B | C, .permitted = A | C},
         0,
         CAPABILITY_ALL,
         {.change = true, .keep = true, .permitted = A | C, .inheritable = A | C, .ambient = A | C}},
        {"ourselves: what we pass on stays",
         OURSELF,
         {.bounding = A | B | C, .permitted = A | B, .inheritable = A, .ambient = A},
         0,
         B,
         {.change = true, .permitted = A | B, .inheritable = A | B, .ambient = A | B}},
        {"ourselves: unless it is dropped",
         OURSELF,
         {.bounding = A | B, .permitted = A | B, .inheritable = A, .ambient = A},
         CAPABILITY_ALL,
         B,
         {.change = true, .bounding_drop = A, .permitted = B, .inheritable = B, .ambient = B}},
        {"ourselves, without any", OURSELF, {.bounding = A}, CAPABILITY_ALL, 0, {.change = true, .bounding_drop = A}},
};

static struct caps_request request_of(size_t i) {
        return (struct caps_request){
                .own = cases[i].own,
                .drop = cases[i].drop,
                .add = cases[i].add,
                .root = cases[i].who == ROOT,
                .changes_user = cases[i].who == USER,
        };
}

static void test_sets(void **state) {
        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                const struct caps_plan *want = &cases[i].plan;
                const struct caps_request request = request_of(i);
                struct caps_plan plan;

                caps_work_out(&request, &plan);
                if (plan.change != want->change || plan.keep != want->keep ||
                    plan.bounding_drop != want->bounding_drop || plan.permitted != want->permitted ||
                    plan.inheritable != want->inheritable || plan.ambient != want->ambient)
                        fail_msg("%s", cases[i].what);
                assert_true(caps_missing(&request) == 0);
        }
}

static void test_missing(void **state) {
        struct caps_request request = {
                .own = {.bounding = A | B, .permitted = A | C},
                .add = A | B | C | D,
                .root = true,
        };

        (void)state;
        assert_true(caps_missing(&request) == (C | D));
        request.root = false;
        assert_true(caps_missing(&request) == (B | C | D));
        request.add = CAPABILITY_ALL;
        assert_true(caps_missing(&request) == 0);
}

static void test_names(void **state) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        static const char *const names[] = {"NET_ADMIN", "CAP_NET_ADMIN", "cap_net_admin", "Net_Admin"};
        unsigned number;

        (void)state;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                number = 99;
                assert_int_equal(capability_find(names[i], &number, &text), 0);
                assert_int_equal(number, CAP_NET_ADMIN);
        }
        assert_int_equal(text.size, 0);
        capability_add_name(&text, CAP_NET_ADMIN);
        assert_string_equal(buf_text(&text), "NET_ADMIN");
        buf_clear(&text);
        assert_int_equal(capability_find("CAP_NET_ADMIM", &number, &text), -ENOENT);
        assert_string_equal(buf_text(&text), "NET_ADMIN");
        buf_clear(&text);
        assert_int_equal(capability_find("CAP_CAP_CHOWN", &number, &text), -ENOENT);
        buf_clear(&text);
        assert_int_equal(capability_find("12", &number, &text), -ENOENT);
        assert_int_equal(capability_find("", &number, &text), -ENOENT);
        assert_int_equal(capability_find("QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ",
                                         &number, &text),
                         -ENOENT);
        assert_int_equal(text.size, 0);
}

static void test_own(void **state) {
        struct capability_sets own;

        (void)state;
        assert_int_equal(capability_get_own(&own), 0);
        assert_true((own.effective & ~own.permitted) == 0);
        assert_true((own.ambient & ~(own.permitted & own.inheritable)) == 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sets),
                cmocka_unit_test(test_missing),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_own),
        };

        return cmocka_run_group_tests_name("caps", tests, NULL, NULL);
}
