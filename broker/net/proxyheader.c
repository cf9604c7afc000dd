#include "net/proxyheader.h"

#include <arpa/inet.h>
#include <string.h>

#define V1_MAX 107
#define V2_FIXED 16 /* up to the length of the rest */
#define TLV_FIXED 3
#define TLV_CRC32C 0x03
#define UNIX_ADDRESS 108

static const char v1_signature[] = "PROXY";
static const uint8_t v2_signature[] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

/* What has come of the stream, and how far it was understood. */
struct cursor {
        const uint8_t *data;
        size_t size;
        size_t at;
};

/* The next bytes have to be TEXT. */
static enum proxy_header_outcome take_text(struct cursor *cursor, const char *text) {
        for (; *text; text++, cursor->at++) {
                if (cursor->at == cursor->size)
                        return PROXY_HEADER_MORE;
                if (cursor->data[cursor->at] != (uint8_t)*text)
                        return PROXY_HEADER_BAD;
        }
        return PROXY_HEADER_OK;
}

/* A number without leading zeros, and the character END behind it. */
static enum proxy_header_outcome take_number(struct cursor *cursor, unsigned max, char end, unsigned *ret) {
        unsigned value = 0, digits = 0;

        for (; cursor->at < cursor->size; digits++) {
                uint8_t c = cursor->data[cursor->at++];

                if (c == (uint8_t)end && digits > 0) {
                        *ret = value;
                        return PROXY_HEADER_OK;
                }
                if (c < '0' || c > '9' || (digits > 0 && value == 0))
                        return PROXY_HEADER_BAD;
                value = value * 10 + (c - '0');
                if (value > max)
                        return PROXY_HEADER_BAD;
        }
        return PROXY_HEADER_MORE;
}

static enum proxy_header_outcome take_ipv4(struct cursor *cursor, struct sockaddr_in *ret) {
        uint32_t address = 0;

        for (unsigned i = 0; i < 4; i++) {
                unsigned octet;
                enum proxy_header_outcome outcome = take_number(cursor, 255, i < 3 ? '.' : ' ', &octet);

                if (outcome != PROXY_HEADER_OK)
                        return outcome;
                address = address << 8 | octet;
        }
        *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
        return PROXY_HEADER_OK;
}

static enum proxy_header_outcome take_ipv6(struct cursor *cursor, struct sockaddr_in6 *ret) {
        char text[INET6_ADDRSTRLEN] = "";

        *ret = (struct sockaddr_in6){.sin6_family = AF_INET6};
        for (size_t n = 0; cursor->at < cursor->size; n++) {
                char c = (char)cursor->data[cursor->at++];

                if (c == ' ')
                        return inet_pton(AF_INET6, text, &ret->sin6_addr) == 1 ? PROXY_HEADER_OK : PROXY_HEADER_BAD;
                if (n == sizeof(text) - 1 || c == '\0' || !strchr("0123456789abcdefABCDEF:.", c))
                        return PROXY_HEADER_BAD;
                text[n] = c;
        }
        return PROXY_HEADER_MORE;
}

static enum proxy_header_outcome take_host(struct cursor *cursor, bool ipv6, union sockaddr_any *ret) {
        return ipv6 ? take_ipv6(cursor, &ret->in6) : take_ipv4(cursor, &ret->in);
}

static enum proxy_header_outcome take_port(struct cursor *cursor, char end, union sockaddr_any *host) {
        unsigned port;
        enum proxy_header_outcome outcome = take_number(cursor, 65535, end, &port);

        if (outcome != PROXY_HEADER_OK)
                return outcome;
        if (host->sa.sa_family == AF_INET6)
                host->in6.sin6_port = htons((uint16_t)port);
        else
                host->in.sin_port = htons((uint16_t)port);
        return PROXY_HEADER_OK;
}

static enum proxy_header_outcome take_v1_addresses(struct cursor *cursor, bool ipv6, struct proxy_header *header) {
        enum proxy_header_outcome outcome = take_host(cursor, ipv6, &header->source);

        if (outcome == PROXY_HEADER_OK)
                outcome = take_host(cursor, ipv6, &header->destination);
        if (outcome == PROXY_HEADER_OK)
                outcome = take_port(cursor, ' ', &header->source);
        if (outcome == PROXY_HEADER_OK)
                outcome = take_port(cursor, '\r', &header->destination);
        if (outcome == PROXY_HEADER_OK)
                outcome = take_text(cursor, "\n");
        header->source_size = header->destination_size =
                ipv6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
        return outcome;
}

/* UNKNOWN, and anything up to CR LF; behind the word comes a blank or the end. */
static enum proxy_header_outcome take_v1_unknown(struct cursor *cursor, struct proxy_header *header) {
        enum proxy_header_outcome outcome = take_text(cursor, "UNKNOWN");

        header->kind = PROXY_HEADER_LOCAL;
        if (outcome != PROXY_HEADER_OK)
                return outcome;
        if (cursor->at < cursor->size && cursor->data[cursor->at] != '\r' && cursor->data[cursor->at] != ' ')
                return PROXY_HEADER_BAD;
        for (; cursor->at < cursor->size; cursor->at++) {
                if (cursor->data[cursor->at] == '\n')
                        return PROXY_HEADER_BAD;
                if (cursor->data[cursor->at] == '\r')
                        return take_text(cursor, "\r\n");
        }
        return PROXY_HEADER_MORE;
}

/* What follows the signature. */
static enum proxy_header_outcome take_v1(struct cursor *cursor, struct proxy_header *header) {
        enum proxy_header_outcome outcome = take_text(cursor, " ");

        if (outcome != PROXY_HEADER_OK || cursor->at == cursor->size)
                return outcome == PROXY_HEADER_BAD ? outcome : PROXY_HEADER_MORE;
        if (cursor->data[cursor->at] == 'U')
                return take_v1_unknown(cursor, header);
        outcome = take_text(cursor, "TCP");
        if (outcome != PROXY_HEADER_OK || cursor->at == cursor->size)
                return outcome == PROXY_HEADER_BAD ? outcome : PROXY_HEADER_MORE;
        switch (cursor->data[cursor->at]) {
        case '4':
                outcome = take_text(cursor, "4 ");
                return outcome == PROXY_HEADER_OK ? take_v1_addresses(cursor, false, header) : outcome;
        case '6':
                outcome = take_text(cursor, "6 ");
                return outcome == PROXY_HEADER_OK ? take_v1_addresses(cursor, true, header) : outcome;
        }
        return PROXY_HEADER_BAD;
}

static enum proxy_header_outcome parse_v1(struct cursor *cursor, struct proxy_header *header) {
        enum proxy_header_outcome outcome;

        cursor->size = MIN_OF(cursor->size, (size_t)V1_MAX);
        cursor->at = MIN_OF(cursor->size, strlen(v1_signature));
        outcome = take_v1(cursor, header);
        /* Without CR by now, CR LF would come too late. */
        if (outcome == PROXY_HEADER_MORE && cursor->size >= V1_MAX - 1 && cursor->data[V1_MAX - 2] != '\r')
                return PROXY_HEADER_BAD;
        return outcome;
}

/* CRC-32C (RFC 9260, appendix A). A bit at a time: this is for a few hundred bytes once per connection. */
static uint32_t crc32c_add(uint32_t crc, const uint8_t *data, size_t size) {
        while (size-- > 0) {
                crc ^= *data++;
                for (int bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
        }
        return crc;
}

/* The checksum counts as four zeros in its own sum; AT is where its value stands. */
static bool checksum_fits(const uint8_t *header, size_t size, size_t at) {
        const uint8_t *stored = header + at;
        uint32_t crc = crc32c_add(UINT32_MAX, header, at);

        crc = crc32c_add(crc, (const uint8_t[4]){0}, 4);
        crc = ~crc32c_add(crc, stored + 4, size - at - 4);
        return crc == ((uint32_t)stored[0] << 24 | (uint32_t)stored[1] << 16 | (uint32_t)stored[2] << 8 | stored[3]);
}

/* Walks the TLVs between cursor->at and END, as far as they have come. A part of a length that has not come yet counts
 * as 0, which is the least it can be. */
static enum proxy_header_outcome walk_tlvs(struct cursor *cursor, size_t end) {
        size_t checksum = 0;

        while (cursor->at < end) {
                size_t known = cursor->size - MIN_OF(cursor->at, cursor->size);
                const uint8_t *tlv = known > 0 ? cursor->data + cursor->at : NULL;
                size_t n = (known > 1 ? (size_t)tlv[1] << 8 : 0) | (known > 2 ? tlv[2] : 0);

                if (end - cursor->at < TLV_FIXED || n > end - cursor->at - TLV_FIXED)
                        return PROXY_HEADER_BAD;
                if (known > 0 && tlv[0] == TLV_CRC32C) {
                        if (checksum > 0 || end - cursor->at < TLV_FIXED + 4 || (known > 2 && n != 4) || n > 4)
                                return PROXY_HEADER_BAD;
                        checksum = cursor->at + TLV_FIXED;
                }
                if (known < TLV_FIXED)
                        return PROXY_HEADER_MORE;
                cursor->at += TLV_FIXED + n;
        }
        if (cursor->size < end)
                return PROXY_HEADER_MORE;
        return checksum == 0 || checksum_fits(cursor->data, end, checksum) ? PROXY_HEADER_OK : PROXY_HEADER_BAD;
}

static void set_ipv4(union sockaddr_any *ret, socklen_t *ret_size, const uint8_t *host, const uint8_t *port) {
        ret->in = (struct sockaddr_in){.sin_family = AF_INET};
        memcpy(&ret->in.sin_addr, host, 4);
        memcpy(&ret->in.sin_port, port, 2);
        *ret_size = sizeof(ret->in);
}

static void set_ipv6(union sockaddr_any *ret, socklen_t *ret_size, const uint8_t *host, const uint8_t *port) {
        ret->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
        memcpy(&ret->in6.sin6_addr, host, 16);
        memcpy(&ret->in6.sin6_port, port, 2);
        *ret_size = sizeof(ret->in6);
}

/* Sizes are those that the kernel gives: a path with its NUL where there is room for one, an abstract name without any
 * (here without the padding), nothing for an unnamed socket. */
static void set_unix(union sockaddr_any *ret, socklen_t *ret_size, const uint8_t path[UNIX_ADDRESS]) {
        size_t n = UNIX_ADDRESS;

        if (path[0] != '\0')
                n = MIN_OF(strnlen((const char *)path, n) + 1, n);
        else
                while (n > 0 && path[n - 1] == '\0')
                        n--;
        ret->un = (struct sockaddr_un){.sun_family = AF_UNIX};
        memcpy(ret->un.sun_path, path, n);
        *ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

static void set_addresses(struct proxy_header *header, unsigned family, const uint8_t *p) {
        switch (family) {
        case 1:
                set_ipv4(&header->source, &header->source_size, p, p + 8);
                set_ipv4(&header->destination, &header->destination_size, p + 4, p + 10);
                break;
        case 2:
                set_ipv6(&header->source, &header->source_size, p, p + 32);
                set_ipv6(&header->destination, &header->destination_size, p + 16, p + 34);
                break;
        case 3:
                set_unix(&header->source, &header->source_size, p);
                set_unix(&header->destination, &header->destination_size, p + UNIX_ADDRESS);
                break;
        }
}

/* Version, command, family, protocol and length, each as soon as it is there. */
static enum proxy_header_outcome parse_v2(struct cursor *cursor, struct proxy_header *header) {
        static const size_t room_for[] = {0, 2 * 4 + 2 * 2, 2 * 16 + 2 * 2, 2 * UNIX_ADDRESS};
        const uint8_t *p = cursor->data;
        unsigned command, family, protocol;
        size_t end;

        if (cursor->size > 12 && (p[12] >> 4 != 2 || (p[12] & 15) > 1))
                return PROXY_HEADER_BAD;
        command = cursor->size > 12 ? p[12] & 15 : 0;
        /* With LOCAL the family is to be ignored, whatever it is. */
        family = command == 1 && cursor->size > 13 ? p[13] >> 4 : 0;
        protocol = command == 1 && cursor->size > 13 ? p[13] & 15 : 0;
        if (family > 3 || protocol > 2 || (cursor->size > 14 && V2_FIXED + ((size_t)p[14] << 8) > PROXY_HEADER_MAX))
                return PROXY_HEADER_BAD;
        if (cursor->size < V2_FIXED)
                return PROXY_HEADER_MORE;
        end = V2_FIXED + ((size_t)p[14] << 8 | p[15]);
        if (end > PROXY_HEADER_MAX)
                return PROXY_HEADER_BAD;
        header->kind = PROXY_HEADER_LOCAL;
        cursor->at = end;
        if (family == 0 || protocol == 0)
                return cursor->size < end ? PROXY_HEADER_MORE : PROXY_HEADER_OK;
        if (V2_FIXED + room_for[family] > end)
                return PROXY_HEADER_BAD;
        cursor->at = V2_FIXED + room_for[family];
        if (protocol == 1 && cursor->size >= cursor->at) {
                header->kind = PROXY_HEADER_ADDRESSES;
                set_addresses(header, family, p + V2_FIXED);
        }
        return walk_tlvs(cursor, end);
}

static bool begins_with(const struct cursor *cursor, const void *signature, size_t size) {
        return memcmp(cursor->data, signature, MIN_OF(size, cursor->size)) == 0;
}

enum proxy_header_outcome proxy_header_parse(const void *data, size_t size, struct proxy_header *ret) {
        struct proxy_header header = {.version = 1};
        struct cursor cursor = {.data = data, .size = size};
        enum proxy_header_outcome outcome;

        if (size == 0)
                return PROXY_HEADER_MORE;
        if (begins_with(&cursor, v1_signature, strlen(v1_signature))) {
                outcome = parse_v1(&cursor, &header);
        } else if (begins_with(&cursor, v2_signature, sizeof(v2_signature))) {
                header.version = 2;
                outcome = parse_v2(&cursor, &header);
        } else {
                return PROXY_HEADER_NONE;
        }
        if (outcome == PROXY_HEADER_OK) {
                header.size = cursor.at;
                *ret = header;
        }
        return outcome;
}
