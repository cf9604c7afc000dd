/* idle_stop: a server that nobody is connected to is stopped, and the service listens again. While it runs, its service
 * owns a struct idle, which asks the kernel (net/sockdiag.h). */
#pragma once

#include "base/diag.h"

#include <stddef.h>

struct port;
struct service;
struct service_def;

/* The server of SERVICE runs; or runs on, with another definition. Does nothing without idle_stop. */
void idle_begin(struct service *service);

/* It does not any more, or is told to end. One that is held still goes on. */
void idle_end(struct service *service);

/* Something has arrived at a socket of SERVICE, whose server runs. */
void idle_on_arrival(struct service *service);

/* Warns of sockets of DEF that the kernel does not tell about. They listen already. */
void idle_check(const struct service_def *def, struct port *const *ports, size_t count, struct diag *diag);
