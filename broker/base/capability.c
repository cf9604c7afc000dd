#include "base/capability.h"

#include "base/defs.h"
#include "base/err.h"
#include "base/nearest.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>

#define NAME_MAX_SIZE 64

/* The name of a number that this kernel has, without its CAP_, in capitals. */
static void name_of(unsigned number, char name[NAME_MAX_SIZE]) {
        char *own = cap_to_name((cap_value_t)number);
        const char *from = own && strncmp(own, "cap_", 4) == 0 ? own + 4 : "";
        size_t n = 0;

        /* Newer than our libcap. */
        if (*from == '\0')
                snprintf(name, NAME_MAX_SIZE, "%u", number);
        for (; from[n] && n + 1 < NAME_MAX_SIZE; n++)
                name[n] = (char)toupper((unsigned char)from[n]);
        if (n > 0)
                name[n] = '\0';
        cap_free(own);
}

static void find_nearest(const char *name, struct buf *nearest) {
        char room[64][NAME_MAX_SIZE];
        const char *names[64];
        size_t count = 0;

        for (; count < LENGTH_OF(names) && count < (size_t)cap_max_bits(); count++) {
                name_of((unsigned)count, room[count]);
                names[count] = room[count];
        }
        buf_add_string(nearest, nearest_name(name, names, count) ?: "");
}

int capability_find(const char *name, unsigned *ret, struct buf *nearest) {
        char text[NAME_MAX_SIZE + 4] = "cap_";
        cap_value_t number;
        size_t n = strncasecmp(name, "cap_", 4) == 0 ? 4 : 0;

        for (size_t i = 0; name[n + i] && i + 1 < NAME_MAX_SIZE; i++) {
                text[4 + i] = (char)tolower((unsigned char)name[n + i]);
                text[5 + i] = '\0';
        }
        if (strlen(name + n) >= NAME_MAX_SIZE || cap_from_name(text, &number) < 0) {
                for (char *p = text + 4; *p; p++)
                        *p = (char)toupper((unsigned char)*p);
                find_nearest(text + 4, nearest);
                return -ENOENT;
        }
        if (number >= cap_max_bits() || number >= 64)
                return -EOPNOTSUPP;
        *ret = (unsigned)number;
        return 0;
}

void capability_add_name(struct buf *out, unsigned number) {
        char name[NAME_MAX_SIZE];

        name_of(number, name);
        buf_add_string(out, name);
}

static bool has(cap_t caps, unsigned number, cap_flag_t flag) {
        cap_flag_value_t value = CAP_CLEAR;

        return cap_get_flag(caps, (cap_value_t)number, flag, &value) == 0 && value == CAP_SET;
}

int capability_get_own(struct capability_sets *ret) {
        struct capability_sets sets = {0};
        cap_t caps = cap_get_proc();

        if (!caps)
                return err_raise(-errno);
        for (unsigned i = 0; i < 64 && i < (unsigned)cap_max_bits(); i++) {
                uint64_t bit = CAPABILITY_BIT(i);

                sets.bounding |= cap_get_bound((cap_value_t)i) > 0 ? bit : 0;
                sets.ambient |= cap_get_ambient((cap_value_t)i) > 0 ? bit : 0;
                sets.permitted |= has(caps, i, CAP_PERMITTED) ? bit : 0;
                sets.effective |= has(caps, i, CAP_EFFECTIVE) ? bit : 0;
                sets.inheritable |= has(caps, i, CAP_INHERITABLE) ? bit : 0;
        }
        cap_free(caps);
        *ret = sets;
        return 0;
}
