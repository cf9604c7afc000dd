/* Asks the kernel whether any connection of some listening sockets is alive: NETLINK_SOCK_DIAG (sock_diag(7)). For TCP,
 * MPTCP and AF_UNIX stream and seqpacket sockets of our own network namespace.
 *
 * Every call is a few system calls that the kernel answers at once; nothing stays open between them. */
#pragma once

#include <linux/inet_diag.h>
#include <stddef.h>
#include <stdint.h>

/* A connection that was alive, to be asked for by itself the next time. */
struct sockdiag_found {
        int family;                 /* 0: none */
        uint32_t inode;             /* AF_UNIX */
        struct inet_diag_sockid id; /* of AF_UNIX the cookie alone */
};

/* One who asks again and again. All zero at first. */
struct sockdiag {
        struct sockdiag_found found;
        uint64_t dumps; /* how often the kernel had to look through all its sockets */
        uint64_t bytes; /* received in all */
};

enum sockdiag_answer {
        SOCKDIAG_QUIET, /* nobody is connected, nobody waits to be accepted */
        SOCKDIAG_ALIVE,
};

/* Whether anything of the listening sockets FDS is alive: a connection that waits in their queues, that is being made,
 * or that some process holds. Returns an enum sockdiag_answer, or a negative errno where the kernel does not tell. */
int sockdiag_ask(struct sockdiag *diag, const int *fds, size_t count);

/* Whether sockdiag_ask() can answer for the listening socket FD at all. Returns 0, or -EPROTONOSUPPORT: it is of
 * another kind, or does not listen; -ENOENT: the kernel does not show it, since it belongs to another network
 * namespace; or what the kernel says to who asks. */
int sockdiag_check(int fd);
