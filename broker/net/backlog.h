/* Who waits in the queue of a listening socket. */
#pragma once

#include <stdint.h>

/* How many clients of the listening TCP socket FD wait to be accepted, without counting one by one: one system call.
 * Returns 0, or a negative errno where the kernel does not tell, as of sockets of any other kind. */
int backlog_length(int fd, uint32_t *ret);
