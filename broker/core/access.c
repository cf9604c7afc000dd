#include "core/access.h"

#include "base/err.h"

#include <errno.h>

#define PEER_ALLOWED 1
#define PEER_REFUSED 0

struct access *access_free(struct access *access) {
        if (!access)
                return NULL;
        prefix_trie_deinit(&access->peers);
        prefix_trie_deinit(&access->proxies);
        prefix_trie_deinit(&access->limits);
        free(access);
        return NULL;
}

/* What is there already stays. */
static int add_networks(struct prefix_trie *trie, const struct networks_def *networks, uint32_t value) {
        for (size_t i = 0; i < networks->count; i++)
                for (size_t j = 0; j < networks->items[i].count; j++) {
                        int r = prefix_trie_add(trie, &networks->items[i].prefixes[j], value);

                        if (r < 0 && r != -EEXIST)
                                return r;
                }
        return 0;
}

int access_new(const struct service_def *def, struct access **ret) {
        struct access *access;
        int r;

        *ret = NULL;
        if (def->only_from.count == 0 && def->no_access.count == 0 && def->proxy_protocol_from.count == 0 &&
            def->per_source.count == 0 && def->cps.burst == 0)
                return 0;
        access = calloc(1, sizeof(*access));
        if (!access)
                return err_raise(-ENOMEM);
        access->listed = def->only_from.count > 0;
        r = add_networks(&access->peers, &def->no_access, PEER_REFUSED);
        if (r == 0)
                r = add_networks(&access->peers, &def->only_from, PEER_ALLOWED);
        if (r == 0)
                r = add_networks(&access->proxies, &def->proxy_protocol_from, 0);
        for (size_t i = 0; i < def->per_source.count && r == 0; i++)
                r = prefix_trie_add(&access->limits, &def->per_source.items[i].prefix, def->per_source.items[i].limit);
        if (r == 0)
                r = prefix_trie_index(&access->peers);
        if (r == 0)
                r = prefix_trie_index(&access->proxies);
        if (r == 0)
                r = prefix_trie_index(&access->limits);
        if (r < 0) {
                access_free(access);
                return r;
        }
        *ret = access;
        return 0;
}

bool access_allows(const struct access *access, const union sockaddr_any *peer) {
        uint32_t value;

        if (!access || (peer->sa.sa_family != AF_INET && peer->sa.sa_family != AF_INET6))
                return true;
        return prefix_trie_find(&access->peers, peer, &value) ? value == PEER_ALLOWED : !access->listed;
}

bool access_is_proxy(const struct access *access, const union sockaddr_any *peer) {
        uint32_t value;

        return access && prefix_trie_find(&access->proxies, peer, &value);
}

uint32_t access_source_limit(const struct access *access, const union sockaddr_any *peer, uint32_t fallback) {
        uint32_t limit;

        return access && prefix_trie_find(&access->limits, peer, &limit) ? limit : fallback;
}
