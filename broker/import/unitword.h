/* The words of a value in a unit file, as systemd.syntax(7) quotes them: both kinds of quotes, anywhere in a word, and
 * the escapes of C inside and outside of them. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

enum unitword_outcome {
        UNITWORD_OK,
        UNITWORD_ODD,      /* a word, with an escape that is none; it stays as it is, which systemd warns of */
        UNITWORD_END,      /* there is none any more */
        UNITWORD_UNCLOSED, /* a quote, or a backslash at the end: the whole value means nothing */
};

/* Reads the word at *P into RET, which is emptied first, and moves *P to where the next one begins. A word may be
 * "". */
enum unitword_outcome unitword_next(const char **p, struct buf *ret);
