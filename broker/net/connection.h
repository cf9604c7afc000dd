/* One accepted connection: its descriptor, whose it is, and what is to be known about it. */
#pragma once

#include "base/defs.h"
#include "base/list.h"
#include "net/addr.h"
#include "net/prefix.h"

#include <stdbool.h>

struct connection {
        struct list link; /* in whatever list its owner keeps it; lists never share one */
        int fd;           /* -EBADF once handed over */
        int protocol;     /* of the listener, as in struct addr */
        bool local_known; /* local is filled in */
        bool proxied;     /* peer and local are what a proxy says they are */
        bool muxed;       /* it has asked for its service by name; for its owner, not touched here */
        bool placed;      /* counts among those served; for admission, not touched here */
        unsigned step;    /* what is to be done with it next; for its owner, not touched here */
        socklen_t peer_size;
        socklen_t local_size;
        union sockaddr_any peer;
        union sockaddr_any local;
        struct ucred cred;        /* AF_UNIX: who connected (SO_PEERCRED); uid and gid are -1 where nobody knows */
        union sockaddr_any proxy; /* proxied: who connected */
        socklen_t proxy_size;
        struct ucred proxy_cred; /* proxied over AF_UNIX: of that one */
        usec_t accepted_at;      /* monotonic */
        void *ticket;            /* what admission has to have back when it ends; not touched here */
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

/* host:port; vsock:CID:PORT; for AF_UNIX peers the path, or "uid N pid N" of the unnamed ones; for the log. Returns
 * TEXT, which has room for CONNECTION_PEER_MAX. */
#define CONNECTION_PEER_MAX 160
const char *connection_format_peer(const struct connection *connection, char text[CONNECTION_PEER_MAX]);

/* The same for its proxy; NULL where it has none. */
const char *connection_format_proxy(const struct connection *connection, char text[CONNECTION_PEER_MAX]);

/* Makes SOURCE and DESTINATION, which PROXY_HEADER gives, the connection's peer and local address; who connected is
 * kept as its proxy. */
struct proxy_header;
void connection_set_proxied(struct connection *connection, const struct proxy_header *header);

/* Where it comes from, for counting: its address, an IPv4 one mapped into IPv6 as IPv4; AF_UNIX peers by their uid,
 * those of AF_VSOCK by their CID. */
void connection_source(const struct connection *connection, struct prefix *ret);

/* Whether an AF_UNIX peer has one of these groups, as its own or as a supplementary one (unix(7), SO_PEERCRED;
 * SO_PEERGROUPS). */
bool connection_peer_has_group(const struct connection *connection, const uint32_t *gids, size_t count);
