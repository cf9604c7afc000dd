#include "net/prefixtrie.h"

#include "base/err.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* Two to a cache line. A node without a value is where two others part. */
struct prefix_node {
        uint64_t high, low; /* the address, from the highest bit down; zero beyond `bits` */
        uint32_t child[2];  /* by the bit that follows; 0: none */
        uint32_t value;
        uint8_t bits;
        bool has_value;
};

void prefix_trie_deinit(struct prefix_trie *trie) {
        free(trie->nodes);
        *trie = PREFIX_TRIE_NULL;
}

static void load(const struct prefix *prefix, struct prefix_node *ret) {
        uint64_t words[2];

        memcpy(words, prefix->address, sizeof(words));
        ret->high = be64toh(words[0]);
        ret->low = be64toh(words[1]);
        ret->bits = prefix->bits;
}

static unsigned bit_at(const struct prefix_node *node, unsigned index) {
        return (unsigned)(index < 64 ? node->high >> (63 - index) : node->low >> (127 - index)) & 1;
}

/* How many bits two addresses begin with in common, LIMIT at most. */
static unsigned common_bits(const struct prefix_node *a, const struct prefix_node *b, unsigned limit) {
        uint64_t high = a->high ^ b->high, low = a->low ^ b->low;
        unsigned n = high != 0 ? (unsigned)__builtin_clzll(high) : low != 0 ? 64 + (unsigned)__builtin_clzll(low) : 128;

        return MIN_OF(n, limit);
}

/* Room for the two nodes that one prefix takes at most, and the first that stands for none. */
static int reserve(struct prefix_trie *trie) {
        uint32_t room = MAX_OF(2 * trie->room, 16);
        struct prefix_node *nodes;

        if (trie->count + 3 <= trie->room)
                return 0;
        nodes = room > trie->room ? reallocarray(trie->nodes, room, sizeof(*nodes)) : NULL;
        if (!nodes)
                return err_raise(-ENOMEM);
        if (trie->count == 0)
                nodes[trie->count++] = (struct prefix_node){0};
        trie->nodes = nodes;
        trie->room = room;
        return 0;
}

static uint32_t new_node(struct prefix_trie *trie, const struct prefix_node *node) {
        trie->nodes[trie->count] = *node;
        return trie->count++;
}

/* Puts FRESH above the node that LINK leads to, directly or side by side below a new one. */
static void split(struct prefix_trie *trie, uint32_t *link, const struct prefix_node *fresh, unsigned common) {
        uint32_t below = *link, added = new_node(trie, fresh);
        struct prefix prefix = {.bits = fresh->bits};
        struct prefix_node fork;
        uint64_t words[2] = {htobe64(fresh->high), htobe64(fresh->low)};

        if (common == fresh->bits) {
                trie->nodes[added].child[bit_at(&trie->nodes[below], common)] = below;
                *link = added;
                return;
        }
        memcpy(prefix.address, words, sizeof(words));
        prefix_mask(&prefix, common);
        fork = (struct prefix_node){0};
        load(&prefix, &fork);
        fork.child[bit_at(fresh, common)] = added;
        fork.child[!bit_at(fresh, common)] = below;
        *link = new_node(trie, &fork);
}

static uint32_t *root_of(struct prefix_trie *trie, const struct prefix *prefix) {
        return prefix->family == AF_INET ? &trie->ipv4 : &trie->ipv6;
}

static int add_unix(struct prefix_trie *trie, uint32_t value) {
        if (trie->has_unix)
                return -EEXIST;
        trie->has_unix = true;
        trie->unix_value = value;
        return 0;
}

int prefix_trie_add(struct prefix_trie *trie, const struct prefix *prefix, uint32_t value) {
        struct prefix_node fresh = {.value = value, .has_value = true};
        uint32_t *link = root_of(trie, prefix);
        int r;

        if (prefix->family == AF_UNIX)
                return add_unix(trie, value);
        r = reserve(trie);
        if (r < 0)
                return r;
        load(prefix, &fresh);
        while (*link != 0) {
                struct prefix_node *node = &trie->nodes[*link];
                unsigned common = common_bits(node, &fresh, MIN_OF(node->bits, fresh.bits));

                if (common < node->bits) {
                        split(trie, link, &fresh, common);
                        return 0;
                }
                if (node->bits == fresh.bits) {
                        if (node->has_value)
                                return -EEXIST;
                        node->value = value;
                        node->has_value = true;
                        return 0;
                }
                link = &node->child[bit_at(&fresh, node->bits)];
        }
        *link = new_node(trie, &fresh);
        return 0;
}

/* The last node with a value on the way to what WANTED is, which it holds all of; or NULL. */
static const struct prefix_node *walk(const struct prefix_trie *trie, uint32_t root, const struct prefix_node *wanted) {
        const struct prefix_node *best = NULL;

        for (uint32_t i = root; i != 0;) {
                const struct prefix_node *node = &trie->nodes[i];

                if (node->bits > wanted->bits || common_bits(node, wanted, node->bits) < node->bits)
                        break;
                if (node->has_value)
                        best = node;
                if (node->bits == wanted->bits)
                        break;
                i = node->child[bit_at(wanted, node->bits)];
        }
        return best;
}

static const struct prefix_node *find(const struct prefix_trie *trie, const struct prefix *prefix) {
        struct prefix_node wanted = {0};

        load(prefix, &wanted);
        return walk(trie, prefix->family == AF_INET ? trie->ipv4 : trie->ipv6, &wanted);
}

bool prefix_trie_get(const struct prefix_trie *trie, const struct prefix *prefix, uint32_t *ret_value) {
        const struct prefix_node *node;

        if (prefix->family == AF_UNIX)
                return prefix_trie_find_prefix(trie, prefix, ret_value);
        node = find(trie, prefix);
        if (!node || node->bits != prefix->bits)
                return false;
        *ret_value = node->value;
        return true;
}

bool prefix_trie_find_prefix(const struct prefix_trie *trie, const struct prefix *prefix, uint32_t *ret_value) {
        const struct prefix_node *node;

        if (prefix->family == AF_UNIX) {
                if (trie->has_unix)
                        *ret_value = trie->unix_value;
                return trie->has_unix;
        }
        node = find(trie, prefix);
        if (node)
                *ret_value = node->value;
        return node != NULL;
}

bool prefix_trie_find(const struct prefix_trie *trie, const union sockaddr_any *peer, uint32_t *ret_value) {
        struct prefix prefix;

        return prefix_of_address(peer, &prefix) && prefix_trie_find_prefix(trie, &prefix, ret_value);
}
