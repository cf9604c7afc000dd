/* Specifiers in unit files: %t, %i and the like (systemd.unit(5), SPECIFIERS). */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

/* What specifiers are about. */
struct unitspec_scope {
        const char *name;    /* of the unit, with the instance it is read for */
        const char *path;    /* of its file, for messages and %y; NULL: none */
        bool user;           /* a unit of a user's own service manager */
        bool per_connection; /* the instance is made up for each connection: nobody knows it yet */
        bool keeps_instance; /* of a template: %i stays %i */
};

/* Writes TEXT with its specifiers filled in to RET, which is appended to. False with the reason in WHY where one has no
 * value here. *MACHINE becomes true where one was taken from this machine, which may not be the one to run on. */
bool unitspec_expand(const struct unitspec_scope *scope, const char *text, struct buf *ret, bool *machine,
                     struct buf *why);
