/* The sockets we listen on: those we were started with first, in their order, then those of -l; or those that were
 * taken from the broker. One object owns them all and, when it ends, leaves no path behind that nobody listens on. */
#pragma once

#include "activate/options.h"
#include "base/buf.h"
#include "net/addr.h"
#include "net/inherit.h"
#include "net/listen.h"
#include "sockbroker/sockbroker.h"

/* One of them. */
struct socket {
        int fd;
        bool inherited;          /* or claimed: its path is not ours to remove, and somebody else closes it */
        bool was_blocking;       /* an inherited one, which others may share: the flag is put back */
        struct listen_file file; /* which one its path was */
        struct addr addr;        /* what was asked for; of an inherited one the protocol alone */
};

struct sockets {
        struct socket *items;
        size_t count;
        struct inherit inherit;     /* owns the inherited descriptors */
        struct broker_claim *claim; /* owns the claimed ones; NULL */
        struct strlist names;       /* of the claimed ones */
};

#define SOCKETS_NULL ((struct sockets){0})

/* Opens everything. Returns 0, or the exit status after having said what is wrong. Connections are accepted from all of
 * them unless OPTIONS say MODE_WAIT. */
int sockets_open(const struct options *options, struct sockets *ret);

/* Closes them and removes the paths that were made for them, or gives them back to the broker. */
void sockets_close(struct sockets *sockets);

/* The descriptor a program that gets them all finds number INDEX at. */
static inline int sockets_target(size_t index) {
        return INHERIT_FIRST_FD + (int)index;
}

/* The address the kernel has given a socket, in the form addr_parse() reads. */
void socket_format(const struct socket *socket, struct buf *out);
