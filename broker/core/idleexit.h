/* idle_exit: the broker itself ends when nothing has been alive for that long. Owned by the manager. */
#pragma once

#include "base/defs.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct manager;

struct idleexit {
        sd_event_source *timer;
        usec_t rest_until; /* whoever waits for clients was told to end, and is waited for as long as that; 0: not so */
        usec_t since;      /* the last sign of life, monotonic */
};

/* The definitions in force say how long. */
void idleexit_apply(struct manager *manager);
void idleexit_deinit(struct manager *manager);

/* Something has just ended that kept the broker here: a process, a connection. */
void idleexit_on_process_end(struct manager *manager);
void idleexit_on_end(struct manager *manager);
