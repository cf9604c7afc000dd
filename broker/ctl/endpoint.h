/* The sockets behind an address that the broker itself listens at. Whoever watches them stops before they are
 * closed. */
#pragma once

#include "core/manager.h"
#include "net/listen.h"

struct endpoint_socket {
        int fd; /* close-on-exec, non-blocking, listens */
        struct addr addr;
        struct listen_file file;     /* which one its path was */
        struct inherited *inherited; /* the socket we were started with, if it is one; borrowed, and not closed */
};

struct endpoint {
        struct endpoint_socket *items; /* several where a host name has several addresses */
        size_t count;
};

#define ENDPOINT_NULL ((struct endpoint){0})

/* Opens what DEF says, none where it says nothing. OLD is what is open and will be closed if all goes well: the new
 * sockets may share its port. Returns 0, or a negative errno with a sentence in WHY. */
int endpoint_open(struct manager *manager, const struct endpoint_def *def, const struct endpoint *old,
                  struct endpoint *ret, struct buf *why);

/* After a failure: OLD is its port's only one again. */
void endpoint_restore(const struct endpoint *old);

/* Closes them and removes what they have in the file system. */
void endpoint_close(struct endpoint *endpoint);

/* For an upgrade (core/keep.h). */
void endpoint_save(const struct endpoint *endpoint, const struct inherit *inherit, struct state_out out);
void endpoint_take_over(struct endpoint *ret, struct inherit *inherit, struct state_in in);

/* The address of one of them, with the port the kernel chose; for people. */
void endpoint_format(const struct endpoint_socket *socket, struct buf *out);
