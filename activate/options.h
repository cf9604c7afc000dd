/* The command line of activate(1), and of systemd-socket-activate(1) when called by that name. */
#pragma once

#include "activate/requestoptions.h"
#include "base/strlist.h"

#include <stdbool.h>

enum mode {
        MODE_ONESHOT, /* take one connection and become the program */
        MODE_ACCEPT,  /* one program per connection */
        MODE_WAIT,    /* become the program with the listening sockets */
        MODE_HELP,
        MODE_VERSION,
};

struct options {
        enum mode mode;
        bool systemd; /* we are systemd-socket-activate: its options, defaults and environment */
        bool stdio;   /* hand over as stdin and stdout, not by LISTEN_FDS */
        bool now;     /* with MODE_WAIT: do not wait */
        bool verbose;
        int type;            /* SOCK_DGRAM or SOCK_SEQPACKET where an option says so; 0 */
        unsigned instances;  /* 0: unlimited */
        unsigned per_source; /* 0: unlimited */
        unsigned workers;    /* of --pass or --request; 0: there are none */
        unsigned spare;      /* processes kept ready for connections */
        struct strlist listen;
        struct strlist environment; /* of -E: NAME=VALUE */
        struct strlist fdnames;
        struct requestoptions request;
        /* Borrowed from argv: */
        const char *claim; /* the service whose sockets to take; NULL */
        const char *user;  /* NULL */
        char **command;
};

#define OPTIONS_NULL ((struct options){.request = REQUESTOPTIONS_NULL})

#define EXIT_USAGE 2

/* Returns 0 with *RET filled, or the exit status after having said what is wrong. */
int options_parse(int argc, char **argv, struct options *ret);
void options_deinit(struct options *options);

/* The exit status for a wrong command line: that of the program we are called as. */
static inline int options_usage_status(const struct options *options) {
        return options->systemd ? EXIT_FAILURE : EXIT_USAGE;
}

void options_print_help(const struct options *options);
