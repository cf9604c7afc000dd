#include "handoff/framing.h"

#include <assert.h>
#include <string.h>

size_t framing_find(const struct framing *framing, const char *data, size_t size, size_t *scanned) {
        size_t from = *scanned;
        const char *found;

        assert(framing->end_size > 0);
        assert(from <= size);
        found = framing->end_size == 1 ? memchr(data + from, framing->end[0], size - from)
                                       : memmem(data + from, size - from, framing->end, framing->end_size);
        if (found)
                return (size_t)(found - data) + framing->end_size;
        /* The end may have begun. */
        if (size >= framing->end_size)
                *scanned = size - framing->end_size + 1;
        return 0;
}
