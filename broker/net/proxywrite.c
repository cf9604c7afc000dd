#include "net/proxywrite.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define UNIX_ADDRESS 108

static const uint8_t signature[] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

enum family {
        FAMILY_UNSPEC, /* as version 2 numbers them */
        FAMILY_IPV4,
        FAMILY_IPV6,
        FAMILY_UNIX,
};

/* 16 bytes of host whatever the family, an IPv4 one mapped; and the port in network order. */
struct endpoint {
        enum family family;
        uint8_t host[16];
        uint16_t port;
};

static struct endpoint endpoint_of(const union sockaddr_any *sa) {
        struct endpoint out = {.family = FAMILY_UNSPEC, .host = {[10] = 0xff, [11] = 0xff}};

        switch (sa->sa.sa_family) {
        case AF_INET:
                out.family = FAMILY_IPV4;
                out.port = sa->in.sin_port;
                memcpy(out.host + 12, &sa->in.sin_addr, 4);
                break;
        case AF_INET6:
                out.family = IN6_IS_ADDR_V4MAPPED(&sa->in6.sin6_addr) ? FAMILY_IPV4 : FAMILY_IPV6;
                out.port = sa->in6.sin6_port;
                memcpy(out.host, &sa->in6.sin6_addr, 16);
                break;
        case AF_UNIX:
                out.family = FAMILY_UNIX;
                break;
        }
        return out;
}

/* What both are; IPv4 beside IPv6 is IPv6. */
static enum family common_family(const struct proxy_header *header, const struct endpoint ends[2]) {
        if (header->kind != PROXY_HEADER_ADDRESSES)
                return FAMILY_UNSPEC;
        if (ends[0].family == ends[1].family)
                return ends[0].family;
        if ((ends[0].family == FAMILY_IPV4 && ends[1].family == FAMILY_IPV6) ||
            (ends[0].family == FAMILY_IPV6 && ends[1].family == FAMILY_IPV4))
                return FAMILY_IPV6;
        return FAMILY_UNSPEC;
}

static const char *format_host(const struct endpoint *end, enum family family, char text[INET6_ADDRSTRLEN]) {
        return family == FAMILY_IPV4 ? inet_ntop(AF_INET, end->host + 12, text, INET6_ADDRSTRLEN)
                                     : inet_ntop(AF_INET6, end->host, text, INET6_ADDRSTRLEN);
}

static size_t write_v1(enum family family, const struct endpoint ends[2], char *out) {
        char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
        int n;

        if (family != FAMILY_IPV4 && family != FAMILY_IPV6)
                n = snprintf(out, PROXY_HEADER_MAX, "PROXY UNKNOWN\r\n");
        else
                n = snprintf(out, PROXY_HEADER_MAX, "PROXY %s %s %s %u %u\r\n", family == FAMILY_IPV4 ? "TCP4" : "TCP6",
                             format_host(&ends[0], family, source), format_host(&ends[1], family, destination),
                             ntohs(ends[0].port), ntohs(ends[1].port));
        return (size_t)n;
}

static uint8_t *add(uint8_t *at, const void *data, size_t size) {
        memcpy(at, data, size);
        return at + size;
}

/* A path or an abstract name, with zeros behind it; nothing but zeros for an unnamed socket. */
static uint8_t *add_unix(uint8_t *at, const union sockaddr_any *sa, socklen_t size) {
        size_t start = offsetof(struct sockaddr_un, sun_path), n = size > start ? size - start : 0;

        memset(at, 0, UNIX_ADDRESS);
        memcpy(at, sa->un.sun_path, MIN_OF(n, (size_t)UNIX_ADDRESS));
        return at + UNIX_ADDRESS;
}

static size_t write_v2(enum family family, const struct endpoint ends[2], const struct proxy_header *header,
                       uint8_t *out) {
        size_t skip = family == FAMILY_IPV4 ? 12 : 0;
        uint8_t *at = add(out, signature, sizeof(signature)), *fixed = at;
        size_t size;

        at += 4;
        if (family == FAMILY_IPV4 || family == FAMILY_IPV6) {
                for (size_t i = 0; i < 2; i++)
                        at = add(at, ends[i].host + skip, 16 - skip);
                for (size_t i = 0; i < 2; i++)
                        at = add(at, &ends[i].port, 2);
        } else if (family == FAMILY_UNIX) {
                at = add_unix(at, &header->source, header->source_size);
                at = add_unix(at, &header->destination, header->destination_size);
        }
        size = (size_t)(at - fixed) - 4;
        fixed[0] = 0x21; /* version 2, PROXY */
        fixed[1] = (uint8_t)(family == FAMILY_UNSPEC ? 0 : (unsigned)family << 4 | 1);
        fixed[2] = (uint8_t)(size >> 8);
        fixed[3] = (uint8_t)size;
        return (size_t)(at - out);
}

size_t proxy_header_write(const struct proxy_header *header, char out[PROXY_HEADER_MAX]) {
        const struct endpoint ends[2] = {endpoint_of(&header->source), endpoint_of(&header->destination)};
        enum family family = common_family(header, ends);

        return header->version == 1 ? write_v1(family, ends, out) : write_v2(family, ends, header, (uint8_t *)out);
}
