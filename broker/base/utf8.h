/* UTF-8 (RFC 3629), byte by byte. */
#pragma once

#include <stddef.h>

/* The length of the sequence at P, which is NUL-terminated: no overlong forms, no surrogates, nothing above U+10FFFF.
 * Or 0, where there is none. */
size_t utf8_sequence(const unsigned char *p);
