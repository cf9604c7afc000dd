/* Names that were seen before, each with the place and the thing it stood for: service names, addresses, anchors. */
#pragma once

#include "base/diag.h"

struct nameset_entry;

struct nameset {
        struct nameset_entry *entries;
};

#define NAMESET_NULL ((struct nameset){0})

struct nameset_item {
        struct mark mark;
        const char *owner; /* the service it belongs to; borrowed, and NULL where that means nothing */
        const void *thing; /* borrowed */
};

void nameset_deinit(struct nameset *set);

/* What NAME was added with, or NULL. Valid until it is replaced. */
const struct nameset_item *nameset_find(const struct nameset *set, const char *name);

/* Adds NAME, or replaces what it stood for. Returns 0 or -ENOMEM. */
int nameset_put(struct nameset *set, const char *name, const struct nameset_item *item);
