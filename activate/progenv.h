/* The environment of the program, but for what differs from connection to connection and for its own pid. */
#pragma once

#include "activate/options.h"
#include "proc/creds.h"

/* Descriptors that the program gets by LISTEN_FDS. */
struct progenv_fds {
        size_t count;
        const struct strlist *names; /* what they are called unless --fdname says otherwise; NULL, or empty: nothing */
};

/* Writes it to *RET: our own, less what was meant for us; in systemd-socket-activate's manner a few variables of ours;
 * then those of the user it runs as, those of -E, and LISTEN_FDS and LISTEN_FDNAMES for FDS where they
 * are handed over that way. Returns 0 or -ENOMEM. */
int progenv_make(const struct options *options, const struct creds *creds, const struct progenv_fds *fds,
                 struct strlist *ret);

/* Whether a program that gets an accepted connection is told about it in variables. */
static inline bool progenv_has_connection(const struct options *options) {
        return options->mode != MODE_WAIT && !options->systemd;
}
