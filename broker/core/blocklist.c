#include "core/blocklist.h"

#include "base/err.h"
#include "base/seedhash.h"

#include <errno.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(key, size, hash) ((hash) = seedhash((key), (size)))
#include <uthash.h>

struct blocked {
        struct prefix source;
        usec_t until;
        struct list link;
        UT_hash_handle hh;
};

void blocklist_init(struct blocklist *list) {
        *list = (struct blocklist){0};
        list_init(&list->order);
}

static void blocked_free(struct blocklist *list, struct blocked *blocked) {
        HASH_DEL(list->by_source, blocked);
        list_remove(&blocked->link);
        list->count--;
        free(blocked);
}

void blocklist_deinit(struct blocklist *list) {
        struct blocked *blocked;

        while ((blocked = list_first(&list->order, struct blocked, link)))
                blocked_free(list, blocked);
        free(list->lengths);
        blocklist_init(list);
}

/* Sensors may differ in their source_prefix, so an address is looked for by each length in use; that is one or two. */
static int note_length(struct blocklist *list, const struct prefix *source) {
        struct prefix *lengths;

        for (size_t i = 0; i < list->length_count; i++)
                if (list->lengths[i].family == source->family && list->lengths[i].bits == source->bits)
                        return 0;
        lengths = reallocarray(list->lengths, list->length_count + 1, sizeof(*lengths));
        if (!lengths)
                return err_raise(-ENOMEM);
        list->lengths = lengths;
        list->lengths[list->length_count++] = *source;
        return 0;
}

bool blocklist_has(struct blocklist *list, const struct prefix *address, usec_t now) {
        for (size_t i = 0; i < list->length_count && list->count > 0; i++) {
                struct prefix key = *address;
                struct blocked *blocked;

                if (key.family != list->lengths[i].family)
                        continue;
                prefix_mask(&key, list->lengths[i].bits);
                HASH_FIND(hh, list->by_source, &key, sizeof(key), blocked);
                if (!blocked)
                        continue;
                if (blocked->until > now)
                        return true;
                blocked_free(list, blocked);
        }
        return false;
}

int blocklist_add(struct blocklist *list, const struct prefix *source, usec_t until) {
        struct blocked *blocked;

        HASH_FIND(hh, list->by_source, source, sizeof(*source), blocked);
        if (blocked) {
                blocked->until = MAX_OF(blocked->until, until);
                list_remove(&blocked->link);
                list_append(&list->order, &blocked->link);
                return 0;
        }
        if (list->count >= BLOCKLIST_MAX)
                blocked_free(list, list_first(&list->order, struct blocked, link));
        blocked = calloc(1, sizeof(*blocked));
        if (!blocked || note_length(list, source) < 0) {
                free(blocked);
                return err_raise(-ENOMEM);
        }
        blocked->source = *source;
        blocked->until = until;
        HASH_ADD(hh, list->by_source, source, sizeof(blocked->source), blocked);
        if (!blocked->hh.tbl) {
                free(blocked);
                return err_raise(-ENOMEM);
        }
        list_append(&list->order, &blocked->link);
        list->count++;
        return 1;
}

void blocklist_each(const struct blocklist *list,
                    void (*each)(void *userdata, const struct prefix *source, usec_t until), void *userdata) {
        struct blocked *blocked;

        list_for_each(blocked, &list->order, link)
                each(userdata, &blocked->source, blocked->until);
}
