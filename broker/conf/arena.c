#include "conf/arena.h"

#define BLOCK_SIZE ((size_t)64 * 1024)
#define ALIGNMENT _Alignof(max_align_t)

struct arena_block {
        _Alignas(max_align_t) struct arena_block *older;
        char data[];
};

void arena_deinit(struct arena *arena) {
        while (arena->blocks) {
                struct arena_block *older = arena->blocks->older;

                free(arena->blocks);
                arena->blocks = older;
        }
        *arena = ARENA_NULL;
}

void *arena_alloc(struct arena *arena, size_t size) {
        struct arena_block *block;
        size_t room;
        char *piece;

        if (size > SIZE_MAX / 2)
                return NULL;
        size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        if (!arena->blocks || arena->room - arena->used < size) {
                room = MAX_OF(size, BLOCK_SIZE);
                block = malloc(sizeof(*block) + ALIGNMENT + room);
                if (!block)
                        return NULL;
                block->older = arena->blocks;
                arena->blocks = block;
                arena->used = 0;
                arena->room = room;
        }
        piece = (char *)(arena->blocks + 1) + arena->used;
        arena->used += size;
        return piece;
}
