/* One message of a program to its supervisor, taken apart: the text protocol of sd_notify(3), as systemd 252 and
 * later speak it. Whoever sends it may be hostile: nothing here trusts a byte of it, and the texts that come out
 * can be logged and shown as they are. */
#pragma once

#include "base/defs.h"

#include <stdbool.h>
#include <sys/types.h>

#define NOTIFYMESSAGE_SIZE_MAX 4096 /* of a whole message */
#define NOTIFYMESSAGE_STATUS_MAX 1024
#define NOTIFYMESSAGE_NAME_MAX 255

/* What it says; a set. */
enum notifymessage_field {
        NOTIFYMESSAGE_READY = 1 << 0,
        NOTIFYMESSAGE_RELOADING = 1 << 1,
        NOTIFYMESSAGE_STOPPING = 1 << 2,
        NOTIFYMESSAGE_STATUS = 1 << 3,
        NOTIFYMESSAGE_MONOTONIC_USEC = 1 << 4,
        NOTIFYMESSAGE_MAINPID = 1 << 5,
        NOTIFYMESSAGE_WATCHDOG = 1 << 6,         /* it lives */
        NOTIFYMESSAGE_WATCHDOG_TRIGGER = 1 << 7, /* act as if it did not */
        NOTIFYMESSAGE_WATCHDOG_USEC = 1 << 8,
        NOTIFYMESSAGE_EXTEND_TIMEOUT_USEC = 1 << 9,
        NOTIFYMESSAGE_FDSTORE = 1 << 10,
        NOTIFYMESSAGE_FDSTOREREMOVE = 1 << 11,
        NOTIFYMESSAGE_FDNAME = 1 << 12,
        NOTIFYMESSAGE_FDPOLL = 1 << 13, /* FDPOLL=0: stored descriptors are not to be watched */
        NOTIFYMESSAGE_ERRNO = 1 << 14,
        NOTIFYMESSAGE_BUSERROR = 1 << 15,
        NOTIFYMESSAGE_BARRIER = 1 << 16, /* alone, always */
};

struct notifymessage {
        unsigned fields;       /* what is there and makes sense */
        unsigned bad;          /* what is there and does not: ignored, for the log */
        usec_t monotonic;      /* MONOTONIC_USEC, the sender's clock when it began to reload */
        usec_t watchdog;       /* WATCHDOG_USEC; 0 and USEC_INFINITY: none */
        usec_t extend_timeout; /* EXTEND_TIMEOUT_USEC, from now */
        pid_t main_pid;        /* above 0; in the sender's pid namespace, as far as anybody can tell */
        int error;             /* ERRNO, above 0 */
        char status[NOTIFYMESSAGE_STATUS_MAX + 1];  /* UTF-8 without anything that moves a cursor; may be "" */
        char fd_name[NOTIFYMESSAGE_NAME_MAX + 1];   /* printable ASCII without colons; may be "" */
        char bus_error[NOTIFYMESSAGE_NAME_MAX + 1]; /* printable ASCII */
};

enum notifymessage_outcome {
        NOTIFYMESSAGE_OK,
        NOTIFYMESSAGE_EMPTY,
        NOTIFYMESSAGE_OVERLONG,
        NOTIFYMESSAGE_NUL,           /* a NUL byte elsewhere than at its end */
        NOTIFYMESSAGE_BARRIER_MIXED, /* BARRIER=1 with anything beside it */
};

/* Reads SIZE bytes at DATA. What is unknown is ignored; of a field that is there several times the last one
 * counts. RET is written with NOTIFYMESSAGE_OK only. */
enum notifymessage_outcome notifymessage_parse(const char *data, size_t size, struct notifymessage *ret);

/* What stored descriptors are called that were given no name (sd_notify(3)). */
#define NOTIFYMESSAGE_FD_NAME "stored"

/* Under which name its descriptors are to be stored. */
static inline const char *notifymessage_store_name(const struct notifymessage *message) {
        return message->fd_name[0] ? message->fd_name : NOTIFYMESSAGE_FD_NAME;
}

/* The name of one field as it is written: "MAINPID". */
const char *notifymessage_field_name(enum notifymessage_field field);
