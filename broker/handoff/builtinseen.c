#include "handoff/builtinseen.h"

#define ENTRIES 128
#define MEMORY (10 * 60 * USEC_PER_SEC)

struct entry {
        struct prefix address;
        usec_t until; /* 0: empty */
};

struct builtinseen {
        struct entry entries[ENTRIES];
};

struct builtinseen *builtinseen_new(void) {
        return calloc(1, sizeof(struct builtinseen));
}

struct builtinseen *builtinseen_free(struct builtinseen *seen) {
        free(seen);
        return NULL;
}

/* FNV-1a. Whoever finds two addresses in one place has gained nothing. */
static size_t place_of(const struct prefix *address) {
        uint32_t hash = 2166136261;

        for (size_t i = 0; i < sizeof(address->address); i++)
                hash = (hash ^ address->address[i]) * 16777619;
        return hash % ENTRIES;
}

void builtinseen_note(struct builtinseen *seen, const union sockaddr_any *peer, usec_t now) {
        struct prefix address;

        if (prefix_of_address(peer, &address))
                seen->entries[place_of(&address)] = (struct entry){.address = address, .until = now + MEMORY};
}

bool builtinseen_has(const struct builtinseen *seen, const union sockaddr_any *peer, usec_t now) {
        const struct entry *entry;
        struct prefix address;

        if (!prefix_of_address(peer, &address))
                return false;
        entry = &seen->entries[place_of(&address)];
        return entry->until > now && prefix_equal(&entry->address, &address);
}
