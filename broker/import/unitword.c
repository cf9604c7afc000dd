#include "import/unitword.h"

#include "base/defs.h"

#include <stdint.h>

#define SEPARATORS " \t\n\r"

static bool is_separator(char c) {
        return c == '\0' || strchr(SEPARATORS, c) != NULL;
}

static void add_utf8(struct buf *out, unsigned c) {
        if (c < 0x80) {
                buf_add_char(out, (char)c);
                return;
        }
        if (c < 0x800) {
                buf_add_char(out, (char)(0xc0 | c >> 6));
        } else {
                if (c < 0x10000) {
                        buf_add_char(out, (char)(0xe0 | c >> 12));
                } else {
                        buf_add_char(out, (char)(0xf0 | c >> 18));
                        buf_add_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
                }
                buf_add_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        }
        buf_add_char(out, (char)(0x80 | (c & 0x3f)));
}

/* COUNT digits of BASE at P; false where there are fewer. */
static bool read_digits(const char *p, unsigned base, size_t count, unsigned *ret) {
        uint64_t value = 0;

        for (size_t i = 0; i < count; i++) {
                static const char digits[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
                const char *digit = p[i] ? memchr(digits, p[i], base) : NULL;

                if (!digit && p[i])
                        digit = memchr(upper, p[i], base) ? digits + ((char *)memchr(upper, p[i], base) - upper) : NULL;
                if (!digit)
                        return false;
                value = value * base + (unsigned)(digit - digits);
        }
        *ret = (unsigned)value;
        return true;
}

/* The escape whose letter is at P. Returns how long it is without its backslash, or 0 where it is none. NUL is none:
 * no text could hold it. */
static size_t read_escape(const char *p, struct buf *out) {
        static const char letters[] = "abfnrtv\\\"'s", meanings[] = "\a\b\f\n\r\t\v\\\"' ";
        const char *letter = *p ? strchr(letters, *p) : NULL;
        unsigned value;

        if (letter) {
                buf_add_char(out, meanings[letter - letters]);
                return 1;
        }
        if (*p == 'x' && read_digits(p + 1, 16, 2, &value) && value != 0) {
                buf_add_char(out, (char)value);
                return 3;
        }
        if (*p >= '0' && *p <= '3' && read_digits(p, 8, 3, &value) && value != 0) {
                buf_add_char(out, (char)value);
                return 3;
        }
        if ((*p == 'u' || *p == 'U') && read_digits(p + 1, 16, *p == 'u' ? 4 : 8, &value) && value != 0 &&
            value <= 0x10ffff && (value < 0xd800 || value > 0xdfff)) {
                add_utf8(out, value);
                return *p == 'u' ? 5 : 9;
        }
        return 0;
}

enum unitword_outcome unitword_next(const char **p, struct buf *ret) {
        const char *at = *p + strspn(*p, SEPARATORS);
        enum unitword_outcome outcome = UNITWORD_OK;
        char quote = '\0';

        buf_clear(ret);
        if (*at == '\0') {
                *p = at;
                return UNITWORD_END;
        }
        for (; quote || !is_separator(*at); at++) {
                size_t size;

                if (*at == '\0' || (*at == '\\' && at[1] == '\0'))
                        return UNITWORD_UNCLOSED;
                if (*at == quote) {
                        quote = '\0';
                } else if (!quote && (*at == '"' || *at == '\'')) {
                        quote = *at;
                } else if (*at == '\\' && (size = read_escape(at + 1, ret)) > 0) {
                        at += size;
                } else {
                        if (*at == '\\') {
                                outcome = UNITWORD_ODD;
                                buf_add_char(ret, *at++); /* and what follows, be it a quote */
                        }
                        buf_add_char(ret, *at);
                }
        }
        *p = at + strspn(at, SEPARATORS);
        return outcome;
}
