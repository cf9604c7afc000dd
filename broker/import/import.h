/* `broker import`: configuration of other programs to definitions on stdout, what has no equivalent as comments
 * there and warnings on stderr. */
#pragma once

#include "import/portnames.h"
#include "import/sheet.h"

enum import_kind {
        IMPORT_XINETD,
        IMPORT_INETD,
        IMPORT_SYSTEMD,
        IMPORT_N,
};

extern const char *const import_kind_names[IMPORT_N];

struct import_setup {
        char *const *files;   /* NULL-terminated, one at least */
        const char *services; /* a file of port names; NULL: none */
        bool strict;          /* warnings make it fail */
};

/* What an importer works with. */
struct import {
        struct sheet sheet;
        struct portnames ports;
        char *const *files;
};

/* Imports and prints. Returns the exit status: 1 where something was refused or cannot be read, the rest being printed
 * all the same, and under strict where there was a warning; else 0. */
int import_run(enum import_kind kind, const struct import_setup *setup);

/* Each reads import->files and fills import->sheet. */
void import_xinetd(struct import *import);
void import_inetd(struct import *import);
void import_systemd(struct import *import);
