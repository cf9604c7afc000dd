/* One accepted connection: its descriptor, whose it is, and what is to be known about it. */
#pragma once

#include "base/defs.h"
#include "base/list.h"
#include "net/addr.h"

#include <stdbool.h>

struct connection {
        struct list link; /* in whatever list its owner keeps it; lists never share one */
        int fd;           /* -EBADF once handed over */
        int protocol;     /* of the listener, as in struct addr */
        bool local_known; /* local is filled in */
        socklen_t peer_size;
        socklen_t local_size;
        union sockaddr_any peer;
        union sockaddr_any local;
        struct ucred cred;  /* AF_UNIX: who connected (SO_PEERCRED) */
        usec_t accepted_at; /* monotonic */
        void *ticket;       /* what admission has to have back when it ends; not touched here */
};

enum accept_outcome {
        ACCEPT_OK,
        ACCEPT_NOTHING,   /* nobody there, or the client gave up before we looked */
        ACCEPT_EXHAUSTED, /* no descriptors or memory: whoever waits still waits, watching on would spin */
};

/* Accepts one connection from the non-blocking FD: fills in its descriptor, which is blocking and close-on-exec,
 * and the peer with its credentials, and leaves the rest of RET alone. Returns an accept_outcome, or a negative
 * errno when the listener itself is broken; with ACCEPT_EXHAUSTED errno says what ran out (accept(2)). */
int connection_accept(int fd, struct connection *ret);

/* Says what the socket's own address is, where the listener's tells. */
void connection_set_local(struct connection *connection, const union sockaddr_any *local, socklen_t size);

/* The socket's own address: kept, or asked from the kernel once. Returns 0 or a negative errno. */
int connection_find_local(struct connection *connection);

/* Closes the descriptor, if there still is one. */
void connection_close(struct connection *connection);

/* host:port; vsock:CID:PORT; for AF_UNIX peers the path, or "uid N pid N" of the unnamed ones; for the log. TEXT has
 * room for CONNECTION_PEER_MAX. */
#define CONNECTION_PEER_MAX 160
void connection_format_peer(const struct connection *connection, char text[CONNECTION_PEER_MAX]);

/* The peer as a key for counting: an IPv4 address and the same one mapped into IPv6 are one source; AF_UNIX peers count
 * by uid, those of AF_VSOCK by CID. Writes 20 bytes. */
struct source_key {
        uint8_t family;
        uint8_t pad[3];
        uint8_t address[16];
};
void connection_source_key(const struct connection *connection, struct source_key *ret);
