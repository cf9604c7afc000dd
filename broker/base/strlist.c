#include "base/strlist.h"

#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void strlist_deinit(struct strlist *list) {
        for (size_t i = 0; i < list->count; i++)
                free(list->items[i]);
        free(list->items);
        *list = STRLIST_NULL;
}

/* For COUNT strings and a NULL: what the smallest piece of memory holds, or a power of two. */
static size_t room_for(size_t count) {
        size_t room = 4;

        if (count <= 2)
                return 3;
        while (room < count + 1)
                room *= 2;
        return room;
}

int strlist_consume(struct strlist *list, char *own_text) {
        if (!own_text)
                return err_raise(-ENOMEM);
        if (list->count == 0 || room_for(list->count) != room_for(list->count + 1)) {
                char **items = reallocarray(list->items, room_for(list->count + 1), sizeof(*items));

                if (!items) {
                        free(own_text);
                        return err_raise(-ENOMEM);
                }
                list->items = items;
        }
        list->items[list->count++] = own_text;
        list->items[list->count] = NULL;
        return 0;
}

int strlist_add(struct strlist *list, const char *text) {
        return strlist_consume(list, strdup(text));
}

static char **strlist_find_env(const struct strlist *list, const char *name) {
        size_t n = strlen(name);

        for (size_t i = 0; i < list->count; i++)
                if (strncmp(list->items[i], name, n) == 0 && list->items[i][n] == '=')
                        return &list->items[i];
        return NULL;
}

int strlist_set_env(struct strlist *list, const char *name, const char *value) {
        char **slot = strlist_find_env(list, name);
        char *entry;

        if (asprintf(&entry, "%s=%s", name, value) < 0)
                return err_raise(-ENOMEM);
        if (!slot)
                return strlist_consume(list, entry);
        free(*slot);
        *slot = entry;
        return 0;
}

const char *strlist_get_env(const struct strlist *list, const char *name) {
        char **slot = strlist_find_env(list, name);

        return slot ? *slot + strlen(name) + 1 : NULL;
}

void strlist_unset_env(struct strlist *list, const char *name) {
        char **slot = strlist_find_env(list, name);
        size_t at;

        if (!slot)
                return;
        at = (size_t)(slot - list->items);
        free(*slot);
        memmove(slot, slot + 1, (list->count - at) * sizeof(*slot));
        list->count--;
}

bool strlist_has(const struct strlist *list, const char *text) {
        for (size_t i = 0; i < list->count; i++)
                if (strcmp(list->items[i], text) == 0)
                        return true;
        return false;
}

bool strlist_equal(const struct strlist *a, const struct strlist *b) {
        if (a->count != b->count)
                return false;
        for (size_t i = 0; i < a->count; i++)
                if (strcmp(a->items[i], b->items[i]) != 0)
                        return false;
        return true;
}

int strlist_copy(const struct strlist *from, struct strlist *ret) {
        AUTO(strlist_deinit) struct strlist copy = STRLIST_NULL;
        int r;

        for (size_t i = 0; i < from->count; i++) {
                r = strlist_add(&copy, from->items[i]);
                if (r < 0)
                        return r;
        }
        *ret = copy;
        copy = STRLIST_NULL;
        return 0;
}
