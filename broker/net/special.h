/* Character devices, and files of /proc and /sys that can be polled. Internal to net/listen. */
#pragma once

#include "base/buf.h"
#include "net/addr.h"
#include "net/options.h"

#include <stdbool.h>

/* Opens the file of ADDR, for writing too where OPTIONS say so. It never becomes the controlling terminal. Returns a
 * close-on-exec, non-blocking descriptor; or a negative errno with a sentence in WHY, also where it cannot be polled
 * (epoll_ctl(2)). */
int special_open(const struct addr *addr, const struct listen_options *options, struct buf *why);

/* Whether FD is a file that special_open() could have opened. */
bool special_is(int fd);

/* What tells that there is something to take from the file at FD: EPOLLIN, or EPOLLPRI where it can always be read and
 * says so when it has changed (proc(5), sysfs(5)). */
uint32_t special_events(int fd);

/* Lets such a file be read from its start again. */
void special_rewind(int fd);
