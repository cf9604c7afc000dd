#include "import/unitload.h"

#include "base/strlist.h"
#include "import/source.h"
#include "import/unitdisk.h"
#include "import/unitname.h"
#include "import/unitword.h"

#include <stdio.h>

/* Where systemd looks for units, the most important place first. */
static const char *const system_places[] = {"/etc/systemd/system", "/run/systemd/system",
                                            "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
                                            "/lib/systemd/system"};
static const char *const user_places[] = {"/etc/systemd/user", "/run/systemd/user", "/usr/local/lib/systemd/user",
                                          "/usr/lib/systemd/user", "/lib/systemd/user"};

struct places {
        const char *const *items;
        size_t count;
        bool user;
};

/* A unit on its way. */
struct loading {
        struct unitset *set;
        struct unit *unit;
        struct places places;
        struct strlist names;   /* that drop-ins can be for, the most important first */
        struct strlist dropins; /* their paths, in the order of their names */
};

void unitset_deinit(struct unitset *set) {
        for (struct unit *unit = set->first; unit; unit = unit->next)
                unitfile_deinit(&unit->file);
        set->first = set->last = NULL;
}

static bool is_in(const char *text, const char *const *items, size_t count) {
        for (size_t i = 0; i < count; i++)
                if (strcmp(text, items[i]) == 0)
                        return true;
        return false;
}

static bool ends_in(const char *text, const char *end) {
        size_t size = strlen(text), end_size = strlen(end);

        return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* *DIRECTORY is borrowed. */
static struct places find_places(const char *const *directory) {
        if (is_in(*directory, system_places, LENGTH_OF(system_places)))
                return (struct places){system_places, LENGTH_OF(system_places), false};
        if (is_in(*directory, user_places, LENGTH_OF(user_places)))
                return (struct places){user_places, LENGTH_OF(user_places), true};
        return (struct places){directory, 1, ends_in(*directory, "systemd/user")};
}

static char *join(struct sheet *sheet, const char *directory, const char *name) {
        bool bare = directory[0] == '\0' || ends_in(directory, "/");

        return sheet_printf(sheet, "%s%s%s", directory, bare ? "" : "/", name);
}

/* The path of NAME in the first place that has it; NULL where none does. */
static char *find_file(struct sheet *sheet, const struct places *places, const char *name) {
        for (size_t i = 0; i < places->count; i++) {
                char *path = join(sheet, places->items[i], name);

                if (path && unitdisk_exists(path))
                        return path;
        }
        return NULL;
}

/* The name that the link at PATH gives the unit NAME; NULL where it is no link to another name. */
static char *read_alias(struct sheet *sheet, const char *path, const char *name) {
        AUTO(buf_deinit) struct buf instance = BUF_NULL, filled = BUF_NULL;
        const char *base;
        char target[4096];

        if (!unitdisk_read_link(path, target, sizeof(target)))
                return NULL;
        base = target;
        if (!unitname_is_valid(base) || strcmp(unitname_suffix(base), unitname_suffix(name)) != 0)
                return NULL;
        if (unitname_is_template(base) && unitname_is_instance(name)) {
                unitname_instance(name, &instance);
                unitname_fill(base, buf_text(&instance), &filled);
                base = filled.data;
        }
        return base && strcmp(base, name) != 0 ? sheet_copy(sheet, base) : NULL;
}

static void parse(struct loading *loading, const char *path) {
        struct sheet *sheet = loading->set->sheet;
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        size_t errors = sheet->diag.errors;
        struct source source;

        if (source_open(&source, sheet, path, NULL)) {
                buf_add_string(&text, source.next);
                if (unitfile_parse(source.name, &text, &loading->unit->file, &sheet->diag) < 0)
                        sheet->failed = true;
        }
        loading->unit->broken = loading->unit->broken || sheet->diag.errors > errors;
}

/* Adds NAME, its template, what its prefix has before each dash, and the type. */
static void add_names(struct loading *loading, const char *name) {
        AUTO(buf_deinit) struct buf template = BUF_NULL, prefix = BUF_NULL;
        struct strlist *names = &loading->names;

        strlist_add(names, name);
        if (unitname_is_instance(name)) {
                unitname_template(name, &template);
                strlist_add(names, buf_text(&template));
        }
        unitname_prefix(name, &prefix);
        for (size_t size = prefix.size; size > 1; size--) {
                AUTO(freep) char *shorter = NULL;

                if (prefix.data[size - 1] != '-' || size == prefix.size)
                        continue;
                if (asprintf(&shorter, "%.*s%s", (int)size, prefix.data, unitname_suffix(name)) >= 0)
                        strlist_add(names, shorter);
                else
                        shorter = NULL;
        }
        strlist_add(names, unitname_suffix(name) + 1);
}

static const char *base_of(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

static bool has_dropin(const struct strlist *list, const char *name) {
        for (size_t i = 0; i < list->count; i++)
                if (strcmp(base_of(list->items[i]), name) == 0)
                        return true;
        return false;
}

static int filter_dropins(const struct dirent *entry) {
        return ends_in(entry->d_name, ".conf");
}

/* A file counts where none of its name stands in a more important directory. */
static void find_dropins(struct loading *loading, const char *place, const char *name) {
        struct sheet *sheet = loading->set->sheet;
        const char *path = join(sheet, place, name);
        char *directory = path ? sheet_printf(sheet, "%s.d", path) : NULL;
        struct dirent **entries = NULL;
        int n = directory ? source_scan(directory, &entries, filter_dropins) : 0;

        for (int i = 0; i < n; i++) {
                char *file = NULL;

                if (!has_dropin(&loading->dropins, entries[i]->d_name))
                        file = join(sheet, directory, entries[i]->d_name);
                if (file && strlist_add(&loading->dropins, file) < 0)
                        sheet->failed = true;
                free(entries[i]);
        }
        free(entries);
}

static int compare_bases(const void *a, const void *b) {
        return strcmp(base_of(*(char *const *)a), base_of(*(char *const *)b));
}

static void load_dropins(struct loading *loading) {
        struct strlist *dropins = &loading->dropins;

        for (size_t i = 0; i < loading->names.count; i++)
                for (size_t j = 0; j < loading->places.count; j++)
                        find_dropins(loading, loading->places.items[j], loading->names.items[i]);
        if (dropins->count > 0)
                qsort(dropins->items, dropins->count, sizeof(*dropins->items), compare_bases);
        for (size_t i = 0; i < dropins->count; i++)
                if (!unitdisk_is_mask(dropins->items[i]))
                        parse(loading, dropins->items[i]);
}

static struct unit *find_loaded(const struct unitset *set, const char *directory, const char *name) {
        for (struct unit *unit = set->first; unit; unit = unit->next)
                if (strcmp(unit->name, name) == 0 && strcmp(unit->directory, directory) == 0)
                        return unit;
        return NULL;
}

static struct unit *add_unit(struct unitset *set, const char *directory, const char *name) {
        struct unit *unit = sheet_alloc(set->sheet, sizeof(*unit));

        if (!unit)
                return NULL;
        unit->name = sheet_copy(set->sheet, name);
        unit->directory = sheet_copy(set->sheet, directory);
        if (!unit->name || !unit->directory)
                return NULL;
        if (set->last)
                set->last->next = unit;
        else
                set->first = unit;
        set->last = unit;
        return unit;
}

/* The path of NAME, or of its template. An alias replaces *NAME, which is added to the names before that. */
static char *resolve(struct loading *loading, const char **name) {
        struct sheet *sheet = loading->set->sheet;

        for (unsigned step = 0; step < 8; step++) {
                AUTO(buf_deinit) struct buf template = BUF_NULL;
                char *path = find_file(sheet, &loading->places, *name), *alias;

                if (!path && unitname_is_instance(*name)) {
                        unitname_template(*name, &template);
                        path = find_file(sheet, &loading->places, buf_text(&template));
                }
                alias = path ? read_alias(sheet, path, *name) : NULL;
                if (!alias || !find_file(sheet, &loading->places, alias))
                        return path;
                add_names(loading, *name);
                *name = alias;
        }
        return NULL;
}

struct unit *unitset_get(struct unitset *set, const char *directory, const char *name) {
        struct loading loading = {.set = set, .places = find_places(&directory)};
        struct unit *unit = find_loaded(set, directory, name);
        const char *path;

        if (unit)
                return unit;
        path = resolve(&loading, &name);
        unit = path ? find_loaded(set, directory, name) : NULL;
        if (path && !unit) {
                unit = loading.unit = add_unit(set, directory, name);
                add_names(&loading, name);
        }
        if (unit && loading.unit) {
                unit->path = path;
                unit->user = loading.places.user;
                unit->masked = unitdisk_is_mask(path);
                if (!unit->masked) {
                        parse(&loading, path);
                        load_dropins(&loading);
                }
        }
        strlist_deinit(&loading.names);
        strlist_deinit(&loading.dropins);
        return unit;
}

struct unit *unitset_find_alias(const struct unitset *set, const char *name) {
        AUTO(buf_deinit) struct buf word = BUF_NULL;

        for (struct unit *unit = set->first; unit; unit = unit->next)
                for (size_t i = 0; i < unit->file.count; i++) {
                        const struct unit_entry *entry = &unit->file.items[i];
                        const char *p = entry->value;

                        if (strcmp(entry->section, "Install") != 0 || strcmp(entry->name, "Alias") != 0)
                                continue;
                        while (unitword_next(&p, &word) < UNITWORD_END)
                                if (strcmp(buf_text(&word), name) == 0)
                                        return unit;
                }
        return NULL;
}
