/* Waiting for signals, for traffic on the sockets, and for the end of a claim. */
#pragma once

#include "activate/signals.h"
#include "activate/sockets.h"
#include "base/defs.h"

#include <poll.h>

struct poller {
        int signal_fd;
        struct pollfd *polls; /* the signals, the claim, room in a queue, then one for each socket */
        size_t count;         /* of sockets */
        size_t ready;         /* how many of them poll(2) has found ready and poller_next() has not given yet */
        size_t at;
};

#define POLLER_NULL ((struct poller){.signal_fd = -EBADF})

/* Watches SOCKETS, and SIGNALS, which are blocked. Returns 0 or a negative errno. */
int poller_init(struct poller *poller, const struct sockets *sockets, const sigset_t *signals);
void poller_deinit(struct poller *poller);

/* Instead of traffic, FD, which says that there is room for more; -EBADF: traffic again. */
void poller_wait_for_room(struct poller *poller, int fd);

/* Waits until there is something, or for TIMEOUT (USEC_INFINITY), with TRAFFIC on the sockets too. 0, or a negative
 * errno when that cannot be waited for. */
int poller_wait(struct poller *poller, bool traffic, usec_t timeout);

/* Takes the signals that have come. Returns how many. */
size_t poller_signals(struct poller *poller, int out[SIGNALS_MAX]);

/* Whether the broker has ended the claim; said once. */
bool poller_claim_is_over(struct poller *poller);

/* The claim is given back. */
void poller_drop_claim(struct poller *poller);

/* The index of the next socket that has traffic, or -1. */
int poller_next(struct poller *poller);

/* Watches a socket no longer. */
void poller_drop(struct poller *poller, size_t index);
