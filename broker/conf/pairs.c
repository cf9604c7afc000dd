#include "conf/pairs.h"

#include "base/err.h"

#include <errno.h>
#include <string.h>

void pairs_deinit(struct pairs *pairs) {
        free(pairs->items);
        *pairs = PAIRS_NULL;
}

static int add_ranked(struct pairs *pairs, struct node_pair pair, size_t rank) {
        if (pairs->count == pairs->room) {
                size_t room = MAX_OF(pairs->room * 2, (size_t)8);
                struct pair_entry *items = reallocarray(pairs->items, room, sizeof(*items));

                if (!items)
                        return err_raise(-ENOMEM);
                pairs->items = items;
                pairs->room = room;
        }
        pairs->items[pairs->count++] = (struct pair_entry){.pair = pair, .rank = rank, .order = pairs->added++};
        return 0;
}

int pairs_add(struct pairs *pairs, struct node_pair pair) {
        return add_ranked(pairs, pair, 0);
}

static int merge_mapping(struct pairs *pairs, const struct node *from, size_t rank) {
        for (size_t i = 0; i < from->count; i++) {
                int r = add_ranked(pairs, from->pairs[i], rank);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int merge_list(struct pairs *pairs, const struct node *list) {
        for (size_t i = 0; i < list->count; i++) {
                int r = list->items[i]->kind == NODE_MAPPING ? merge_mapping(pairs, list->items[i], i + 1) : 0;

                if (r < 0)
                        return r;
        }
        return 0;
}

static bool can_merge(const struct node *value) {
        if (value->kind != NODE_SEQUENCE)
                return value->kind == NODE_MAPPING || value->kind == NODE_BROKEN;
        for (size_t i = 0; i < value->count; i++)
                if (value->items[i]->kind != NODE_MAPPING && value->items[i]->kind != NODE_BROKEN)
                        return false;
        return true;
}

static void report_twice(const struct node *again, const struct node *first, const char *file, struct diag *diag) {
        diag_error(diag, &(struct mark){file, again->line, again->column}, NULL,
                   "the key '%.80s' stands here twice, first in line %u", again->text, first->line);
}

/* Takes the `<<` pairs out; there should be one at most. */
static struct node_pair take_merge(struct pairs *pairs, const char *file, struct diag *diag) {
        struct node_pair found = {0};
        size_t kept = 0;

        for (size_t i = 0; i < pairs->count; i++) {
                const struct node *key = pairs->items[i].pair.key;

                if (key->quoted || strcmp(key->text, "<<") != 0)
                        pairs->items[kept++] = pairs->items[i];
                else if (found.key)
                        report_twice(key, found.key, file, diag);
                else
                        found = pairs->items[i].pair;
        }
        pairs->count = kept;
        return found;
}

static int compare_keys(const void *a, const void *b) {
        const struct pair_entry *x = a, *y = b;
        int r = strcmp(x->pair.key->text, y->pair.key->text);

        if (r != 0)
                return r;
        if (x->rank != y->rank)
                return x->rank < y->rank ? -1 : 1;
        return x->order < y->order ? -1 : x->order > y->order;
}

static int compare_order(const void *a, const void *b) {
        const struct pair_entry *x = a, *y = b;

        return x->order < y->order ? -1 : x->order > y->order;
}

static void drop_repeated(struct pairs *pairs, const char *file, struct diag *diag) {
        size_t kept = 0;

        if (pairs->count < 2)
                return;
        qsort(pairs->items, pairs->count, sizeof(*pairs->items), compare_keys);
        for (size_t i = 0; i < pairs->count; i++) {
                const struct pair_entry *entry = &pairs->items[i];
                const struct pair_entry *last = kept > 0 ? &pairs->items[kept - 1] : NULL;

                if (!last || strcmp(last->pair.key->text, entry->pair.key->text) != 0)
                        pairs->items[kept++] = *entry;
                else if (entry->rank == 0)
                        report_twice(entry->pair.key, last->pair.key, file, diag);
        }
        pairs->count = kept;
        qsort(pairs->items, pairs->count, sizeof(*pairs->items), compare_order);
}

int pairs_finish(struct pairs *pairs, const char *file, struct diag *diag) {
        const struct node *value = take_merge(pairs, file, diag).value;
        int r = 0;

        if (value && !can_merge(value))
                diag_error(diag, &(struct mark){file, value->line, value->column}, NULL,
                           "<< merges a mapping or a list of mappings; write <<: *anchor");
        else if (value && value->kind == NODE_MAPPING)
                r = merge_mapping(pairs, value, 1);
        else if (value && value->kind == NODE_SEQUENCE)
                r = merge_list(pairs, value);
        if (r < 0)
                return r;
        drop_repeated(pairs, file, diag);
        return 0;
}
