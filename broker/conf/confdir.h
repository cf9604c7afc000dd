/* From paths on the command line to a checked set of definitions. */
#pragma once

#include "conf/kept.h"
#include "conf/servicedef.h"

/* Reads every file of PATHS (a file, or a directory whose *.yaml and *.yml are read in the order of their names) and
 * checks all of it. Everything wrong in any of them is added to DIAG. Returns the set, or NULL when there were errors;
 * warnings alone do not stop it. The caller frees the set. */
struct def_set *confdir_load(const struct strlist *paths, struct diag *diag);

/* The same for one definition file whose contents TEXT are in memory already. NAME is what messages call it, and what
 * relative paths in it count from. */
struct def_set *confdir_load_text(const char *name, const struct buf *text, struct diag *diag);

/* The same, but what KEPT has an answer to is not asked again, and no env_file is read. */
struct def_set *confdir_load_kept(const char *name, const struct buf *text, const struct kept *kept, struct diag *diag);
