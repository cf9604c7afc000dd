#include "conf/nameset.h"

#include "base/err.h"

#include <errno.h>
#include <string.h>

/* Without this, uthash ends the program when memory runs out. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(entry) ((entry)->lost = true)
/* The default one falls through its cases in a way that clang warns about. */
#define HASH_FUNCTION(key, size, hash) HASH_FNV(key, size, hash)
#include <uthash.h>

struct nameset_entry {
        UT_hash_handle hh;
        struct nameset_item item;
        bool lost; /* there was no memory to take it in */
        char name[];
};

void nameset_deinit(struct nameset *set) {
        struct nameset_entry *entry, *next;

        HASH_ITER(hh, set->entries, entry, next) {
                HASH_DEL(set->entries, entry);
                free(entry);
        }
        *set = NAMESET_NULL;
}

static struct nameset_entry *find(const struct nameset *set, const char *name) {
        struct nameset_entry *entry;

        HASH_FIND_STR(set->entries, name, entry);
        return entry;
}

const struct nameset_item *nameset_find(const struct nameset *set, const char *name) {
        const struct nameset_entry *entry = find(set, name);

        return entry ? &entry->item : NULL;
}

int nameset_put(struct nameset *set, const char *name, const struct nameset_item *item) {
        struct nameset_entry *entry = find(set, name);
        size_t n = strlen(name);

        if (entry) {
                entry->item = *item;
                return 0;
        }
        entry = calloc(1, sizeof(*entry) + n + 1);
        if (!entry)
                return err_raise(-ENOMEM);
        entry->item = *item;
        memcpy(entry->name, name, n);
        HASH_ADD_KEYPTR(hh, set->entries, entry->name, n, entry);
        if (entry->lost) {
                free(entry);
                return err_raise(-ENOMEM);
        }
        return 0;
}
