/* A descriptor that is kept so that one more connection can be accepted when all others are in use: who looks after the
 * broker is to be answered then, too. */
#pragma once

#include "net/addr.h"

#include <errno.h>

struct reserve {
        int null_fd; /* borrowed */
        int fd;
};

#define RESERVE_NULL ((struct reserve){.null_fd = -EBADF, .fd = -EBADF})

void reserve_init(struct reserve *reserve, int null_fd);
void reserve_deinit(struct reserve *reserve);

/* Takes back the one that was used, if there is one to be had: to be called where a connection has been closed, before
 * anybody else gets its descriptor. */
void reserve_refill(struct reserve *reserve);

/* accept4(2), non-blocking and close-on-exec. PEER may be NULL, with SIZE. */
int reserve_accept(struct reserve *reserve, int listener, union sockaddr_any *peer, socklen_t *size);
