/* Where requests end: the first byte says how long the end is, which follows; the pieces in which the rest comes are as
 * long as its own bytes say. Found is what a search through all of it finds, and as soon as it is there. */
#include "fuzz.h"

#include "handoff/framing.h"

#include <string.h>

static size_t find_naively(const char *data, size_t size, const char *end, size_t end_size) {
        for (size_t i = 0; i + end_size <= size; i++)
                if (memcmp(data + i, end, end_size) == 0)
                        return i + end_size;
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        size_t end_size = size > 0 ? data[0] % 5 + 1u : 0, scanned = 0, have = 0, expected, found = 0;
        const struct framing framing = {.end = (const char *)data + 1, .end_size = end_size};
        const char *rest;

        if (size < end_size + 1)
                return 0;
        rest = framing.end + end_size;
        size -= end_size + 1;
        expected = find_naively(rest, size, framing.end, end_size);
        while (found == 0 && have < size) {
                size_t before = have;
                AUTO(freep) char *copy = NULL; /* for the sanitizer to see its end */

                have = MIN_OF(have + (uint8_t)rest[have] % 7 + 1u, size);
                copy = malloc(have);
                MUST(copy, "memory ran out");
                memcpy(copy, rest, have);
                found = framing_find(&framing, copy, have, &scanned);
                MUST(found == 0 || found > before, "found late: %zu of %zu", found, before);
                MUST(scanned <= have, "%zu of %zu", scanned, have);
        }
        MUST(found == expected, "%zu instead of %zu", found, expected);
        return 0;
}
