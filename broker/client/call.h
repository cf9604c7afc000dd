/* Connections to the control socket of a broker, and calls. What goes wrong is said on stderr here. */
#pragma once

#include "base/defs.h"

#include <stdbool.h>
#include <systemd/sd-bus.h>

struct client_options;

/* What the broker answers to a question at the latest; orders take as long as they take. */
#define CALL_ANSWER_TIMEOUT (25 * USEC_PER_SEC)

/* Connects. Returns 0, or the exit status. */
int call_connect(const struct client_options *options, sd_bus **ret);

static inline void call_closep(sd_bus **bus) {
        sd_bus_close(*bus);
        *bus = sd_bus_unref(*bus);
}

static inline void call_messagep(sd_bus_message **message) {
        *message = sd_bus_message_unref(*message);
}

struct call {
        sd_bus *bus;
        const char *method; /* of org.sockbroker.Manager */
        const char *name;   /* its argument; NULL: it has none */
        usec_t timeout;     /* 0: none */
        bool *lost;         /* set, and nothing said, where the connection ended without an answer; NULL: say it */
};

/* Calls it. Returns 0, with the reply if RET is not NULL, or the exit status; ERROR, if it is not NULL, gets the
 * error of the broker, which then is not said. */
int call_do(const struct call *call, sd_bus_error *error, sd_bus_message **ret);

/* Asks for the number, or the text, that the manager has as its property PROPERTY; that of the text is the caller's.
 * Returns 0 or the exit status. */
int call_get_number(sd_bus *bus, const char *property, uint32_t *ret);
int call_get_text(sd_bus *bus, const char *property, char **ret);

/* Says what an answer that is no answer means. Returns the exit status. */
int call_misunderstood(int r);
