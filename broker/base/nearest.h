/* "Did you mean …?": the known name nearest to a mistyped one. */
#pragma once

#include <stddef.h>

/* The entry of NAMES (COUNT of them) with the smallest edit distance to TEXT, where a swap of neighbours counts as one
 * edit; NULL when none is near enough to be meant (more than a third of its letters wrong). Borrowed from NAMES. */
const char *nearest_name(const char *text, const char *const *names, size_t count);
