/* The PROXY protocol header that a load balancer puts in front of a connection, to say who the client really is:
 * versions 1 (a line of text) and 2 (binary) of haproxy's proxy-protocol.txt. Text in, addresses out; nothing is read
 * from a socket here, and nothing allocated. */
#pragma once

#include "net/addr.h"

/* No header is longer. It is also what the specification promises to arrive in one segment. */
#define PROXY_HEADER_MAX 536

enum proxy_header_outcome {
        PROXY_HEADER_OK,   /* a whole header: size bytes of it are to be taken from the stream */
        PROXY_HEADER_MORE, /* it can still become one: wait for more bytes */
        PROXY_HEADER_NONE, /* the stream does not begin with one: its first bytes differ from both signatures */
        PROXY_HEADER_BAD,  /* it begins as one and breaks the rules */
};

enum proxy_header_kind {
        PROXY_HEADER_ADDRESSES, /* source and destination are filled in */
        /* The connection's own addresses count: LOCAL (version 2), UNKNOWN (version 1), families and protocols that are
         * unspecified, datagrams. */
        PROXY_HEADER_LOCAL,
};

struct proxy_header {
        size_t size;
        unsigned version; /* 1 or 2 */
        enum proxy_header_kind kind;
        union sockaddr_any source, destination; /* as they were written, also when mapped or unspecified */
        socklen_t source_size, destination_size;
};

/* Looks for a header at the start of a stream, of which the first SIZE bytes are known. A header that breaks the rules
 * is found out with the first byte that shows it, but for the inside of IPv6 addresses, which are looked at when their
 * end is there. *RET is written with PROXY_HEADER_OK alone. With PROXY_HEADER_MAX bytes the answer is never
 * PROXY_HEADER_MORE.
 *
 * Version 1: 107 bytes at most, single blanks, CR and LF, no leading zeros. Version 2: values that the specification
 * does not assign are refused, what follows the addresses must be well-formed TLVs, and a PP2_TYPE_CRC32C among them
 * must be right; all others are skipped. Where the specification says that the addresses are to be ignored, nobody can
 * tell where TLVs would begin: then the rest is skipped unread. */
enum proxy_header_outcome proxy_header_parse(const void *data, size_t size, struct proxy_header *ret);
