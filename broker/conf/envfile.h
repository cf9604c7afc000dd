/* Files of environment variables in docker compose's form: NAME=VALUE lines with comments, quotes, and `export`. */
#pragma once

#include "base/diag.h"

struct envfile_entry {
        char *name;
        char *value; /* NULL: the broker's own */
        struct mark mark;
};

struct envfile {
        struct envfile_entry *items;
        size_t count;
        size_t room;
};

#define ENVFILE_NULL ((struct envfile){0})

#define ENVFILE_SIZE_MAX ((size_t)1024 * 1024)

void envfile_deinit(struct envfile *envfile);

/* Appends what TEXT, the contents of the file NAME, says. What is wrong is added to DIAG, line by line. Returns 0, also
 * then; or -ENOMEM. NAME is borrowed by the marks. */
int envfile_parse(const char *name, const struct buf *text, struct envfile *ret, struct diag *diag);
