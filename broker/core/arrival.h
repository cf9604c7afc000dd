/* A connection on its way from the kernel's queue to its program: accepted, its PROXY header read, admitted, served.
 * What runs short on the way holds it where it is; what it waits for from its client never holds anybody else. */
#pragma once

#include "core/port.h"
#include "core/waitlist.h"

#include <stdbool.h>

struct service;

/* What is to be done with a connection next (connection->step). */
enum arrival_step {
        STEP_HEADER,
        STEP_ADMISSION,
        STEP_SERVICE,
        ARRIVAL_STEP_N,
};

extern const char *const arrival_step_names[ARRIVAL_STEP_N];

/* Before connections are accepted: false where the program is known to be missing, or a limit holds them back; the
 * service has paused then, with its clients still in the backlog. */
bool arrival_may_begin(struct service *service);

/* Whether one more connection would be accepted. */
bool arrival_is_wanted(struct service *service);

/* Accepts one connection from PORT, and takes it as far as it gets. Returns an accept_outcome; anything but ACCEPT_OK
 * ends the port's burst. */
int arrival_accept(struct service *service, const struct port *port);

/* Goes on with OWN_CONNECTION, which another service has accepted and whose client has asked for SERVICE: as far as it
 * gets, but where others would wait in the kernel's queue it is refused. */
void arrival_forward(struct service *service, struct connection *own_connection);

/* Goes on with the connections that are held. Returns false when a shortage still keeps one. */
bool arrival_resume(struct service *service);

/* Closes the connections that have not reached a program: the service ends before it could serve them. */
void arrival_drop_all(struct service *service);

/* Closes OWN_CONNECTION and gives back whatever it has of SERVICE. To part is the same after a last word: see
 * banner_part(). */
void arrival_drop(struct service *service, struct connection *own_connection);
void arrival_part(struct service *service, struct connection *own_connection);

/* Prepares LIST for connections whose PROXY header has not come yet. */
void arrival_headers_init(struct waitlist *list);
