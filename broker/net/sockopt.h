/* The socket options of a definition, as the kernel takes them. Internal to net/listen. */
#pragma once

#include "base/buf.h"
#include "net/addr.h"
#include "net/options.h"

/* Those bind(2) looks at. 0, or a negative errno with the option named in WHY. */
int sockopt_apply_early(int fd, int family, const struct listen_options *options, struct buf *why);

/* All others. */
int sockopt_apply_late(int fd, int family, const struct listen_options *options, struct buf *why);
