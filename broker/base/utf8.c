#include "base/utf8.h"

size_t utf8_sequence(const unsigned char *p) {
        unsigned low = 0x80, high = 0xbf;
        size_t n;

        if (p[0] < 0x80)
                return 1;
        if (p[0] >= 0xc2 && p[0] <= 0xdf)
                n = 2;
        else if (p[0] >= 0xe0 && p[0] <= 0xef)
                n = 3;
        else if (p[0] >= 0xf0 && p[0] <= 0xf4)
                n = 4;
        else
                return 0;
        if (p[0] == 0xe0)
                low = 0xa0;
        else if (p[0] == 0xed)
                high = 0x9f;
        else if (p[0] == 0xf0)
                low = 0x90;
        else if (p[0] == 0xf4)
                high = 0x8f;
        if (p[1] < low || p[1] > high)
                return 0;
        for (size_t i = 2; i < n; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        return n;
}

unsigned utf8_character(const unsigned char *p, size_t n) {
        unsigned character = n == 1 ? p[0] : p[0] & (0xffU >> (n + 1));

        for (size_t i = 1; i < n; i++)
                character = character << 6 | (p[i] & 0x3fU);
        return character;
}

bool utf8_is_control(const unsigned char *p, size_t n) {
        unsigned c = utf8_character(p, n);

        return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
               (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}
