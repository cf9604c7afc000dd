#include "base/diag.h"

#include <stdio.h>
#include <string.h>

struct diag_entry {
        struct mark mark; /* its file is one of diag->files */
        size_t file;      /* the place of that one, 0 where there is none */
        enum diag_level level;
        size_t order;
        char *path;
        char *text;
};

void diag_deinit(struct diag *diag) {
        for (size_t i = 0; i < diag->count; i++) {
                free(diag->entries[i].path);
                free(diag->entries[i].text);
        }
        for (size_t i = 0; i < diag->file_count; i++)
                free(diag->files[i]);
        free(diag->files);
        free(diag->entries);
        *diag = DIAG_NULL;
}

/* Keeps a copy of the file's name, since those who read a file in vain free everything, the name included. Files are
 * read one after another: the name is among the last. */
static bool diag_intern(struct diag *diag, struct diag_entry *entry) {
        char **files, *name;

        if (!entry->mark.file)
                return true;
        for (size_t i = diag->file_count; i > 0; i--)
                if (strcmp(diag->files[i - 1], entry->mark.file) == 0) {
                        entry->mark.file = diag->files[i - 1];
                        entry->file = i;
                        return true;
                }
        files = reallocarray(diag->files, diag->file_count + 1, sizeof(*files));
        if (!files)
                return false;
        diag->files = files;
        name = strdup(entry->mark.file);
        if (!name)
                return false;
        diag->files[diag->file_count++] = name;
        entry->mark.file = name;
        entry->file = diag->file_count;
        return true;
}

static int entry_compare(const struct diag_entry *a, const struct diag_entry *b) {
        if (a->file != b->file)
                return a->file < b->file ? -1 : 1;
        if (a->mark.line != b->mark.line)
                return a->mark.line < b->mark.line ? -1 : 1;
        if (a->mark.column != b->mark.column)
                return a->mark.column < b->mark.column ? -1 : 1;
        return a->order < b->order ? -1 : 1;
}

/* Insertion keeps the list sorted within its file; files are read one after another, so the walk back is short. */
static void diag_insert(struct diag *diag, struct diag_entry entry) {
        size_t at;

        if (diag->count == diag->room) {
                size_t room = MAX_OF(diag->room * 2, (size_t)8);
                struct diag_entry *entries = realloc(diag->entries, room * sizeof(*entries));

                if (!entries) {
                        free(entry.path);
                        free(entry.text);
                        return;
                }
                diag->entries = entries;
                diag->room = room;
        }
        for (at = diag->count; at > 0 && entry_compare(&entry, &diag->entries[at - 1]) < 0; at--)
                diag->entries[at] = diag->entries[at - 1];
        diag->entries[at] = entry;
        diag->count++;
}

static void diag_add(struct diag *diag, struct diag_entry entry, const char *format, va_list args) {
        entry.order = diag->errors + diag->warnings;
        if (entry.level == DIAG_ERROR)
                diag->errors++;
        else
                diag->warnings++;
        if ((diag->count >= DIAG_MAX && !diag->keeps_all) || !diag_intern(diag, &entry) ||
            vasprintf(&entry.text, format, args) < 0)
                return;
        entry.path = entry.path ? strdup(entry.path) : NULL;
        diag_insert(diag, entry);
}

void diag_error(struct diag *diag, const struct mark *mark, const char *path, const char *format, ...) {
        struct diag_entry entry = {.level = DIAG_ERROR, .path = (char *)path};
        va_list args;

        if (mark && !diag->unplaced)
                entry.mark = *mark;
        va_start(args, format);
        diag_add(diag, entry, format, args);
        va_end(args);
}

void diag_warning(struct diag *diag, const struct mark *mark, const char *path, const char *format, ...) {
        struct diag_entry entry = {.level = DIAG_WARNING, .path = (char *)path};
        va_list args;

        if (mark && !diag->unplaced)
                entry.mark = *mark;
        va_start(args, format);
        diag_add(diag, entry, format, args);
        va_end(args);
}

bool diag_format_entry(const struct diag *diag, size_t index, struct buf *ret, enum diag_level *ret_level) {
        const struct diag_entry *entry;

        if (index >= diag->count)
                return false;
        entry = &diag->entries[index];
        if (entry->mark.file) {
                buf_add_escaped(ret, entry->mark.file);
                if (entry->mark.line > 0)
                        buf_printf(ret, ":%u", entry->mark.line);
                if (entry->mark.line > 0 && entry->mark.column > 0)
                        buf_printf(ret, ":%u", entry->mark.column);
                buf_add_string(ret, ": ");
        }
        if (entry->path) {
                buf_add_escaped(ret, entry->path);
                buf_add_string(ret, ": ");
        }
        if (entry->level == DIAG_WARNING)
                buf_add_string(ret, "warning: ");
        buf_add_escaped(ret, entry->text);
        if (ret_level)
                *ret_level = entry->level;
        return true;
}

void diag_format(const struct diag *diag, struct buf *ret) {
        size_t total = diag->errors + diag->warnings;

        for (size_t i = 0; diag_format_entry(diag, i, ret, NULL); i++)
                buf_add_char(ret, '\n');
        if (total > diag->count)
                buf_printf(ret, "(and %zu more)\n", total - diag->count);
}
