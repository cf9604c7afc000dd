/* From one set of definitions to another, all or nothing: everything new is opened, resolved and bound first; only when
 * all of that has succeeded are services changed, and that cannot fail. The first start is a reload from nothing. */
#pragma once

#include "core/manager.h"

enum reload_outcome {
        RELOAD_DONE,
        RELOAD_BAD_DEFINITIONS, /* DIAG says what is wrong with them; nothing has changed */
        RELOAD_FAILED,          /* DIAG says what could not be opened or bound; nothing has changed */
};

struct reload_summary {
        unsigned added;
        unsigned changed;
        unsigned removed;
        unsigned kept;
};

/* Puts OWN_SET in force, which is consumed. Warnings go to DIAG as well. */
enum reload_outcome reload_apply(struct manager *manager, struct def_set *own_set, struct reload_summary *ret,
                                 struct diag *diag);

/* Reads PATHS and applies them; logs what came of it. For SIGHUP. */
void reload_from(struct manager *manager, const struct strlist *paths);

/* Something beside the services that goes by the definitions: a socket of the broker's own. It takes part in every
 * reload, the first one included, from when it was added. Embedded in its owner. */
struct reload_listener {
        struct list link; /* among the manager's */
        void *userdata;
        /* Opens what DEF wants anew and leaves alone what is in use. What is wrong goes to DIAG; then a negative errno
         * where it is not the definition's fault. DEF is gone by the time of the commit. */
        int (*prepare)(void *userdata, const struct broker_def *def, struct diag *diag);
        /* Puts that in force; cannot fail. manager->broker is the new definition. */
        void (*commit)(void *userdata);
        /* Undoes it: called for every listener, also those whose prepare() failed or was not reached. */
        void (*discard)(void *userdata);
};

/* Adds LISTENER, which is its owner's and is taken out again by list_remove(). */
void reload_add_listener(struct manager *manager, struct reload_listener *listener);

/* Makes the plan of every service of SET, without sockets, only to see whether it can be made: for `broker check`. */
void reload_check(const struct def_set *set, struct diag *diag);

/* Opens the sockets of SERVICES, all workers of one, which were halted. What is wrong goes to DIAG, and they stay as
 * they are; otherwise true. */
bool reload_reopen(struct manager *manager, struct service *const *services, size_t count, struct diag *diag);
