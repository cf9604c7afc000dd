/* The most specific of many networks that a peer is in: a binary trie with compressed paths, of nodes in one array,
 * with an index that leads past its upper half. It is built at load; finding neither allocates nor calls the system. */
#pragma once

#include "net/prefix.h"

struct prefix_node;
struct prefix_slot;

/* The networks of one family. */
struct prefix_root {
        uint32_t node;  /* index; 0: none */
        uint32_t count; /* of networks */
        /* The index: where to go on from the bits that follow those that all networks have in common. */
        struct prefix_slot *slots; /* NULL: none */
        uint64_t high, low;        /* what they have in common */
        uint8_t common;            /* in bits */
        uint8_t index_bits;
};

struct prefix_trie {
        struct prefix_node *nodes; /* the first stands for none */
        uint32_t count;
        uint32_t room;
        struct prefix_root ipv4, ipv6;
        bool has_unix;
        uint32_t unix_value;
};

#define PREFIX_TRIE_NULL ((struct prefix_trie){0})

void prefix_trie_deinit(struct prefix_trie *trie);

/* Adds a network with its value. Returns 0; -EEXIST when it is there already, and then its value stays (see
 * prefix_trie_get()); or -ENOMEM. */
int prefix_trie_add(struct prefix_trie *trie, const struct prefix *prefix, uint32_t value);

/* Makes finding quicker where there are many networks; to be called when all have been added, since adding one takes
 * the index away. Returns 0; or -ENOMEM, which changes nothing but the speed. */
int prefix_trie_index(struct prefix_trie *trie);

/* The value of this very network. False when it was not added. */
bool prefix_trie_get(const struct prefix_trie *trie, const struct prefix *prefix, uint32_t *ret_value);

/* The value of the longest prefix that PEER is in. False when it is in none. IPv4 mapped into IPv6 is IPv4. */
bool prefix_trie_find(const struct prefix_trie *trie, const union sockaddr_any *peer, uint32_t *ret_value);

/* The same for what is a prefix already, such as one that was masked: the longest network that holds all of it. */
bool prefix_trie_find_prefix(const struct prefix_trie *trie, const struct prefix *prefix, uint32_t *ret_value);
