/* Whole files that an administrator wrote, read with care: nothing but regular files, of bounded size, and as root none
 * that somebody else could have changed. */
#pragma once

#include "base/buf.h"

/* Appends the contents of PATH, at most LIMIT bytes, to RET. Returns 0; or a negative errno with a sentence without its
 * subject in WHY, -ENOENT where there is no such file. */
int textfile_read(const char *path, size_t limit, struct buf *ret, struct buf *why);

/* The path of a file that a definition names: a relative one counts from the directory of DEFINITION, the file that it
 * stands in; NULL where it stands in none. The caller frees it. NULL when memory ran out. */
char *textfile_resolve(const char *definition, const char *path);

/* Whether root may act on what stands in the directory PATH; always true for others. False with the reason in WHY. */
bool textfile_trust_directory(const char *path, struct buf *why);
