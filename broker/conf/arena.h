/* Memory that is given out piece by piece and freed all at once: the nodes of one YAML file, which die together. */
#pragma once

#include "base/defs.h"

struct arena_block;

struct arena {
        struct arena_block *blocks;
        size_t used; /* of the newest block */
        size_t room;
};

#define ARENA_NULL ((struct arena){0})

void arena_deinit(struct arena *arena);

/* SIZE bytes, aligned for anything, contents undefined; valid until arena_deinit(). NULL when memory ran out. */
void *arena_alloc(struct arena *arena, size_t size);
