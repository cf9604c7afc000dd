/* The control socket in the file system: bound, and removed at the end. Who connects to it is for ctl/ to deal with. */
#pragma once

#include "base/buf.h"

#include <sys/types.h>

struct control_socket {
        char *path; /* NULL: there is none */
        int fd;
        dev_t device; /* of the path, to know at the end whether it still is ours */
        ino_t inode;
};

#define CONTROL_SOCKET_NULL ((struct control_socket){.fd = -EBADF})

/* Listens at PATH, with directories above it made and a socket that nobody listens on replaced; only its owner may
 * connect. 0, -EADDRINUSE where somebody does listen, or another negative errno; told in WHY. */
int control_socket_open(const char *path, struct control_socket *ret, struct buf *why);

/* Whether everybody may connect, or its owner only. One that is not open is fine. */
void control_socket_open_up(const struct control_socket *socket, bool everybody);

/* Closes it and removes its path, unless another has taken that by now. One that is not open is fine. */
void control_socket_close(struct control_socket *socket);
