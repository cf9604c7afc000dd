/* Descriptors that a service has stored with us (sd_notify(3), FDSTORE=1), for its next server. A service without any
 * has no store. */
#pragma once

#include "base/list.h"
#include "handoff/handoff.h"

#include <systemd/sd-event.h>

struct fdstore {
        sd_event *event; /* borrowed */
        struct list items;
        size_t count;
        size_t name_bytes; /* of all names, with what separates them in LISTEN_FDNAMES */
};

enum fdstore_outcome {
        FDSTORE_ADDED,
        FDSTORE_KNOWN, /* the same open file is there already, under whatever name */
        FDSTORE_FULL,  /* as many as may be, or names as long as may be, are there */
};

/* Returns 0 or -ENOMEM. */
int fdstore_new(sd_event *event, struct fdstore **ret);

/* Closes all that is in it. NULL is fine; returns NULL. */
struct fdstore *fdstore_free(struct fdstore *store);

struct fdstore_item_request {
        const char *name; /* for LISTEN_FDNAMES: valid there */
        bool poll;        /* to be dropped when it reports an error or that its other end has gone */
        size_t max;       /* how many there may be then */
};

/* Stores a descriptor, last. OWN_FD is consumed. Returns an outcome, or a negative errno. */
int fdstore_add(struct fdstore *store, const struct fdstore_item_request *request, int own_fd);

/* Closes all that are called NAME. Returns how many. */
size_t fdstore_remove(struct fdstore *store, const char *name);

/* What is in it, in the order it came: names and descriptors are borrowed until the store changes, the array is the
 * caller's to free. STORE may be NULL. Returns 0 or -ENOMEM. */
int fdstore_list(const struct fdstore *store, struct handoff_stored **ret, size_t *ret_count);

/* The item at INDEX, counted as in fdstore_list(): whether it is watched. For carrying the store over an upgrade. */
bool fdstore_is_polled(const struct fdstore *store, size_t index);
