/* A file to import, line by line. */
#pragma once

#include "import/sheet.h"

#include <dirent.h>

struct source {
        const char *name;
        char *next; /* the line to come; NULL at the end */
        unsigned line;
};

/* Reads PATH, - for stdin. When that fails, an error says so, at the line FROM that named it where there is one.
 * Name and text belong to the sheet. */
bool source_open(struct source *source, struct sheet *sheet, const char *path, const struct mark *from);

/* scandir(3), in the order of bytes. */
int source_scan(const char *path, struct dirent ***ret, int (*filter)(const struct dirent *));

/* The next line without its end, LF or CR LF, and where it is; NULL at the end. The text may be changed. */
char *source_line(struct source *source, struct mark *ret);

/* The lowest line of the file that was not read yet. */
static inline struct mark source_mark(const struct source *source) {
        return (struct mark){.file = source->name, .line = source->line};
}
