/* One listening socket (or FIFO) of a service: its descriptor and whether it is watched. Owned by its service; on a
 * reload it may pass to another one, descriptor and all. */
#pragma once

#include "conf/servicedef.h"
#include "net/inherit.h"
#include "net/listen.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct service;

struct port {
        struct service *service;      /* borrowed */
        const struct listen_def *def; /* borrowed from the service's definition; NULL once it is deaf */
        const char *name;             /* borrowed from def, or from the inherited socket */
        struct addr addr;
        struct inherited *inherited; /* the socket we were started with, if it is one; borrowed */
        int fd;
        bool stays;               /* passes to a new definition: neither close nor remove it */
        struct listen_file file;  /* which one its path was, for its end */
        bool shared;              /* others have had it, or still have: a server, whoever started us */
        bool options_differ;      /* of the new definition, while it stays */
        bool opened_up;           /* others may share its address, only since definitions are changing */
        bool yields;              /* gives way to a new socket on its port: it cannot stay any more */
        bool silent;              /* bound, but does not listen yet */
        struct strlist old_links; /* its symlinks that the new definition does not have */
        size_t listen_index;      /* which entry of `listen` it belongs to */
        size_t next_listen_index; /* the same in the definition that is being prepared */
        /* The address connections come in at, so that the kernel need not be asked each time; only as long as it is. */
        union sockaddr_any *bound;
        socklen_t bound_size;   /* of bound; 0 where it says less than the connection itself: all addresses */
        sd_event_source *io;    /* disabled unless the service listens */
        unsigned char burst;    /* connections to accept at the next wake-up */
        unsigned char singles;  /* wake-ups before it grows */
        unsigned char patience; /* what that was at first */
};

/* Opens or adopts the socket ADDR of DEF. INHERITED is NULL unless ADDR is an inherited one. Where the kernel is to
 * choose the port, that of BESIDE is taken, unless it is NULL. INTO_PLACE: others have given way for it. Not watched
 * yet; and where it shares its address with one that is open, or takes its place, nobody can connect to it before
 * port_begin(). Returns 0, or a negative errno with a sentence in WHY. */
struct port_request {
        const struct listen_def *def;
        const struct addr *addr;
        struct inherited *inherited;
        const struct port *beside;
        bool into_place;
};
int port_open(sd_event *event, const struct port_request *request, struct port **ret, struct buf *why);

/* Makes a port of OWN_FD that was one before the broker was upgraded: LIKE says what is to be known about it. Not
 * watched yet. Returns 0 or a negative errno. */
int port_reopen(sd_event *event, const struct port *like, int own_fd, struct port **ret);

/* Listens where port_open() has left that. As port_open(). */
int port_begin(struct port *port, struct buf *why);

/* Lets nobody come to a port that gives way to another any more; it forgets its definition, which is about to go. False
 * for one that does not give way, or whose connections the broker does not accept: nothing was done. */
bool port_turn_deaf(struct port *port);

/* Accepts who waits there, as far as its service lets anybody in. */
void port_take_all(struct port *port);

/* Stops watching, closes, removes the path, frees. An inherited socket is only given back. NULL is fine; returns
 * NULL. */
struct port *port_close(struct port *port);

/* Applies what DEF, for which it was kept, can change on an open socket. As port_open(). */
int port_apply(struct port *port, const struct listen_def *def, struct buf *why);

/* Marks it as staying, with DEF as its next definition, and does what has to be done before other sockets are opened:
 * one that is to share its address from now on can be joined by others (SO_REUSEPORT, which the kernel takes on an open
 * socket as well). Returns 0 or -ENOMEM. */
int port_keep(struct port *port, const struct listen_def *def);

/* Whether it keeps the address of REQUEST, which is another one, from being bound. */
bool port_is_in_way(const struct port *port, const struct port_request *request);

/* Lets new sockets be bound in its place while it is still open. It is to be closed, or restored. */
void port_give_way(struct port *port);

/* Takes that back: definitions do not change after all. What others have done to its symlinks meanwhile is undone,
 * too. */
void port_take_back(struct port *port);

/* Watches it for traffic, or stops. Idempotent. */
int port_watch(struct port *port, bool on);

/* Whether connections can be accepted from it. */
bool port_is_connectable(const struct port *port);

/* The address it is really bound to, with the port the kernel chose; for people. */
void port_format_bound(const struct port *port, struct buf *out);
