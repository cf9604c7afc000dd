/* The text of systemd's unit files (systemd.syntax(7)): sections, and in them NAME=VALUE, one after the other. What the
 * names mean, and which of their values quotes mean something in, is the caller's. */
#pragma once

#include "base/buf.h"
#include "base/diag.h"

#include <stdbool.h>

struct unit_entry {
        char *section; /* without its brackets */
        char *name;
        char *value;      /* lines joined; without blanks at either end, with its quotes and escapes */
        struct mark mark; /* of the line it begins on; the column is that of the name */
};

struct unitfile {
        struct unit_entry *items; /* in the order they came, drop-ins after the unit itself */
        size_t count;
        size_t room;
};

#define UNITFILE_NULL ((struct unitfile){0})

void unitfile_deinit(struct unitfile *unit);

/* Whoever has more entries than this in a unit did not mean to: all are compared with each other. */
#define UNITFILE_MAX 10000

/* Appends what stands in TEXT to RET. FILE is the name for messages and marks, which borrow it. Lines that mean nothing
 * are warnings, as they are to systemd. Returns 0 or -ENOMEM. */
int unitfile_parse(const char *file, const struct buf *text, struct unitfile *ret, struct diag *diag);

/* The entry of NAME in SECTION that counts where only one does: the last. NULL without any. Borrowed. */
const struct unit_entry *unitfile_last(const struct unitfile *unit, const char *section, const char *name);

/* yes, true, on, 1 and their opposites, also as y, t, n and f, in any case. False where TEXT is none of these. */
bool unitfile_read_bool(const char *text, bool *ret);
