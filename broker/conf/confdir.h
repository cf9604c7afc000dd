/* From paths on the command line to a checked set of definitions. */
#pragma once

#include "conf/servicedef.h"

/* Reads every file of PATHS (a file, or a directory whose *.yaml and *.yml are read in the order of their names) and
 * checks all of it. Everything wrong in any of them is added to DIAG. Returns the set, or NULL when there were errors;
 * warnings alone do not stop it. The caller frees the set. */
struct def_set *confdir_load(const struct strlist *paths, struct diag *diag);
