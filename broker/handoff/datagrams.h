/* Datagrams, several at a time: what was received, and the answers to it. A batch is there for the moment only, and its
 * memory is for everybody who needs one. */
#pragma once

#include "net/addr.h"

#include <stdbool.h>

#define DATAGRAMS_MAX 16
#define DATAGRAM_SIZE_MAX 65536 /* nothing larger fits into UDP */

struct datagram {
        char *data;  /* room for DATAGRAM_SIZE_MAX; the answer's, too */
        size_t size; /* of what was received, then of the answer */
        bool answered;
        bool to_many; /* sent to a broadcast or multicast address: what answers it answers beside others, all at once */
        union sockaddr_any peer;
        socklen_t peer_size; /* 0: nobody that could be answered, or what came is not whole */
};

struct datagrams;

/* NULL when memory ran out. What is never used of its memory is never there. */
struct datagrams *datagrams_new(void);
struct datagrams *datagrams_free(struct datagrams *datagrams);

/* Takes up to MAX from the socket FD, whose family is FAMILY, without waiting. Returns how many, or a negative errno.
 * Descriptors that came with them are closed. */
int datagrams_receive(struct datagrams *datagrams, int fd, int family, unsigned max);

/* One of those that datagrams_receive() returned. */
struct datagram *datagrams_at(struct datagrams *datagrams, unsigned index);

/* Sends the answers to the first COUNT, from the addresses that were asked. What cannot be sent at once is lost, as
 * datagrams may be. */
void datagrams_answer(struct datagrams *datagrams, int fd, unsigned count);
