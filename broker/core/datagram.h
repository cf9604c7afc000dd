/* Datagrams that the broker answers itself: who may send them, and whom an answer would not reach but harm. */
#pragma once

#include "core/port.h"

struct handoff;

/* Takes what waits at PORT, up to a bound, and has it answered. */
void datagram_take(struct service *service, const struct port *port);

/* For service_handoff_events; USERDATA is the program. */
bool datagram_admits(void *userdata, struct handoff *handoff, const union sockaddr_any *peer, socklen_t size);

/* The ports that the broker itself has for datagrams: two services that answer each other would never stop. Found out
 * now and then. */
struct datagram_ports;
struct datagram_ports *datagram_ports_free(struct datagram_ports *ports);
