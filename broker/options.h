/* The command line of broker(8). */
#pragma once

#include "base/defs.h"
#include "base/strlist.h"

#include <stdbool.h>

enum verb {
        VERB_RUN,
        VERB_CHECK,
        VERB_SHOW,
        VERB_EXPLAIN,
        VERB_STATUS,
        VERB_START,
        VERB_STOP,
        VERB_RESTART,
        VERB_KILL,
        VERB_REPLACE,
        VERB_RELOAD,
        VERB_UPGRADE,
        VERB_IMPORT,
        VERB_HELP,
        VERB_VERSION,
        VERB_CHECK_STATE, /* for ctl/upgrade alone; in no manual */
        VERB_N,
};

struct options {
        enum verb verb;
        struct strlist paths; /* of -c; /etc/broker where none was given */
        char **argv;          /* all of it, borrowed */
        const char *argument; /* NAME of a service, KEY of explain, kind of import; NULL; borrowed from argv */
        char **files;         /* import: what stands behind it, NULL-terminated; borrowed from argv */
        bool scdoc;           /* explain: as the source of a manual */
        const char *control;  /* the socket to ask at; NULL: the default; borrowed from argv */
        bool json;
        bool strict;          /* import: warnings are errors */
        const char *services; /* import: a file of port names; NULL: none; borrowed from argv */
        usec_t watch;         /* 0: do not */
        usec_t timeout;       /* 0: none */
};

#define EXIT_USAGE 2
#define EXIT_DEFINITIONS 78

/* Returns 0 with *RET filled, or the exit status after having said what is wrong on stderr. */
int options_parse(int argc, char **argv, struct options *ret);
void options_deinit(struct options *options);

void options_print_help(void);
