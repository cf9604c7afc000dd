#include "base/nearest.h"

#include "base/defs.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_COMPARED 40

static unsigned min3(unsigned a, unsigned b, unsigned c) {
        return MIN_OF(MIN_OF(a, b), c);
}

static bool same_letter(char a, char b) {
        if (a == '-' || a == ' ')
                a = '_';
        if (b == '-' || b == ' ')
                b = '_';
        return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Optimal string alignment distance, three rows at a time. */
static unsigned edit_distance(const char *a, const char *b) {
        unsigned rows[3][NAME_MAX_COMPARED + 1];
        size_t na = strlen(a), nb = strlen(b);

        if (na > NAME_MAX_COMPARED || nb > NAME_MAX_COMPARED)
                return NAME_MAX_COMPARED;
        for (size_t j = 0; j <= nb; j++)
                rows[0][j] = (unsigned)j;
        for (size_t i = 1; i <= na; i++) {
                unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];

                row[0] = (unsigned)i;
                for (size_t j = 1; j <= nb; j++) {
                        unsigned cost = same_letter(a[i - 1], b[j - 1]) ? 0 : 1;

                        row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost);
                        if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) && same_letter(a[i - 2], b[j - 1]))
                                row[j] = MIN_OF(row[j], two[j - 2] + 1);
                }
        }
        return rows[na % 3][nb];
}

const char *nearest_name(const char *text, const char *const *names, size_t count) {
        unsigned best = UINT_MAX, limit;
        const char *found = NULL;

        for (size_t i = 0; i < count; i++) {
                unsigned distance = edit_distance(text, names[i]);

                limit = (unsigned)(MAX_OF(strlen(names[i]), strlen(text)) + 2) / 3;
                if (distance > limit)
                        continue;
                /* What is only unfinished is nearer than what would be wrong. */
                if (strncasecmp(text, names[i], strlen(text)) != 0)
                        distance *= 3;
                if (distance < best) {
                        best = distance;
                        found = names[i];
                }
        }
        return found;
}
