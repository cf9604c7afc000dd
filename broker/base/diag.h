/* What is wrong in text an administrator wrote: a bounded list of messages with their positions, printed as
 * FILE:LINE:COLUMN: path.to.key: message. Bad input never becomes an errno; it becomes one of these. */
#pragma once

#include "base/buf.h"
#include "base/defs.h"

#include <stdbool.h>

/* A place in a file. The name is borrowed from whoever read the file and lives as long as the definitions do; a diag
 * makes a copy of its own. */
struct mark {
        const char *file; /* NULL: no place; the message is printed without one */
        unsigned line;    /* from 1; 0: the file as a whole */
        unsigned column;  /* from 1; 0: the line as a whole */
};

enum diag_level {
        DIAG_ERROR,
        DIAG_WARNING,
};

#define DIAG_MAX 1000 /* messages kept, unless all are wanted; the rest is counted */

struct diag_entry;

struct diag {
        struct diag_entry *entries;
        size_t count;
        size_t room;
        char **files; /* names of the files that the entries are about, in the order they came */
        size_t file_count;
        size_t errors; /* all of them, also those beyond DIAG_MAX */
        size_t warnings;
        bool keeps_all; /* what is not said would be lost in silence: DIAG_MAX does not hold */
        bool unplaced; /* marks are not looked at: of definitions in force, whose files may say something else by now */
};

#define DIAG_NULL ((struct diag){0})

void diag_deinit(struct diag *diag);

/* Adds an error. PATH is the key's path (services.web.listen[1].backlog) or NULL. */
void diag_error(struct diag *diag, const struct mark *mark, const char *path, const char *format, ...)
        PRINTF_LIKE(4, 5);

/* Adds a warning: worth knowing, stops nothing. */
void diag_warning(struct diag *diag, const struct mark *mark, const char *path, const char *format, ...)
        PRINTF_LIKE(4, 5);

static inline bool diag_has_errors(const struct diag *diag) {
        return diag->errors > 0;
}

/* Writes one line per message to RET: file by file in the order they came, by position within each file, with
 * "warning: " before the text of warnings and a last line that counts what was left out. */
void diag_format(const struct diag *diag, struct buf *ret);

/* One message as diag_format() writes it, without the newline. Returns false past the end. */
bool diag_format_entry(const struct diag *diag, size_t index, struct buf *ret, enum diag_level *ret_level);
