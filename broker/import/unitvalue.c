#include "import/unitvalue.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define BLANKS " \t\n\r"

struct unit_of_time {
        const char *name;
        usec_t size;
};

static const struct unit_of_time units[] = {
        {"seconds", USEC_PER_SEC},
        {"second", USEC_PER_SEC},
        {"sec", USEC_PER_SEC},
        {"s", USEC_PER_SEC},
        {"minutes", 60 * USEC_PER_SEC},
        {"minute", 60 * USEC_PER_SEC},
        {"min", 60 * USEC_PER_SEC},
        {"months", 2629800 * USEC_PER_SEC},
        {"month", 2629800 * USEC_PER_SEC},
        {"M", 2629800 * USEC_PER_SEC},
        {"msec", USEC_PER_MSEC},
        {"ms", USEC_PER_MSEC},
        {"m", 60 * USEC_PER_SEC},
        {"hours", 3600 * USEC_PER_SEC},
        {"hour", 3600 * USEC_PER_SEC},
        {"hr", 3600 * USEC_PER_SEC},
        {"h", 3600 * USEC_PER_SEC},
        {"days", 86400 * USEC_PER_SEC},
        {"day", 86400 * USEC_PER_SEC},
        {"d", 86400 * USEC_PER_SEC},
        {"weeks", 7 * 86400 * USEC_PER_SEC},
        {"week", 7 * 86400 * USEC_PER_SEC},
        {"w", 7 * 86400 * USEC_PER_SEC},
        {"years", 31557600 * USEC_PER_SEC},
        {"year", 31557600 * USEC_PER_SEC},
        {"y", 31557600 * USEC_PER_SEC},
        {"usec", 1},
        {"us", 1},
        {"\xc2\xb5s", 1}, /* the micro sign */
        {"\xce\xbcs", 1}, /* the Greek letter */
};

/* The unit at *P, which is moved past it; seconds where there is none. NULL where it is unknown. */
static const struct unit_of_time *read_unit(const char **p) {
        static const struct unit_of_time seconds = {"", USEC_PER_SEC};
        size_t size = strcspn(*p, BLANKS "0123456789.-+");

        if (size == 0)
                return &seconds;
        for (size_t i = 0; i < LENGTH_OF(units); i++)
                if (strlen(units[i].name) == size && strncmp(*p, units[i].name, size) == 0) {
                        *p += size;
                        return &units[i];
                }
        return NULL;
}

/* One part of a span: a number, perhaps with a fraction, and a unit. */
static bool read_part(const char **p, usec_t *total) {
        uint64_t whole = 0, part;
        usec_t tenth, fraction = 0;
        const char *digits = *p, *decimals = NULL;
        const struct unit_of_time *unit;

        for (; isdigit((unsigned char)**p); (*p)++)
                if (__builtin_mul_overflow(whole, 10, &whole) ||
                    __builtin_add_overflow(whole, (uint64_t)(**p - '0'), &whole))
                        return false;
        if (**p == '.') {
                decimals = ++*p;
                *p += strspn(*p, "0123456789");
        }
        if (*p == digits || (decimals && *p == decimals))
                return false;
        *p += strspn(*p, BLANKS);
        unit = read_unit(p);
        if (!unit)
                return false;
        tenth = unit->size / 10;
        for (; decimals && isdigit((unsigned char)*decimals); decimals++, tenth /= 10)
                fraction += tenth * (usec_t)(*decimals - '0');
        return !__builtin_mul_overflow(whole, unit->size, &part) && !__builtin_add_overflow(part, fraction, &part) &&
               !__builtin_add_overflow(*total, part, total);
}

bool unitvalue_duration(const char *text, usec_t *ret) {
        const char *p = text + strspn(text, BLANKS);
        usec_t total = 0;

        if (strcmp(p, "infinity") == 0) {
                *ret = USEC_INFINITY;
                return true;
        }
        if (!*p)
                return false;
        while (*p) {
                if (!read_part(&p, &total))
                        return false;
                p += strspn(p, BLANKS);
        }
        *ret = total;
        return true;
}

/* A number, perhaps with a fraction, and a letter. */
static bool read_bytes(const char **p, uint64_t *ret, size_t *ret_letter) {
        static const char letters[] = "BKMGTPE";
        const char *decimals = NULL, *letter;
        uint64_t value, fraction = 0, unit = 1;
        char *end;

        if (!isdigit((unsigned char)**p))
                return false;
        errno = 0;
        value = strtoull(*p, &end, 10);
        if (errno != 0)
                return false;
        if (*end == '.') {
                decimals = end + 1;
                end += 1 + strspn(decimals, "0123456789");
        }
        end += strspn(end, BLANKS);
        letter = *end ? strchr(letters, *end) : NULL;
        *ret_letter = letter ? (size_t)(letter - letters) : 0;
        for (size_t i = 0; i < *ret_letter; i++)
                unit *= 1024;
        if (decimals) {
                char text[32];

                snprintf(text, sizeof(text), "0.%.*s", 15, decimals);
                fraction = (uint64_t)(strtod(text, NULL) * (double)unit);
        }
        *p = end + (letter != NULL);
        return !__builtin_mul_overflow(value, unit, ret) && !__builtin_add_overflow(*ret, fraction, ret);
}

bool unitvalue_size(const char *text, uint64_t *ret) {
        uint64_t total = 0;
        size_t before = SIZE_MAX;

        do {
                uint64_t part;
                size_t letter;

                if (!read_bytes(&text, &part, &letter) || letter >= before ||
                    __builtin_add_overflow(total, part, &total))
                        return false;
                before = letter;
                text += strspn(text, BLANKS);
        } while (*text);
        *ret = total;
        return true;
}

bool unitvalue_integer(const char *text, int64_t min, int64_t max, int64_t *ret) {
        char *end;
        long long value;

        if (!isdigit((unsigned char)text[0]) && text[0] != '-' && text[0] != '+')
                return false;
        errno = 0;
        value = strtoll(text, &end, 0);
        if (errno != 0 || *end || end == text || value < min || value > max)
                return false;
        *ret = value;
        return true;
}
