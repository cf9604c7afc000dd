/* The command line of broker(8). */
#pragma once

#include "base/strlist.h"

#include <stdbool.h>

enum verb {
        VERB_RUN,
        VERB_CHECK,
        VERB_SHOW,
        VERB_EXPLAIN,
        VERB_HELP,
        VERB_VERSION,
        VERB_N,
};

struct options {
        enum verb verb;
        struct strlist paths; /* of -c; /etc/broker where none was given */
        const char *argument; /* NAME of show, KEY of explain; NULL; borrowed from argv */
        bool scdoc;           /* explain: as the source of a manual */
};

#define EXIT_USAGE 2
#define EXIT_DEFINITIONS 78

/* Returns 0 with *RET filled, or the exit status after having said what is wrong on stderr. */
int options_parse(int argc, char **argv, struct options *ret);
void options_deinit(struct options *options);

void options_print_help(void);
