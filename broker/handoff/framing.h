/* Where a request ends, or a reply: at a text such as a newline. What comes, comes in any pieces; each byte is looked
 * at about once. */
#pragma once

#include <stddef.h>

struct framing {
        const char *end; /* borrowed */
        size_t end_size; /* at least 1 */
};

/* The size of what DATA begins with, its end included; 0 where the end is not there yet. *SCANNED: what the call before
 * has looked at of the same data, 0 for the first one; it is only changed where the end is missing. */
size_t framing_find(const struct framing *framing, const char *data, size_t size, size_t *scanned);
