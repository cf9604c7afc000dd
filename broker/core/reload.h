/* From one set of definitions to another, all or nothing: everything new is opened, resolved and bound first; only when
 * all of that has succeeded are services changed, and that cannot fail. The first start is a reload from nothing. */
#pragma once

#include "core/manager.h"

enum reload_outcome {
        RELOAD_DONE,
        RELOAD_BAD_DEFINITIONS, /* DIAG says what is wrong with them; nothing has changed */
        RELOAD_FAILED,          /* DIAG says what could not be opened or bound; nothing has changed */
};

/* Stands for the `broker:` section among names of services, which have no blanks. */
#define RELOAD_BROKER "the broker itself"

/* What a reload came to. */
struct reload_report {
        struct strlist added;   /* names of services */
        struct strlist changed; /* RELOAD_BROKER as well */
        struct strlist removed;
        unsigned kept;           /* services that stay as they are */
        struct strlist messages; /* warnings, and what is wrong, each as one line with its place */
};

#define RELOAD_REPORT_NULL ((struct reload_report){0})

void reload_report_deinit(struct reload_report *report);

/* Puts OWN_SET in force, which is consumed. What is wrong, and warnings, go to DIAG; RET gets the rest, and is left
 * alone unless the outcome is RELOAD_DONE. */
enum reload_outcome reload_apply(struct manager *manager, struct def_set *own_set, struct reload_report *ret,
                                 struct diag *diag);

/* Reads PATHS and applies them; logs what came of it, and tells it in RET. */
enum reload_outcome reload_from(struct manager *manager, const struct strlist *paths, struct reload_report *ret);

/* Whether programs are started with a table of descriptors that is shared at first, by how many sockets there are. */
void reload_choose_table(struct manager *manager);

/* Makes the plan of every service of SET, without sockets, only to see whether it can be made: for `broker check`. */
void reload_check(const struct def_set *set, struct diag *diag);

/* Opens the sockets of SERVICES, all workers of one, which were halted. What is wrong goes to DIAG, and they stay as
 * they are; otherwise true. */
bool reload_reopen(struct manager *manager, struct service *const *services, size_t count, struct diag *diag);
