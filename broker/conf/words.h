/* A command in one string, cut into words as docker compose does it: blanks, quotes and backslashes, and no shell. */
#pragma once

#include "base/strlist.h"

enum words_outcome {
        WORDS_OK,
        WORDS_UNCLOSED_SINGLE, /* ' without its end */
        WORDS_UNCLOSED_DOUBLE,
        WORDS_LONE_BACKSLASH, /* the last character */
        WORDS_NO_MEMORY,
};

/* Appends the words of TEXT to RET. Inside single quotes everything stands for itself; inside double quotes a backslash
 * does, unless " or \ follows; outside of both it takes its meaning from any character. */
enum words_outcome words_split(const char *text, struct strlist *ret);
