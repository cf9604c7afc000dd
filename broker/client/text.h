/* How things look on a terminal: ages, bars, columns, and texts that may come from anybody. Nothing here looks at the
 * terminal itself, but for text_is_utf8(). */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

/* Whether the locale's characters are UTF-8; main() has called setlocale(). */
bool text_is_utf8(void);

/* Adds TEXT so that it does nothing to a terminal: control characters, and those that change the direction of others,
 * are written as \xHH. Without UTF8 everything beyond ASCII is. */
void text_add_safe(struct buf *out, const char *text, bool utf8);

/* The same for several lines, which stay lines. */
void text_add_safe_lines(struct buf *out, const char *text, bool utf8);

/* How many places it takes on a terminal, and its first bytes that take at most WIDTH. Of what text_add_safe()
 * wrote. */
size_t text_width(const char *text);
size_t text_prefix(const char *text, size_t width);

/* Adds TEXT in WIDTH places: filled up with blanks, or cut, with an ellipsis at its end. */
void text_add_fitted(struct buf *out, const char *text, size_t width, bool utf8);

/* "12s", "3min", "2h 5min", "3d 4h"; "<1s". */
void text_add_age(struct buf *out, usec_t age);

/* "100us", "2.5ms", "1s", "5min", for measured durations: three digits say enough. */
void text_add_duration(struct buf *out, usec_t duration);

/* A bar of VALUE in proportion to FULL, which takes WIDTH places. Something is seen of what is not 0. */
struct text_bar {
        uint64_t value;
        uint64_t full;
        size_t width;
        bool utf8;
};
void text_add_bar(struct buf *out, const struct text_bar *bar);

/* Shrinks COUNT columns, WIDTHS wide, to ROOM places together with GAP between them: those with a MINIMUM above 0,
 * the widest first, and none below its minimum. ROOM 0: any number. */
struct text_columns {
        size_t *widths;
        const size_t *minimums;
        size_t count;
        size_t gap;
        size_t room;
};
void text_fit_columns(const struct text_columns *columns);
