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

/* What walking down from the root comes to for one value of the index bits. */
struct prefix_slot {
        uint32_t node; /* where to go on; 0: nowhere */
        uint32_t value;
};

#define SLOT_HAS_VALUE (UINT32_C(1) << 31) /* in `node`: the networks passed by say so much */
#define NODES_MAX (SLOT_HAS_VALUE - 1)
#define INDEX_LEAST 16 /* networks; fewer are found as quickly without */
#define INDEX_BITS_MAX 16

static void drop_index(struct prefix_root *root) {
        free(root->slots);
        root->slots = NULL;
}

void prefix_trie_deinit(struct prefix_trie *trie) {
        drop_index(&trie->ipv4);
        drop_index(&trie->ipv6);
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
        nodes = room > trie->room && room <= NODES_MAX ? reallocarray(trie->nodes, room, sizeof(*nodes)) : NULL;
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

static const struct prefix_root *root_of(const struct prefix_trie *trie, const struct prefix *prefix) {
        return prefix->family == AF_INET ? &trie->ipv4 : &trie->ipv6;
}

static int add_unix(struct prefix_trie *trie, uint32_t value) {
        if (trie->has_unix)
                return -EEXIST;
        trie->has_unix = true;
        trie->unix_value = value;
        return 0;
}

/* Returns 0, or -EEXIST. There is room. */
static int insert(struct prefix_trie *trie, uint32_t *link, const struct prefix_node *fresh) {
        while (*link != 0) {
                struct prefix_node *node = &trie->nodes[*link];
                unsigned common = common_bits(node, fresh, MIN_OF(node->bits, fresh->bits));

                if (common < node->bits) {
                        split(trie, link, fresh, common);
                        return 0;
                }
                if (node->bits == fresh->bits) {
                        if (node->has_value)
                                return -EEXIST;
                        node->value = fresh->value;
                        node->has_value = true;
                        return 0;
                }
                link = &node->child[bit_at(fresh, node->bits)];
        }
        *link = new_node(trie, fresh);
        return 0;
}

int prefix_trie_add(struct prefix_trie *trie, const struct prefix *prefix, uint32_t value) {
        struct prefix_root *root = prefix->family == AF_INET ? &trie->ipv4 : &trie->ipv6;
        struct prefix_node fresh = {.value = value, .has_value = true};
        int r;

        if (prefix->family == AF_UNIX)
                return add_unix(trie, value);
        r = reserve(trie);
        if (r < 0)
                return r;
        load(prefix, &fresh);
        r = insert(trie, &root->node, &fresh);
        if (r < 0)
                return r;
        drop_index(root);
        root->count++;
        return 0;
}

/* Whether the first BITS bits of two addresses are the same. */
static bool same_bits(uint64_t high, uint64_t low, unsigned bits) {
        if (bits <= 64)
                return bits == 0 || high >> (64 - bits) == 0;
        return high == 0 && low >> (128 - bits) == 0;
}

/* The last node with a value on the way from the node INDEX to what WANTED is, which it holds all of; or NULL. */
static const struct prefix_node *walk(const struct prefix_trie *trie, uint32_t index,
                                      const struct prefix_node *wanted) {
        const struct prefix_node *best = NULL;

        while (index != 0) {
                const struct prefix_node *node = &trie->nodes[index];

                if (node->bits > wanted->bits ||
                    !same_bits(node->high ^ wanted->high, node->low ^ wanted->low, node->bits))
                        break;
                if (node->has_value)
                        best = node;
                if (node->bits == wanted->bits)
                        break;
                index = node->child[bit_at(wanted, node->bits)];
        }
        return best;
}

/* COUNT bits from the bit FIRST on, as a number. */
static uint32_t bits_at(const struct prefix_node *node, unsigned first, unsigned count) {
        uint64_t bits = first >= 64 ? node->low << (first - 64) : node->high << first;

        if (first > 0 && first < 64)
                bits |= node->low >> (64 - first);
        return (uint32_t)(bits >> (64 - count));
}

static void set_bits(struct prefix_node *node, unsigned first, unsigned count, uint64_t value) {
        value <<= 64 - count;
        if (first >= 64) {
                node->low |= value >> (first - 64);
                return;
        }
        node->high |= value >> first;
        if (first > 0)
                node->low |= value << (64 - first);
}

/* Goes down to where the index of WANTED's length ends. */
static struct prefix_slot make_slot(const struct prefix_trie *trie, uint32_t index, const struct prefix_node *wanted) {
        struct prefix_slot slot = {0};
        uint32_t flag = 0;

        for (; index != 0; index = trie->nodes[index].child[bit_at(wanted, trie->nodes[index].bits)]) {
                const struct prefix_node *node = &trie->nodes[index];
                unsigned least = MIN_OF(node->bits, wanted->bits);

                if (!same_bits(node->high ^ wanted->high, node->low ^ wanted->low, least)) {
                        index = 0;
                        break;
                }
                if (node->bits >= wanted->bits)
                        break;
                if (node->has_value) {
                        slot.value = node->value;
                        flag = SLOT_HAS_VALUE;
                }
        }
        slot.node = index | flag;
        return slot;
}

static int make_index(const struct prefix_trie *trie, struct prefix_root *root, unsigned bits_max) {
        const struct prefix_node *node;
        struct prefix_node wanted;
        unsigned bits = 1;

        if (root->slots || root->count < INDEX_LEAST)
                return 0;
        node = &trie->nodes[root->node];
        /* Below a default for everybody, all that matters may lie within one network. */
        while (!node->child[0] != !node->child[1])
                node = &trie->nodes[node->child[0] ? node->child[0] : node->child[1]];
        while (bits < INDEX_BITS_MAX && (UINT32_C(1) << bits) < 2 * root->count)
                bits++;
        bits = MIN_OF(bits, bits_max - node->bits);
        if (bits == 0)
                return 0;
        root->slots = calloc(UINT32_C(1) << bits, sizeof(*root->slots));
        if (!root->slots)
                return err_raise(-ENOMEM);
        root->high = node->high;
        root->low = node->low;
        root->common = node->bits;
        root->index_bits = (uint8_t)bits;
        for (uint32_t i = 0; i < UINT32_C(1) << bits; i++) {
                wanted = (struct prefix_node){.high = root->high, .low = root->low};
                wanted.bits = (uint8_t)(root->common + bits);
                set_bits(&wanted, root->common, bits, i);
                root->slots[i] = make_slot(trie, root->node, &wanted);
        }
        return 0;
}

int prefix_trie_index(struct prefix_trie *trie) {
        int r = make_index(trie, &trie->ipv4, 32);

        return r < 0 ? r : make_index(trie, &trie->ipv6, 128);
}

bool prefix_trie_get(const struct prefix_trie *trie, const struct prefix *prefix, uint32_t *ret_value) {
        struct prefix_node wanted = {0};
        const struct prefix_node *node;

        if (prefix->family == AF_UNIX)
                return prefix_trie_find_prefix(trie, prefix, ret_value);
        load(prefix, &wanted);
        node = walk(trie, root_of(trie, prefix)->node, &wanted);
        if (!node || node->bits != prefix->bits)
                return false;
        *ret_value = node->value;
        return true;
}

static bool find(const struct prefix_trie *trie, const struct prefix_root *root, const struct prefix_node *wanted,
                 uint32_t *ret_value) {
        struct prefix_slot slot = {.node = root->node};
        const struct prefix_node *node;

        if (root->slots && wanted->bits >= root->common + root->index_bits &&
            same_bits(root->high ^ wanted->high, root->low ^ wanted->low, root->common))
                slot = root->slots[bits_at(wanted, root->common, root->index_bits)];
        node = walk(trie, slot.node & ~SLOT_HAS_VALUE, wanted);
        if (!node && !(slot.node & SLOT_HAS_VALUE))
                return false;
        *ret_value = node ? node->value : slot.value;
        return true;
}

bool prefix_trie_find_prefix(const struct prefix_trie *trie, const struct prefix *prefix, uint32_t *ret_value) {
        struct prefix_node wanted = {0};

        if (prefix->family == AF_UNIX) {
                if (trie->has_unix)
                        *ret_value = trie->unix_value;
                return trie->has_unix;
        }
        load(prefix, &wanted);
        return find(trie, root_of(trie, prefix), &wanted, ret_value);
}

/* Like prefix_of_address() and load() in one: this stands in the path of every connection. */
bool prefix_trie_find(const struct prefix_trie *trie, const union sockaddr_any *peer, uint32_t *ret_value) {
        const struct prefix local = {.family = AF_UNIX};
        struct prefix_node wanted;
        uint64_t words[2];

        if (peer->sa.sa_family == AF_INET) {
                wanted.high = (uint64_t)be32toh(peer->in.sin_addr.s_addr) << 32;
                wanted.low = 0;
                wanted.bits = 32;
                return find(trie, &trie->ipv4, &wanted, ret_value);
        }
        if (peer->sa.sa_family != AF_INET6)
                return peer->sa.sa_family == AF_UNIX && prefix_trie_find_prefix(trie, &local, ret_value);
        memcpy(words, &peer->in6.sin6_addr, sizeof(words));
        wanted.high = be64toh(words[0]);
        wanted.low = be64toh(words[1]);
        wanted.bits = 128;
        if (wanted.high != 0 || wanted.low >> 32 != 0xffff)
                return find(trie, &trie->ipv6, &wanted, ret_value);
        /* Mapped from IPv4. */
        wanted.high = wanted.low << 32;
        wanted.low = 0;
        wanted.bits = 32;
        return find(trie, &trie->ipv4, &wanted, ret_value);
}
