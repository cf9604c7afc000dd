/* User and group names to numbers. Looked up at load time only: the databases may be slow. */
#pragma once

#include <sys/types.h>

/* NAME is a name of the user database or a decimal number. Returns 0, -ENOENT when there is no such user, or another
 * negative errno when the database cannot be asked. A number needs no entry. */
int ids_find_user(const char *name, uid_t *ret);

/* The same for groups. */
int ids_find_group(const char *name, gid_t *ret);
