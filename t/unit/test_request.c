/* Where requests and replies end, in whatever pieces they come. */
#include "unit.h"

#include "base/defs.h"
#include "handoff/framing.h"

static size_t find_at_once(const char *end, const char *data) {
        const struct framing framing = {.end = end, .end_size = strlen(end)};
        size_t scanned = 0;

        return framing_find(&framing, data, strlen(data), &scanned);
}

/* With pieces of every size it is found as soon as it is there, and at the same place. */
static void ends_at(const char *end, const char *data, size_t expected) {
        const struct framing framing = {.end = end, .end_size = strlen(end)};
        size_t size = strlen(data);

        assert_int_equal(find_at_once(end, data), expected);
        for (size_t piece = 1; piece <= size; piece++) {
                size_t scanned = 0, found = 0, n = 0;

                while (found == 0 && n < size) {
                        n = MIN_OF(n + piece, size);
                        found = framing_find(&framing, data, n, &scanned);
                        assert_yes(scanned <= n);
                }
                assert_int_equal(found, expected);
                if (found > 0)
                        assert_yes(n < expected + piece);
        }
}

static void test_one_byte(void **state UNUSED) {
        ends_at("\n", "", 0);
        ends_at("\n", "GET", 0);
        ends_at("\n", "\n", 1);
        ends_at("\n", "GET x\n", 6);
        ends_at("\n", "one\ntwo\n", 4);
        ends_at("\n", "\n\n", 1);
}

static void test_several_bytes(void **state UNUSED) {
        ends_at("\r\n\r\n", "a: b\r\n\r\nrest", 8);
        ends_at("\r\n\r\n", "a: b\r\n\r", 0);
        ends_at("\r\n\r\n", "\r\r\n\r\r\n\r\n", 8);
        ends_at("aab", "aaab", 4);
        ends_at("abab", "aababab", 5);
        ends_at("END", "EENEND", 6);
        ends_at("END", "EN", 0);
}

/* A byte that was looked at is not looked at again, the last few aside in which an end may have begun. */
static void test_looks_once(void **state UNUSED) {
        const struct framing framing = {.end = "\r\n", .end_size = 2};
        char data[] = "0123456789";
        size_t scanned = 0;

        assert_int_equal(framing_find(&framing, data, 10, &scanned), 0);
        assert_int_equal(scanned, 9);
        data[0] = '\r';
        data[1] = '\n';
        assert_int_equal(framing_find(&framing, data, 10, &scanned), 0);
        assert_int_equal(framing_find(&framing, data, 9, &(size_t){0}), 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_byte),
                cmocka_unit_test(test_several_bytes),
                cmocka_unit_test(test_looks_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
