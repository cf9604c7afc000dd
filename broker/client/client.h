/* The verbs that ask a running broker: status, the orders, reload, upgrade. Each returns the exit status after having
 * said on stderr what went wrong. */
#pragma once

#include "base/defs.h"

#include <stdbool.h>

struct client_options {
        const char *control; /* the path of its socket; NULL: nobody knows */
        const char *name;    /* of a service; NULL: all */
        bool json;
        usec_t watch;   /* show it again and again, this long after each other; 0: once */
        usec_t timeout; /* for an answer; 0: as long as it takes */
};

int client_status(const struct client_options *options);

/* METHOD of org.sockbroker.Manager: Start, Stop, Restart, Kill or Replace. */
int client_order(const struct client_options *options, const char *method);

int client_reload(const struct client_options *options);
int client_upgrade(const struct client_options *options);
