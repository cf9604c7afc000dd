/* What the server of one generation of a program says about itself by its notify socket (sd_notify(3)), and what
 * becomes of it. Owned by its program; there only where the definition asks for it. */
#pragma once

#include "net/notifysocket.h"

#include <systemd/sd-event.h>

struct program;

struct notifier {
        struct program *program; /* borrowed */
        struct notifysocket socket;
        sd_event_source *io;
        sd_event_source *timer; /* the watchdog's; once it is `stopping` that of stop_grace_period */
        usec_t watchdog;        /* of the server that runs; USEC_INFINITY: none */
        usec_t started_at;
        bool awaited; /* it was started under a definition with ready: notify */
        bool ready;
        bool reloading;
        bool stopping;
        int error;    /* ERRNO */
        char *status; /* for people; NULL: none */
};

/* Opens the socket, and watches it. Returns 0 or a negative errno. */
int notifier_new(struct program *program, sd_event *event, struct notifier **ret);

/* The same with the socket that it had before the broker was upgraded. OWN_FD is consumed. */
int notifier_adopt(struct program *program, sd_event *event, int own_fd, struct notifier **ret);

/* NULL is fine; returns NULL. */
struct notifier *notifier_free(struct notifier *notifier);

/* A server was started. */
void notifier_begin(struct notifier *notifier);

/* The server has ended and is about to be waited for: takes in what it said before. */
void notifier_end(struct notifier *notifier);
