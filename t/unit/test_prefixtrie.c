/* The trie against a list that is searched from end to end. */
#include "unit.h"

#include "net/prefixtrie.h"

#include <errno.h>

/* A linear congruential generator: the same numbers everywhere, every time (Knuth's MMIX constants). */
static uint64_t random_state;

static uint32_t random_next(uint32_t below) {
        random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t)(random_state >> 33) % below;
}

static struct prefix random_prefix(uint8_t family, unsigned spread) {
        struct prefix prefix = {.family = family, .bits = (uint8_t)prefix_bits_max(family)};

        /* Few different bytes, so that many networks lie within each other. */
        for (size_t i = 0; i < prefix.bits / 8u; i++)
                prefix.address[i] = (uint8_t)(random_next(spread) * (256 / spread));
        return prefix;
}

static union sockaddr_any to_sockaddr(const struct prefix *prefix) {
        union sockaddr_any sa = {.sa.sa_family = prefix->family};

        if (prefix->family == AF_INET)
                memcpy(&sa.in.sin_addr, prefix->address, 4);
        else if (prefix->family == AF_INET6)
                memcpy(&sa.in6.sin6_addr, prefix->address, 16);
        return sa;
}

static bool holds(const struct prefix *network, const struct prefix *address) {
        struct prefix masked = *address;

        prefix_mask(&masked, network->bits);
        return prefix_equal(&masked, network);
}

struct naive {
        struct prefix *items;
        size_t count;
};

static bool naive_get(const struct naive *naive, const struct prefix *prefix, uint32_t *ret) {
        for (size_t i = 0; i < naive->count; i++)
                if (prefix_equal(&naive->items[i], prefix)) {
                        *ret = (uint32_t)i;
                        return true;
                }
        return false;
}

static bool naive_find(const struct naive *naive, const struct prefix *address, uint32_t *ret) {
        const struct prefix *best = NULL;

        for (size_t i = 0; i < naive->count; i++)
                if (holds(&naive->items[i], address) && (!best || naive->items[i].bits > best->bits))
                        best = &naive->items[i];
        if (best)
                *ret = (uint32_t)(best - naive->items);
        return best != NULL;
}

static void compare(const struct prefix_trie *trie, const struct naive *naive, const struct prefix *address) {
        const union sockaddr_any sa = to_sockaddr(address);
        uint32_t expected = UINT32_MAX, found = UINT32_MAX;

        assert_int_equal(prefix_trie_find(trie, &sa, &found), naive_find(naive, address, &expected));
        assert_int_equal(found, expected);
        found = UINT32_MAX;
        prefix_trie_find_prefix(trie, address, &found);
        assert_int_equal(found, expected);
}

static void fill(struct prefix_trie *trie, struct naive *naive, size_t count, unsigned spread) {
        naive->items = calloc(count, sizeof(*naive->items));
        assert_non_null(naive->items);
        while (naive->count < count) {
                struct prefix prefix = random_prefix(random_next(2) ? AF_INET : AF_INET6, spread);
                uint32_t value = UINT32_MAX, expected = UINT32_MAX;
                bool known;

                prefix_mask(&prefix, random_next(prefix.bits + 1u));
                known = naive_get(naive, &prefix, &expected);
                assert_int_equal(prefix_trie_get(trie, &prefix, &value), known);
                assert_int_equal(value, expected);
                assert_int_equal(prefix_trie_add(trie, &prefix, (uint32_t)naive->count), known ? -EEXIST : 0);
                if (!known)
                        naive->items[naive->count++] = prefix;
        }
}

static void check_random(size_t count, unsigned spread, size_t lookups, uint64_t seed) {
        AUTO(prefix_trie_deinit) struct prefix_trie trie = PREFIX_TRIE_NULL;
        struct naive naive = {0};

        random_state = seed;
        fill(&trie, &naive, count, spread);
        for (size_t i = 0; i < lookups; i++) {
                struct prefix address = random_prefix(random_next(2) ? AF_INET : AF_INET6, spread);

                compare(&trie, &naive, &address);
        }
        assert_int_equal(prefix_trie_index(&trie), 0);
        for (size_t i = 0; i < lookups; i++) {
                struct prefix address = random_prefix(random_next(2) ? AF_INET : AF_INET6, spread);

                compare(&trie, &naive, &address);
        }
        for (size_t i = 0; i < count; i += count / 50) {
                uint32_t value = 0;

                assert_yes(prefix_trie_get(&trie, &naive.items[i], &value));
                assert_int_equal(value, i);
        }
        free(naive.items);
}

static void test_random(void **state UNUSED) {
        for (uint64_t seed = 1; seed <= 20; seed++)
                check_random(300, 2 + (unsigned)seed % 7, 500, seed);
}

static void test_ten_thousand(void **state UNUSED) {
        check_random(10000, 256, 1000, 4242);
}

/* Every length at once, from the outside in and from the inside out. */
static void check_nested(uint8_t family, bool inwards, bool index) {
        AUTO(prefix_trie_deinit) struct prefix_trie trie = PREFIX_TRIE_NULL;
        const unsigned most = prefix_bits_max(family);
        struct prefix ones = {.family = family, .bits = (uint8_t)most};
        uint32_t value;

        memset(ones.address, 0xff, most / 8);
        for (unsigned i = 0; i <= most; i++) {
                struct prefix prefix = ones;

                prefix_mask(&prefix, inwards ? i : most - i);
                assert_int_equal(prefix_trie_add(&trie, &prefix, prefix.bits), 0);
                assert_int_equal(prefix_trie_add(&trie, &prefix, 999), -EEXIST);
        }
        if (index)
                assert_int_equal(prefix_trie_index(&trie), 0);
        for (unsigned i = 0; i <= most; i++) {
                struct prefix address = ones, network = ones;
                union sockaddr_any sa;

                /* The first I bits fit, and no more. */
                if (i < most)
                        address.address[i / 8] ^= (uint8_t)(0x80 >> i % 8);
                sa = to_sockaddr(&address);
                assert_yes(prefix_trie_find(&trie, &sa, &value));
                assert_int_equal(value, i);
                prefix_mask(&network, i);
                assert_yes(prefix_trie_find_prefix(&trie, &network, &value));
                assert_int_equal(value, i);
        }
}

static void test_nested(void **state UNUSED) {
        for (unsigned i = 0; i < 4; i++) {
                check_nested(AF_INET, i & 1, i & 2);
                check_nested(AF_INET6, i & 1, i & 2);
        }
}

/* Thousands of networks in one, below a default for everybody, at every depth. */
static void check_deep(unsigned depth) {
        AUTO(prefix_trie_deinit) struct prefix_trie trie = PREFIX_TRIE_NULL;
        struct prefix items[400], all = {.family = AF_INET6};
        struct naive naive = {.items = items};

        random_state = depth;
        items[naive.count++] = all;
        assert_int_equal(prefix_trie_add(&trie, &all, 0), 0);
        while (naive.count < LENGTH_OF(items)) {
                struct prefix prefix = random_prefix(AF_INET6, 256);

                memset(prefix.address, 0xa5, depth / 8);
                prefix_mask(&prefix, depth + random_next(129 - depth));
                if (prefix_trie_add(&trie, &prefix, (uint32_t)naive.count) == 0)
                        items[naive.count++] = prefix;
        }
        assert_int_equal(prefix_trie_index(&trie), 0);
        for (size_t i = 0; i < 400; i++) {
                struct prefix address = random_prefix(AF_INET6, 256);

                if (i % 4 != 0)
                        memset(address.address, 0xa5, depth / 8);
                compare(&trie, &naive, &address);
        }
}

static void test_deep(void **state UNUSED) {
        for (unsigned depth = 0; depth <= 112; depth += 8)
                check_deep(depth);
}

/* What is added after the index counts. */
static void test_index_and_add(void **state UNUSED) {
        AUTO(prefix_trie_deinit) struct prefix_trie trie = PREFIX_TRIE_NULL;
        struct prefix prefix = {.family = AF_INET, .bits = 32};
        uint32_t value = 0;

        for (uint32_t i = 0; i < 256; i++) {
                prefix.address[3] = (uint8_t)i;
                assert_int_equal(prefix_trie_add(&trie, &prefix, i), 0);
                assert_int_equal(prefix_trie_index(&trie), 0);
                assert_yes(prefix_trie_find_prefix(&trie, &prefix, &value));
                assert_int_equal(value, i);
        }
        prefix.address[0] = 1;
        assert_no(prefix_trie_find_prefix(&trie, &prefix, &value));
}

static void test_families(void **state UNUSED) {
        AUTO(prefix_trie_deinit) struct prefix_trie trie = PREFIX_TRIE_NULL;
        const struct prefix all = {.family = AF_INET}, local = {.family = AF_UNIX};
        union sockaddr_any mapped = {
                .in6 = {.sin6_family = AF_INET6, .sin6_addr = {{{[10] = 0xff, 0xff, 10, 0, 0, 1}}}}};
        union sockaddr_any in6 = {.in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}};
        union sockaddr_any un = {.un.sun_family = AF_UNIX}, other = {.sa.sa_family = AF_NETLINK};
        uint32_t value = 0;

        assert_no(prefix_trie_find(&trie, &mapped, &value));
        assert_no(prefix_trie_find(&trie, &un, &value));
        assert_no(prefix_trie_get(&trie, &local, &value));
        assert_int_equal(prefix_trie_add(&trie, &all, 4), 0);
        assert_int_equal(prefix_trie_add(&trie, &local, 1), 0);
        assert_int_equal(prefix_trie_add(&trie, &local, 2), -EEXIST);
        assert_yes(prefix_trie_find(&trie, &mapped, &value));
        assert_int_equal(value, 4);
        assert_yes(prefix_trie_find(&trie, &un, &value));
        assert_int_equal(value, 1);
        assert_yes(prefix_trie_get(&trie, &local, &value));
        assert_no(prefix_trie_find(&trie, &in6, &value));
        assert_no(prefix_trie_find(&trie, &other, &value));
        assert_int_equal(value, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_random), cmocka_unit_test(test_ten_thousand),  cmocka_unit_test(test_nested),
                cmocka_unit_test(test_deep),   cmocka_unit_test(test_index_and_add), cmocka_unit_test(test_families),
        };

        return cmocka_run_group_tests_name("prefixtrie", tests, NULL, NULL);
}
