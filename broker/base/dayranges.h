/* Ranges of minutes of the day, such as 8:00-18:00. Whose day it is, the caller knows. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

#define MINUTES_PER_DAY 1440

struct day_range {
        uint16_t from; /* minutes since midnight, 0 to 1439 */
        uint16_t to;   /* the first minute that is not in it any more, 0 to 1440; before `from`: across midnight */
};

struct day_ranges {
        struct day_range *items;
        size_t count;
};

/* Reads H:MM-H:MM. Returns true with *RET filled; or false with the reason added to WHY, a sentence without its subject
 * that says what to write. */
bool dayranges_parse(const char *text, struct day_range *ret, struct buf *why);

/* Writes one range as dayranges_parse() reads it. */
void dayranges_format(const struct day_range *range, struct buf *out);

/* Whether any of the ranges has this minute of the day, 0 to 1439. */
bool dayranges_contain(const struct day_ranges *ranges, unsigned minute);
