/* UTF-8 (RFC 3629), byte by byte. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The length of the sequence at P, which is NUL-terminated: no overlong forms, no surrogates, nothing above U+10FFFF.
 * Or 0, where there is none. */
size_t utf8_sequence(const unsigned char *p);

/* The character of the sequence of N bytes at P. */
unsigned utf8_character(const unsigned char *p, size_t n);

/* Whether the sequence of N bytes at P would do something to a terminal or to the look of a line, instead of standing
 * in it: the controls of ASCII and of ISO 8859 (U+009B begins an escape sequence), ends of lines and paragraphs, and
 * what turns the direction of text round. */
bool utf8_is_control(const unsigned char *p, size_t n);
