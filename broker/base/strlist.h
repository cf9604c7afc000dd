/* A growing NULL-terminated vector of strings that it owns: argument vectors, environments, lists of names. */
#pragma once

#include "base/defs.h"

#include <stdbool.h>

struct strlist {
        char **items; /* items[count] is NULL; NULL itself while nothing was added */
        size_t count; /* says how much room there is, too: thousands of services have a dozen lists each */
};

#define STRLIST_NULL ((struct strlist){0})

void strlist_deinit(struct strlist *list);

/* Appends a copy of TEXT. Returns 0 or -ENOMEM. */
int strlist_add(struct strlist *list, const char *text);

/* Appends TEXT itself, which belongs to the list from now on, also when -ENOMEM is returned. */
int strlist_consume(struct strlist *list, char *own_text);

/* For lists of NAME=VALUE: adds a copy of NAME=VALUE, in place of an entry of the same name. 0 or -ENOMEM. */
int strlist_set_env(struct strlist *list, const char *name, const char *value);

/* The VALUE of NAME in a list of NAME=VALUE, or NULL. Borrowed. */
const char *strlist_get_env(const struct strlist *list, const char *name);

/* Removes the entry NAME=… if there is one. */
void strlist_unset_env(struct strlist *list, const char *name);

bool strlist_has(const struct strlist *list, const char *text);
bool strlist_equal(const struct strlist *a, const struct strlist *b);

/* Makes *RET a copy. Returns 0, or -ENOMEM with *RET untouched. */
int strlist_copy(const struct strlist *from, struct strlist *ret);
