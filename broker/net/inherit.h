/* Sockets this program was started with: LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES (sd_listen_fds(3)). Read by our own
 * code, since activate(1) also takes sockets meant for a wrapper around it, and starts too fast for libsystemd. */
#pragma once

#include "base/defs.h"

#include <stdbool.h>
#include <sys/types.h>

#define INHERIT_FIRST_FD 3

struct inherited {
        int fd;            /* close-on-exec from now on */
        bool non_blocking; /* as it came, and is given back */
        char *name;        /* "unknown" where LISTEN_FDNAMES says nothing, as in sd_listen_fds_with_names(3) */
        bool taken;        /* some service uses it */
};

struct inherit {
        struct inherited *items;
        size_t count;
};

#define INHERIT_NULL ((struct inherit){0})

/* Takes over what the environment announces and removes the variables from it. With ANY_PID, LISTEN_PID may name
 * another process. Returns 0, also when there is nothing; -EBADF when a descriptor that was announced is not open;
 * -EINVAL when the variables are malformed. */
int inherit_init(struct inherit *ret, bool any_pid);

/* Closes them; whoever else has them finds O_NONBLOCK as it was. */
void inherit_deinit(struct inherit *inherit);
