/* Networks: an address and how many of its first bits count. Peers of AF_UNIX sockets have no address; one prefix of no
 * bits stands for all of them. */
#pragma once

#include "base/buf.h"
#include "net/addr.h"

struct prefix {
        uint8_t family;      /* AF_INET, AF_INET6 or AF_UNIX; nothing else */
        uint8_t bits;        /* 0 to 32, 0 to 128, 0 */
        uint8_t address[16]; /* in network order; the bits beyond the first `bits` are zero */
};

/* How long a prefix that means one address is: 32, 128; 0 for AF_UNIX. */
static inline unsigned prefix_bits_max(uint8_t family) {
        return family == AF_INET ? 32 : family == AF_INET6 ? 128 : 0;
}

/* Reads a numeric address or a network in CIDR form: 192.0.2.7, 10.0.0.0/8, 2001:db8::/32, ::1. IPv4 mapped into IPv6
 * becomes IPv4. Returns true with *RET filled; or false with the reason added to WHY, a sentence without its subject
 * that says what to write. */
bool prefix_parse(const char *text, struct prefix *ret, struct buf *why);

/* Whether TEXT can only be meant as a numeric address, well written or not, and not as the name of a host. */
bool prefix_looks_numeric(const char *text);

/* All addresses of a host, each once, in *RET, which the caller frees. Asks the resolver (getaddrinfo(3)), which may
 * take long: for load time only. False with the reason added to WHY, likewise. */
bool prefix_resolve(const char *host, struct prefix **ret, size_t *ret_count, struct buf *why);

/* What a peer's address is: all of its bits. IPv4 mapped into IPv6 is IPv4, any AF_UNIX peer is the AF_UNIX prefix.
 * False, and an all-zero *RET, for any other family. */
bool prefix_of_address(const union sockaddr_any *sa, struct prefix *ret);

/* Makes a prefix shorter: the first BITS bits count. Does nothing to one that is as short already. */
void prefix_mask(struct prefix *prefix, unsigned bits);

bool prefix_equal(const struct prefix *a, const struct prefix *b);

/* Writes the form that prefix_parse() reads; the length is left out where it means one address. "unix:" for AF_UNIX. */
void prefix_format(const struct prefix *prefix, struct buf *out);
