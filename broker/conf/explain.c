#include "conf/explain.h"

#include "base/nearest.h"
#include "conf/print.h"
#include "conf/schema.h"

#include <string.h>

/* A key's path without what differs from service to service. */
struct key_path {
        char text[256];
        char *parts[16];
        size_t count;
};

/* Cuts at dots; leaves out [1] and the like. */
static bool path_split(const char *key, struct key_path *ret) {
        size_t n = 0;

        if (strlen(key) >= sizeof(ret->text))
                return false;
        ret->count = 0;
        for (const char *p = key; *p;) {
                size_t size = strcspn(p, ".[");

                if (size > 0) {
                        if (ret->count == LENGTH_OF(ret->parts))
                                return false;
                        ret->parts[ret->count++] = ret->text + n;
                        memcpy(ret->text + n, p, size);
                        n += size;
                        ret->text[n++] = '\0';
                }
                p += size;
                p += *p == '[' ? strcspn(p, "]") : 0;
                p += *p != '\0';
        }
        return ret->count > 0;
}

struct found_key {
        const struct section *section;
        const struct key *key;
};

/* Follows PARTS down from a section. */
static bool find_from(const struct section *section, char *const *parts, size_t count, struct found_key *ret) {
        const struct key *key = section ? section_find(section, parts[0]) : NULL;

        if (!key)
                return false;
        *ret = (struct found_key){section, key};
        return count == 1 || find_from(key->section, parts + 1, count - 1, ret);
}

/* The names of services may have dots in them, so every rest is tried. */
static bool find_in_service(const struct key_path *path, size_t first, struct found_key *ret) {
        for (size_t i = first; i < path->count; i++)
                if (find_from(&section_service, path->parts + i, path->count - i, ret))
                        return true;
        return false;
}

static bool find_key(const char *text, struct found_key *ret) {
        struct key_path path;

        if (!path_split(text, &path))
                return false;
        if (strcmp(path.parts[0], "services") == 0 && path.count > 2)
                return find_in_service(&path, 2, ret);
        if (strcmp(path.parts[0], "defaults") == 0 && path.count > 1)
                return find_from(&section_service, path.parts + 1, path.count - 1, ret);
        if (find_from(&section_top, path.parts, path.count, ret) ||
            find_from(&section_service, path.parts, path.count, ret))
                return true;
        /* A key of some mapping by its own name. */
        for (size_t i = 0; i < schema_section_count; i++)
                if (find_from(schema_sections[i], path.parts, path.count, ret))
                        return true;
        return false;
}

static const char *find_nearest(const char *text) {
        const char *names[SECTION_NAMES_MAX];
        const char *last = strrchr(text, '.');
        size_t count = 0;

        for (size_t i = 0; i < schema_section_count; i++)
                count += section_names(schema_sections[i], names + count, LENGTH_OF(names) - count);
        return nearest_name(last ? last + 1 : text, names, count);
}

static void add_default(const struct key *key, struct buf *out) {
        if (key->fallback && strchr(key->fallback, '\n'))
                print_text(out, key->fallback);
        else if (key->fallback)
                buf_add_string(out, key->fallback);
        else if (key->fallback_means)
                buf_add_string(out, key->fallback_means);
        else
                buf_add_string(out, key->required ? "none; it must be given" : "none");
}

static void add_keys(const struct section *section, struct buf *out) {
        const char *lead = "";

        section_for_each(key, section) {
                buf_printf(out, "%s%s", lead, key->name);
                lead = ", ";
        }
}

bool explain_key(const char *key, struct buf *out, const char **ret_nearest) {
        struct found_key found;

        if (!find_key(key, &found)) {
                *ret_nearest = find_nearest(key);
                return false;
        }
        *ret_nearest = NULL;
        buf_printf(out, "%s%s\n  %s\n  Value:   ", found.section->path, found.key->name, found.key->meaning);
        found.key->type->describe(found.key, out);
        buf_add_string(out, "\n  Default: ");
        add_default(found.key, out);
        if (key_scope_text(found.key->scope))
                buf_printf(out, "\n  For:     %s", key_scope_text(found.key->scope));
        if (found.key->addresses)
                buf_printf(out, "\n  For:     %s", found.key->addresses->text);
        if (found.key->section) {
                buf_add_string(out, "\n  Keys:    ");
                add_keys(found.key->section, out);
        }
        buf_printf(out, "\n  Example: %s: %s\n", found.key->name, found.key->example);
        return true;
}

void explain_all(struct buf *out) {
        for (size_t i = 0; i < schema_section_count; i++) {
                const struct section *section = schema_sections[i];

                for (size_t j = 0; j < section->group_count; j++) {
                        const struct key_group *group = section->groups[j];

                        if (out->size > 0)
                                buf_add_char(out, '\n');
                        buf_printf(out, "%s%s%s\n", section->path[0] ? section->path : "top level",
                                   group->title ? " " : "", group->title ? group->title : "");
                        for (size_t k = 0; k < group->count; k++)
                                buf_printf(out, "  %-18s %s\n", group->keys[k].name, group->keys[k].meaning);
                }
        }
}

/* TEXT as scdoc(5) takes it for itself; what stands between backticks becomes bold. */
static void add_scdoc(struct buf *out, const char *text) {
        for (const char *p = text; *p; p++) {
                if (*p == '`') {
                        buf_add_char(out, '*');
                        continue;
                }
                if (strchr("*_\\<>#", *p))
                        buf_add_char(out, '\\');
                buf_add_char(out, *p);
        }
}

static void scdoc_key(const struct key *key, struct buf *out) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        bool has_example;

        buf_add_char(out, '*');
        add_scdoc(out, key->name);
        buf_add_string(out, "*\n\t");
        add_scdoc(out, key->meaning);
        buf_add_string(out, "++\nValue: ");
        key->type->describe(key, &text);
        add_scdoc(out, buf_text(&text));
        has_example = strstr(buf_text(&text), key->example) != NULL;
        buf_add_string(out, ".++\nDefault: ");
        buf_clear(&text);
        add_default(key, &text);
        add_scdoc(out, buf_text(&text));
        buf_add_char(out, '.');
        if (key_scope_text(key->scope)) {
                buf_add_string(out, "++\nFor ");
                add_scdoc(out, key_scope_text(key->scope));
                buf_add_char(out, '.');
        }
        if (key->addresses) {
                buf_add_string(out, "++\nFor ");
                add_scdoc(out, key->addresses->text);
                buf_add_string(out, key->addresses->inherited ? ", and for fd:NAME." : ".");
        }
        if (!has_example) {
                buf_add_string(out, "++\nExample: ");
                add_scdoc(out, key->name);
                buf_add_string(out, ": ");
                add_scdoc(out, key->example);
        }
        buf_add_string(out, "\n\n");
}

static void scdoc_title(const struct section *section, const struct key_group *group, struct buf *out) {
        buf_add_string(out, "## ");
        if (group->title) {
                buf_add_string(out, "A service: ");
                add_scdoc(out, group->title);
        } else if (section->path[0]) {
                const char *path = section->path;
                AUTO(freep) char *name = strndup(path, strlen(path) - 1);

                buf_add_string(out, "Below ");
                add_scdoc(out, name ? name : path);
        } else {
                buf_add_string(out, "Top level");
        }
        buf_add_string(out, "\n\n");
}

void explain_scdoc(struct buf *out) {
        for (size_t i = 0; i < schema_section_count; i++)
                for (size_t j = 0; j < schema_sections[i]->group_count; j++) {
                        const struct key_group *group = schema_sections[i]->groups[j];

                        scdoc_title(schema_sections[i], group, out);
                        for (size_t k = 0; k < group->count; k++)
                                scdoc_key(&group->keys[k], out);
                }
}
