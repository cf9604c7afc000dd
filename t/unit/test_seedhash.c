#include "unit.h"

#include "base/defs.h"
#include "base/seedhash.h"
#include "net/prefix.h"

#define BUCKETS 1024

/* The fullest of the buckets, eight keys to each on average. What chance makes of 8192 keys is 22 at most, with a
 * probability of one in a hundred; 40 is beyond one in 10^12. */
static void check_spread(int family, unsigned at, unsigned shift) {
        unsigned counts[BUCKETS] = {0}, most = 0;

        for (uint32_t i = 0; i < 8 * BUCKETS; i++) {
                struct prefix prefix = {.family = (uint8_t)family, .bits = 32};
                uint32_t value = i << shift;
                unsigned *count;

                memcpy(prefix.address + at, &value, sizeof(value));
                count = &counts[seedhash(&prefix, sizeof(prefix)) % BUCKETS];
                ++*count;
                most = MAX_OF(most, *count);
        }
        assert_in_range(most, 8, 40);
}

static void test_spread(void **state UNUSED) {
        check_spread(AF_INET, 0, 0);
        check_spread(AF_INET, 0, 16);
        for (unsigned at = 0; at <= 12; at++)
                check_spread(AF_INET6, at, at);
}

/* Of any size, and of all its bytes. */
static void test_bytes(void **state UNUSED) {
        uint8_t data[40] = {0};

        for (size_t size = 0; size < sizeof(data); size++) {
                uint32_t hash = seedhash(data, size);

                assert_int_equal(seedhash(data, size), hash);
                for (size_t i = 0; i < size; i++) {
                        data[i] = 1;
                        assert_int_not_equal(seedhash(data, size), hash);
                        data[i] = 0;
                }
        }
        assert_int_not_equal(seedhash(data, 8), seedhash(data, 9));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_spread),
                cmocka_unit_test(test_bytes),
        };

        return cmocka_run_group_tests_name("seedhash", tests, NULL, NULL);
}
