#include "net/prefix.h"

#include "base/number.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>

#define MAPPED_BITS 96 /* of ::ffff:0:0/96, where the IPv4 address begins */

void prefix_mask(struct prefix *prefix, unsigned bits) {
        if (bits >= prefix->bits)
                return;
        for (size_t i = 0; i < sizeof(prefix->address); i++) {
                if (8 * i >= bits)
                        prefix->address[i] = 0;
                else if (8 * i + 8 > bits)
                        prefix->address[i] &= (uint8_t)(0xff << (8 * i + 8 - bits));
        }
        prefix->bits = (uint8_t)bits;
}

bool prefix_equal(const struct prefix *a, const struct prefix *b) {
        return a->family == b->family && a->bits == b->bits && memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

static void set_in(struct prefix *prefix, const void *in) {
        *prefix = (struct prefix){.family = AF_INET, .bits = 32};
        memcpy(prefix->address, in, sizeof(struct in_addr));
}

static void set_in6(struct prefix *prefix, const struct in6_addr *in6) {
        if (IN6_IS_ADDR_V4MAPPED(in6)) {
                set_in(prefix, &in6->s6_addr[MAPPED_BITS / 8]);
                return;
        }
        *prefix = (struct prefix){.family = AF_INET6, .bits = 128};
        memcpy(prefix->address, in6, sizeof(*in6));
}

bool prefix_of_address(const union sockaddr_any *sa, struct prefix *ret) {
        *ret = (struct prefix){0};
        if (sa->sa.sa_family == AF_INET)
                set_in(ret, &sa->in.sin_addr);
        else if (sa->sa.sa_family == AF_INET6)
                set_in6(ret, &sa->in6.sin6_addr);
        else if (sa->sa.sa_family == AF_UNIX)
                ret->family = AF_UNIX;
        return ret->family != 0;
}

static bool is_unspecified(const struct prefix *prefix) {
        static const uint8_t zero[sizeof(prefix->address)];

        return memcmp(prefix->address, zero, sizeof(zero)) == 0;
}

void prefix_format(const struct prefix *prefix, struct buf *out) {
        char text[INET6_ADDRSTRLEN];

        if (prefix->family == AF_UNIX) {
                buf_add_string(out, "unix:");
                return;
        }
        buf_add_string(out, inet_ntop(prefix->family, prefix->address, text, sizeof(text)) ? text : "");
        if (prefix->bits < prefix_bits_max(prefix->family) || is_unspecified(prefix))
                buf_printf(out, "/%u", prefix->bits);
}

bool prefix_looks_numeric(const char *text) {
        struct in_addr in;

        /* inet_aton(3), as getaddrinfo(3) after it, also takes 0x7f.1 and the like. */
        return strpbrk(text, "[]:/") || text[strspn(text, "0123456789.*-")] == '\0' || inet_aton(text, &in) != 0;
}

/* What was cut off at the slash, and what belongs to it. */
struct prefix_text {
        char host[INET6_ADDRSTRLEN + 1];
        const char *length; /* NULL: no slash */
        bool mapped;
};

static bool parse_host(const char *text, struct prefix *ret) {
        struct in6_addr in6;
        struct in_addr in;

        if (inet_pton(AF_INET, text, &in) == 1)
                set_in(ret, &in);
        else if (inet_pton(AF_INET6, text, &in6) == 1)
                set_in6(ret, &in6);
        else
                return false;
        return true;
}

/* 10.0, 10.0. and 10.0.* as other programs take them for a network; also 172.16/12. */
static bool refuse_short(const char *host, const char *length, struct buf *why) {
        char whole[INET6_ADDRSTRLEN + 1 + sizeof(".0.0.0")];
        size_t n = strlen(host), dots = 0;
        struct in_addr in;
        int64_t bits;

        while (n > 1 && (host[n - 1] == '*' || host[n - 1] == '.'))
                n--;
        for (size_t i = 0; i < n; i++)
                dots += host[i] == '.';
        if (n == 0 || dots > 2)
                return false;
        memcpy(whole, host, n);
        strcpy(whole + n, &".0.0.0"[2 * dots]);
        if (inet_pton(AF_INET, whole, &in) != 1)
                return false;
        if (!length || number_parse(length, 0, 32, &bits) < 0)
                bits = 8 * (int64_t)(dots + 1);
        buf_printf(why, "is not a whole address; write %s/%d for the network", whole, (int)bits);
        return true;
}

static void refuse_host(const char *text, const char *host, const char *length, struct buf *why) {
        AUTO(buf_deinit) struct buf inner = BUF_NULL;
        const char *colon = strchr(text, ':');
        const char *close = strchr(text, ']');
        struct prefix prefix;

        if (text[0] == '[' && close)
                buf_add(&inner, text + 1, (size_t)(close - text - 1));
        else if (colon)
                buf_add(&inner, text, (size_t)(colon - text));
        if (inner.size > 0 && parse_host(buf_text(&inner), &prefix))
                buf_printf(why, "has %s; write %s", text[0] == '[' && close[1] != ':' ? "brackets" : "a port",
                           buf_text(&inner));
        else if (strchr(text, '%'))
                buf_add_string(why, "has a zone (%), which clients are not told apart by; leave it out");
        else if (!refuse_short(host, length, why))
                buf_add_string(why, "is not an address; write one such as 192.0.2.7 or 2001:db8::1, or a network such "
                                    "as 10.0.0.0/8");
}

/* The number of ones that a netmask such as 255.255.0.0 begins with; -1 where it is none. */
static int netmask_bits(const char *text) {
        struct in_addr in;
        uint32_t mask;

        if (inet_pton(AF_INET, text, &in) != 1)
                return -1;
        mask = ntohl(in.s_addr);
        if ((~mask & (~mask + 1)) != 0)
                return -1;
        return mask == 0 ? 0 : 32 - __builtin_ctz(mask);
}

static bool parse_length(const struct prefix_text *text, const struct prefix *prefix, unsigned *ret, struct buf *why) {
        unsigned least = text->mapped ? MAPPED_BITS : 0;
        unsigned most = prefix_bits_max(prefix->family) + least;
        int mask = netmask_bits(text->length);
        int64_t value;

        if (prefix->family == AF_INET && !text->mapped && mask >= 0) {
                struct prefix network = *prefix;

                prefix_mask(&network, (unsigned)mask);
                buf_add_string(why, "has a netmask; write ");
                prefix_format(&network, why);
                return false;
        }
        if (text->length[0] == '+' || number_parse(text->length, least, most, &value) < 0) {
                buf_printf(why, "has the length '%.16s'; write %u to %u", text->length, least, most);
                return false;
        }
        *ret = (unsigned)value - least;
        return true;
}

static bool apply_length(const struct prefix_text *text, struct prefix *prefix, struct buf *why) {
        struct prefix masked = *prefix;
        unsigned bits;

        if (!parse_length(text, prefix, &bits, why))
                return false;
        prefix_mask(&masked, bits);
        if (memcmp(masked.address, prefix->address, sizeof(masked.address)) != 0) {
                buf_printf(why, "has bits beyond its /%s; write ", text->length);
                prefix_format(&masked, why);
                return false;
        }
        *prefix = masked;
        return true;
}

bool prefix_parse(const char *text, struct prefix *ret, struct buf *why) {
        const char *slash = strchr(text, '/');
        struct prefix_text parts = {.length = slash ? slash + 1 : NULL};
        size_t n = slash ? (size_t)(slash - text) : strlen(text);
        struct prefix prefix;

        if (n < sizeof(parts.host))
                memcpy(parts.host, text, n);
        if (!parse_host(parts.host, &prefix)) {
                refuse_host(text, parts.host, parts.length, why);
                return false;
        }
        parts.mapped = prefix.family == AF_INET && strchr(parts.host, ':');
        if (parts.length && !apply_length(&parts, &prefix, why))
                return false;
        if (!parts.length && is_unspecified(&prefix)) {
                bool ipv4 = prefix.family == AF_INET;

                buf_printf(why, "is nobody's address; write %s for everybody with IPv%d", ipv4 ? "0.0.0.0/0" : "::/0",
                           ipv4 ? 4 : 6);
                return false;
        }
        *ret = prefix;
        return true;
}

static void add_address(const struct addrinfo *ai, struct prefix *prefixes, size_t *count) {
        union sockaddr_any sa = {0};

        memcpy(&sa, ai->ai_addr, MIN_OF(ai->ai_addrlen, sizeof(sa)));
        if (!prefix_of_address(&sa, &prefixes[*count]))
                return;
        for (size_t i = 0; i < *count; i++)
                if (prefix_equal(&prefixes[i], &prefixes[*count]))
                        return;
        (*count)++;
}

bool prefix_resolve(const char *host, struct prefix **ret, size_t *ret_count, struct buf *why) {
        const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
        AUTO(freep) struct prefix *prefixes = NULL;
        struct addrinfo *results;
        size_t count = 0, most = 0;
        int r = getaddrinfo(host, NULL, &hints, &results);

        if (r != 0) {
                buf_printf(why, "cannot be looked up: %s", r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
                return false;
        }
        for (const struct addrinfo *ai = results; ai; ai = ai->ai_next)
                most++;
        prefixes = calloc(most + 1, sizeof(*prefixes));
        for (const struct addrinfo *ai = results; ai && prefixes; ai = ai->ai_next)
                add_address(ai, prefixes, &count);
        freeaddrinfo(results);
        if (!prefixes || count == 0) {
                buf_printf(why, "cannot be looked up: %s", prefixes ? "it has no address" : "out of memory");
                return false;
        }
        *ret = take_ptr(prefixes);
        *ret_count = count;
        return true;
}
