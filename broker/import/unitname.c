#include "import/unitname.h"

#include <ctype.h>

#define NAME_LONGEST 255

bool unitname_is_valid(const char *name) {
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\\@";
        size_t size = strlen(name);

        return size > 0 && size <= NAME_LONGEST && name[0] != '@' && name[0] != '.' && strspn(name, letters) == size &&
               unitname_suffix(name)[0] != '\0' && unitname_suffix(name)[1] != '\0';
}

const char *unitname_suffix(const char *name) {
        const char *dot = strrchr(name, '.');

        return dot ? dot : "";
}

static const char *find_at(const char *name) {
        const char *at = strchr(name, '@');

        return at && at < name + strlen(name) - strlen(unitname_suffix(name)) ? at : NULL;
}

bool unitname_is_template(const char *name) {
        const char *at = find_at(name);

        return at && at + 1 == unitname_suffix(name);
}

bool unitname_is_instance(const char *name) {
        return find_at(name) && !unitname_is_template(name);
}

static size_t stem_size(const char *name) {
        return strlen(name) - strlen(unitname_suffix(name));
}

void unitname_prefix(const char *name, struct buf *ret) {
        const char *at = find_at(name);

        buf_add(ret, name, at ? (size_t)(at - name) : stem_size(name));
}

void unitname_instance(const char *name, struct buf *ret) {
        const char *at = find_at(name);

        if (at)
                buf_add(ret, at + 1, stem_size(name) - (size_t)(at + 1 - name));
}

void unitname_template(const char *name, struct buf *ret) {
        unitname_prefix(name, ret);
        buf_printf(ret, "@%s", unitname_suffix(name));
}

void unitname_with_suffix(const char *name, const char *suffix, struct buf *ret) {
        buf_add(ret, name, stem_size(name));
        buf_add_string(ret, suffix);
}

void unitname_fill(const char *name, const char *instance, struct buf *ret) {
        unitname_prefix(name, ret);
        buf_printf(ret, "@%s%s", instance, unitname_suffix(name));
}

static int digit_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c = (char)tolower((unsigned char)c);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void unitname_unescape(const char *part, struct buf *ret) {
        for (; *part; part++) {
                if (part[0] == '\\' && part[1] == 'x' && digit_value(part[2]) >= 0 && digit_value(part[3]) >= 0 &&
                    (part[2] != '0' || part[3] != '0')) {
                        buf_add_char(ret, (char)(digit_value(part[2]) << 4 | digit_value(part[3])));
                        part += 3;
                } else {
                        buf_add_char(ret, *part == '-' ? '/' : *part);
                }
        }
}
