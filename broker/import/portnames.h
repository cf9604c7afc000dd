/* Names of ports: of the services file given with --services, then of the machine's services database. */
#pragma once

#include "import/sheet.h"

struct portname;

struct portnames {
        struct portname *first;
};

/* Reads a file in the form of services(5); it stays the sheet's. False, with an error, when it cannot be read. */
bool portnames_read(struct portnames *names, struct sheet *sheet, const char *path);

/* Looks up NAME, a name or an alias, or reads it where it is a number. PROTOCOL is "tcp" or "udp". False where there is
 * no such port. */
bool portnames_find(const struct portnames *names, const char *name, const char *protocol, unsigned *ret);
