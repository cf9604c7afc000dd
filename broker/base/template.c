#include "base/template.h"

#include <string.h>

bool template_is_plain(const char *text) {
        for (const char *p = strchr(text, '$'); p; p = strchr(p + 1, '$'))
                if (p[1] == '$' || p[1] == '{')
                        return false;
        return true;
}

static bool copy_part(char *to, size_t room, const char *from, size_t size) {
        if (size >= room)
                return false;
        memcpy(to, from, size);
        to[size] = '\0';
        return true;
}

/* Reads the placeholder at P, which starts with "${". */
static enum template_outcome template_read(const char *p, struct template_name *ret) {
        const char *end = strchr(p, '}');
        const char *colon;
        size_t name_size;

        if (!end)
                return TEMPLATE_UNCLOSED;
        ret->text = p;
        ret->size = (size_t)(end + 1 - p);
        p += 2;
        colon = memchr(p, ':', (size_t)(end - p));
        name_size = (size_t)((colon ? colon : end) - p);
        if (!copy_part(ret->name, sizeof(ret->name), p, name_size))
                return TEMPLATE_TOO_LONG;
        ret->argument[0] = '\0';
        if (colon && !copy_part(ret->argument, sizeof(ret->argument), colon + 1, (size_t)(end - colon - 1)))
                return TEMPLATE_TOO_LONG;
        return TEMPLATE_OK;
}

struct template_walk {
        template_fill_fn *fill;
        void *userdata;
        bool keep_dollars;
};

static enum template_outcome walk(const char *text, const struct template_walk *how, struct buf *out) {
        struct template_name name;
        enum template_outcome outcome;

        for (const char *p = text; *p;) {
                const char *dollar = strchrnul(p, '$');

                buf_add(out, p, (size_t)(dollar - p));
                p = dollar;
                if (*p == '\0')
                        break;
                if (p[1] == '{') {
                        outcome = template_read(p, &name);
                        if (outcome != TEMPLATE_OK)
                                return outcome;
                        if (!how->fill(how->userdata, &name, out))
                                return TEMPLATE_REFUSED;
                        p += name.size;
                        continue;
                }
                buf_add_char(out, '$');
                if (p[1] == '$' && how->keep_dollars)
                        buf_add_char(out, '$');
                p += p[1] == '$' ? 2 : 1;
        }
        return TEMPLATE_OK;
}

enum template_outcome template_expand(const char *text, template_fill_fn *fill, void *userdata, struct buf *out) {
        return walk(text, &(struct template_walk){.fill = fill, .userdata = userdata}, out);
}

enum template_outcome template_expand_partly(const char *text, template_fill_fn *fill, void *userdata,
                                             struct buf *out) {
        return walk(text, &(struct template_walk){.fill = fill, .userdata = userdata, .keep_dollars = true}, out);
}
