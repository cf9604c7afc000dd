/* Who may come from where, as tries made from a definition at load (net/prefixtrie.h), and how fast. Most services say
 * nothing about either, and have none. */
#pragma once

#include "base/rate.h"
#include "conf/servicedef.h"
#include "net/prefixtrie.h"

#include <stdbool.h>

struct access {
        bool listed; /* only_from names somebody: all others stay out */
        struct prefix_trie peers;
        struct prefix_trie proxies;
        struct prefix_trie limits; /* exceptions of per_source */
        struct bucket rate;        /* for cps; the only thing here that changes while connections come in */
        usec_t rate_over_until;    /* with when_full: refuse; monotonic */
};

/* Returns 0 with *RET, NULL where DEF names no networks and no cps; or -ENOMEM. */
int access_new(const struct service_def *def, struct access **ret);
struct access *access_free(struct access *access);

/* ACCESS may be NULL in all of these. */

/* Whether only_from and no_access let PEER in: the more specific of the two decides, no_access where they are equally
 * so. They say nothing about peers that have no IP address. */
bool access_allows(const struct access *access, const union sockaddr_any *peer);

/* Whether PEER is among proxy_protocol_from. */
bool access_is_proxy(const struct access *access, const union sockaddr_any *peer);

/* How many connections PEER's source may have: that of an exception of per_source, or FALLBACK. */
uint32_t access_source_limit(const struct access *access, const union sockaddr_any *peer, uint32_t fallback);
