/* What the harnesses of `broker import` share. */
#pragma once

#include "fuzz.h"

#include "import/import.h"

/* Imports DATA as the one file there is, beside one that it can include. Whatever stands in it, what is printed
 * loads, but for what there is none of here: hosts, users, files. */
void fuzz_import(void (*importer)(struct import *import), const uint8_t *data, size_t size);
