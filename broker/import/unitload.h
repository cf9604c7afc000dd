/* Units from the disk: a file, the template it is an instance of, an alias that leads to another one, and the drop-
 * ins of all these names (systemd.unit(5)). */
#pragma once

#include "import/sheet.h"
#include "import/unitfile.h"

struct unit {
        const char *name; /* of an alias, the name it stands for; of an instance, with the instance */
        const char *path; /* of its file; of an instance, of its template's */
        const char *directory;
        struct unitfile file;
        bool user;   /* one of a user's own service manager */
        bool masked; /* empty, or a link to /dev/null */
        bool broken; /* systemd would not load it; that was said already */
        bool is_used;
        struct unit *next;
};

struct unitset {
        struct sheet *sheet; /* keeps names, and hears what is wrong */
        struct unit *first, *last;
};

void unitset_deinit(struct unitset *set);

/* The unit NAME of DIRECTORY ("" is the current one) or, where that is one of systemd's own, of all of those. NULL
 * where there is none; an alias is the unit that it stands for. Owned by the set. */
struct unit *unitset_get(struct unitset *set, const char *directory, const char *name);

/* The unit among those loaded whose [Install] section has the alias NAME; NULL without one. */
struct unit *unitset_find_alias(const struct unitset *set, const char *name);
