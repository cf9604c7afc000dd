/* Who waits in the queues of listening sockets. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One look at many sockets: those of AF_UNIX are asked for once, all together, at the first of them. */
struct backlog {
        struct backlog_entry *entries; /* owned, by inode */
        size_t count;
        size_t room;
        bool asked;
};

#define BACKLOG_NULL ((struct backlog){0})

/* How many clients of the listening socket FD wait to be accepted: TCP, or an AF_UNIX socket of our own network
 * namespace. Returns 0, or a negative errno where the kernel does not tell. */
int backlog_length(struct backlog *backlog, int fd, uint32_t *ret);

void backlog_deinit(struct backlog *backlog);
