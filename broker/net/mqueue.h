/* POSIX message queues (mq_overview(7)), whose descriptors are files like others on Linux. Internal to net/listen. */
#pragma once

#include "base/buf.h"
#include "net/addr.h"
#include "net/options.h"

#include <stdbool.h>
#include <sys/stat.h>

/* Opens the queue of ADDR for reading, and makes it first where there is none; nobody can use a new one before it has
 * its owner and mode. Returns a close-on-exec, non-blocking descriptor, or a negative errno with a sentence in WHY. */
int mqueue_open(const struct addr *addr, const struct listen_options *options, struct buf *why);

/* Gives the queue of ADDR, open at FD, its owner and mode. 0 or a negative errno, told in WHY. */
int mqueue_set_access(int fd, const struct addr *addr, const struct listen_options *options, struct buf *why);

/* Whether FD is a queue. */
bool mqueue_is(int fd);

/* Whether the queue at FD has the sizes that OPTIONS ask for, if they do; it keeps those it was made with. */
bool mqueue_fits(int fd, const struct listen_options *options);

/* Which file the queue of that name is now. 0 or a negative errno. */
int mqueue_find(const struct addr *addr, struct stat *ret);

/* Removes the name; who has the queue open keeps it. */
void mqueue_remove(const struct addr *addr);
