#include "base/seedhash.h"

#include <string.h>
#include <sys/auxv.h>

/* The upper half of a product depends on all bits of both factors. */
static uint64_t fold(uint64_t a, uint64_t b) {
        unsigned __int128 product = (unsigned __int128)a * b;

        return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint32_t seedhash(const void *data, size_t size) {
        /* The sixteen random bytes that the kernel gives every process at exec (getauxval(3), AT_RANDOM). */
        uint64_t seed[2] = {0, 0}, state;
        const void *random = (const void *)getauxval(AT_RANDOM);
        const char *at = data;

        if (random)
                memcpy(seed, random, sizeof(seed));
        seed[1] |= 1;
        for (state = seed[0] ^ size; size > 0;) {
                size_t part = size < sizeof(uint64_t) ? size : sizeof(uint64_t);
                uint64_t word = 0;

                memcpy(&word, at, part);
                state = fold(state ^ word, seed[1]);
                at += part;
                size -= part;
        }
        return (uint32_t)(fold(state, seed[1]) >> 16);
}
