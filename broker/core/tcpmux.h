/* Services that are asked for by name at a `builtin: tcpmux` (RFC 1078): which ones there are, and how a client gets
 * from there to one of them. From then on it is a connection like any other: it is admitted, served and counted as if
 * it had come to that service's own socket. */
#pragma once

#include "base/buf.h"
#include "core/service.h"

/* The names of those that can be asked for, a line each. */
void tcpmux_list(struct manager *manager, struct buf *out);

/* Gives OWN_CONNECTION, a client of SERVICE, to the service that it asks for, or sends it away. */
void tcpmux_forward(struct service *service, struct connection *own_connection, const char *name);
