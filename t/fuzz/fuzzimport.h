/* What the harnesses of `broker import` share. */
#pragma once

#include "fuzz.h"

#include "import/import.h"

/* A file that there is, and whether it is on the command line. */
struct fuzz_file {
        const char *name;
        const char *text;
        bool is_named;
};

/* Imports FILES, which are all there are. */
void fuzz_import_files(void (*importer)(struct import *import), const struct fuzz_file *files, size_t count);

/* Whether there is a file of that name while an importer runs. */
bool fuzz_has_file(const char *path);

/* Imports DATA as the one file there is, beside one that it can include. Whatever stands in it, what is printed
 * loads, but for what there is none of here: hosts, users, files. */
void fuzz_import(void (*importer)(struct import *import), const uint8_t *data, size_t size);
