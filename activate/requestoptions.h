/* The options that go with --request: those of `request` in broker.yaml(5), by the same names, within the same
 * bounds and with the same defaults. t/28-activate-request.t compares them. */
#pragma once

#include "base/defs.h"

#include <stdbool.h>

enum requestoption {
        REQUESTOPTION_REQUEST = 512, /* what getopt_long(3) returns */
        REQUESTOPTION_END,
        REQUESTOPTION_REPLY_END,
        REQUESTOPTION_MAX_SIZE,
        REQUESTOPTION_KEEP_ALIVE,
        REQUESTOPTION_BUSY_TIMEOUT,
        REQUESTOPTION_QUEUE,
        REQUESTOPTION_ERROR,
        REQUESTOPTION_LAST,
};

/* For --help. */
#define REQUESTOPTIONS_HELP                                                                                            \
        "      --workers=N --request  with -a: N COMMANDs that stay, and answer requests, which are lines, from\n"     \
        "                             stdin on stdout; and the following, as keys of request in broker.yaml(5):\n"     \
        "      --end=TEXT             what a request ends with (default: \\n)\n"                                       \
        "      --reply-end=TEXT       what a reply ends with (default: \\n)\n"                                         \
        "      --max-size=SIZE        how long each may be (default: 64K)\n"                                           \
        "      --keep-alive[=BOOL]    more than one request on a connection (default: no)\n"                           \
        "      --busy-timeout=TIME    how long to wait for a worker, and for its answer (default: 15s)\n"              \
        "      --queue=N              how many requests may wait for a worker (default: 1024)\n"                       \
        "      --error=TEXT           what a client gets in place of a reply (default: ERR\\n)\n"

struct requestoptions {
        bool is_on;        /* --request */
        const char *given; /* one of the others that was; NULL */
        char *end;         /* owned, as the following; NULL: the default */
        char *reply_end;
        char *error;
        size_t max_size; /* 0: the default */
        int queue;       /* -1: likewise */
        bool keep_alive;
        usec_t busy_timeout; /* 0: the default */
};

#define REQUESTOPTIONS_NULL ((struct requestoptions){.queue = -1})

void requestoptions_deinit(struct requestoptions *options);

/* Takes the option C with ARGUMENT, as getopt_long(3) gives it. Returns false after having said what is wrong. */
bool requestoptions_take(struct requestoptions *options, int c, const char *argument);

/* What is not given gets its default. Returns 0 or -ENOMEM. */
int requestoptions_complete(struct requestoptions *options);
