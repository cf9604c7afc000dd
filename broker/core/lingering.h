/* Listening sockets that have given way to others on their port (core/change). Nothing comes to them any more, but a
 * handshake that began before may end with them a moment later, so they stay open for a second, and who comes out of
 * them is accepted. */
#pragma once

#include "base/list.h"
#include "core/port.h"

#include <stdbool.h>

struct manager;

struct lingering {
        struct list ports; /* the first is the first to be closed */
        sd_event_source *timer;
};

void lingering_init(struct lingering *lingering);
void lingering_deinit(struct lingering *lingering); /* closes them all */

/* Accepts who waits at OWN_PORT, as far as its service lets anybody in, and closes it in a second; at once where it did
 * not give way, or its server is the one who accepts. */
void lingering_add(struct manager *manager, struct port *own_port);

/* Whether one of them keeps REQUEST from being bound unless both share the port. */
bool lingering_is_in_way(const struct lingering *lingering, const struct port_request *request);

/* Closes those of SERVICE, which accepts nobody any more. */
void lingering_drop(struct lingering *lingering, const struct service *service);
