#include "unit.h"

#include "net/proxyheader.h"

#include <stdio.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define IPV4_ADDRESSES "\xc0\x00\x02\x01\xc6\x33\x64\x07\xff\xff\x01\xbb" /* 192.0.2.1:65535 198.51.100.7:443 */
#define IPV6_SOURCE "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define IPV6_DESTINATION "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\x01"
#define IPV6_ADDRESSES IPV6_SOURCE IPV6_DESTINATION "\x12\x34\x00\x50"

struct sample {
        const char *bytes;
        size_t size;
        const char *source, *destination; /* NULL: the connection's own addresses count */
};

#define SAMPLE(text, from, to)                                                                                         \
        { .bytes = (text), .size = sizeof(text) - 1, .source = (from), .destination = (to) }
#define SAMPLE_LOCAL(text) SAMPLE(text, NULL, NULL)
#define SAMPLE_BAD(text) SAMPLE(text, NULL, NULL)

/* Whole headers, nothing behind them. */
static const struct sample valid[] = {
        SAMPLE("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324", "192.168.0.11:443"),
        SAMPLE("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0", "0.0.0.0:0"),
        SAMPLE("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535",
               "255.255.255.255:65535"),
        SAMPLE("PROXY TCP4 10.20.30.40 100.0.9.99 1 10\r\n", "10.20.30.40:1", "100.0.9.99:10"),
        SAMPLE("PROXY TCP6 ::1 2001:DB8::2 1 2\r\n", "[::1]:1", "[2001:db8::2]:2"),
        SAMPLE("PROXY TCP6 :: :: 0 0\r\n", "[::]:0", "[::]:0"),
        SAMPLE("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:202 7 8\r\n", "192.0.2.1:7", "192.0.2.2:8"),
        SAMPLE("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
               "65535 65535\r\n",
               "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
        SAMPLE_LOCAL("PROXY UNKNOWN\r\n"),
        SAMPLE_LOCAL("PROXY UNKNOWN \r\n"),
        SAMPLE_LOCAL("PROXY UNKNOWN what ever \001\xff it is\r\n"),
        SAMPLE_LOCAL("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                     "65535 65535\r\n"),
        SAMPLE(SIGNATURE "\x21\x11\0\x0c" IPV4_ADDRESSES, "192.0.2.1:65535", "198.51.100.7:443"),
        SAMPLE(SIGNATURE "\x21\x21\0\x24" IPV6_ADDRESSES, "[2001:db8::1]:4660", "127.0.0.1:80"),
        SAMPLE(SIGNATURE "\x21\x11\0\x0f" IPV4_ADDRESSES "\x04\0\0", "192.0.2.1:65535", "198.51.100.7:443"),
        SAMPLE(SIGNATURE "\x21\x11\0\x19" IPV4_ADDRESSES "\x01\0\x02h2\x04\0\0\xe0\0\x02"
                         "zz",
               "192.0.2.1:65535", "198.51.100.7:443"),
        SAMPLE(SIGNATURE "\x21\x11\0\x13" IPV4_ADDRESSES "\x03\0\x04\x19\xeb\xc6\xaa", "192.0.2.1:65535",
               "198.51.100.7:443"),
        SAMPLE(SIGNATURE "\x21\x11\0\x18" IPV4_ADDRESSES "\x03\0\x04\xcb\x4d\x8a\xcc\x01\0\x02h2", "192.0.2.1:65535",
               "198.51.100.7:443"),
        SAMPLE_LOCAL(SIGNATURE "\x20\0\0\0"),
        SAMPLE_LOCAL(SIGNATURE "\x20\x11\0\x0c" IPV4_ADDRESSES),
        SAMPLE_LOCAL(SIGNATURE "\x20\xff\0\x03xyz"), /* its family is to be ignored */
        SAMPLE_LOCAL(SIGNATURE "\x21\0\0\0"),
        SAMPLE_LOCAL(SIGNATURE "\x21\0\0\x05\x01\xff\xff\xff\xff"), /* nobody knows where TLVs would begin */
        SAMPLE_LOCAL(SIGNATURE "\x21\x01\0\0"),
        SAMPLE_LOCAL(SIGNATURE "\x21\x10\0\x08xxxxxxxx"),
        SAMPLE_LOCAL(SIGNATURE "\x21\x12\0\x0c" IPV4_ADDRESSES),
        SAMPLE_LOCAL(SIGNATURE "\x21\x22\0\x24" IPV6_ADDRESSES),
};

/* Whole or in part, and nothing that could come would mend them. All bytes but the last are still hopeful. */
static const struct sample bad[] = {
        SAMPLE_BAD("PROXYX"),
        SAMPLE_BAD("PROXY\r"),
        SAMPLE_BAD("PROXY  "),
        SAMPLE_BAD("PROXY t"),
        SAMPLE_BAD("PROXY UNKNOWX"),
        SAMPLE_BAD("PROXY UNKNOWN\t"),
        SAMPLE_BAD("PROXY UNKNOWN\n"),
        SAMPLE_BAD("PROXY UNKNOWN x\n"),
        SAMPLE_BAD("PROXY UNKNOWN\rx"),
        SAMPLE_BAD("PROXY UNKNOWN\r\r"),
        SAMPLE_BAD("PROXY TCP5"),
        SAMPLE_BAD("PROXY TCP\r"),
        SAMPLE_BAD("PROXY TCP4\r"),
        SAMPLE_BAD("PROXY TCP46"),
        SAMPLE_BAD("PROXY TCP4  "),
        SAMPLE_BAD("PROXY TCP4 :"),
        SAMPLE_BAD("PROXY TCP4 1.2.3.4 :"),
        SAMPLE_BAD("PROXY TCP4 256"),
        SAMPLE_BAD("PROXY TCP4 01"),
        SAMPLE_BAD("PROXY TCP4 00"),
        SAMPLE_BAD("PROXY TCP4 1.."),
        SAMPLE_BAD("PROXY TCP4 1.2.3 "),
        SAMPLE_BAD("PROXY TCP4 1.2.3.4."),
        SAMPLE_BAD("PROXY TCP4 +"),
        SAMPLE_BAD("PROXY TCP4 1.2.3.4\t"),
        SAMPLE_BAD("PROXY TCP4 1.2.3.4  "),
        SAMPLE_BAD("PROXY TCP4 1.2.3.4 5.6.7.8\r"),
        SAMPLE_BAD("PROXY TCP4 1.2.3.4 5.6.7.8 -"),
        SAMPLE_BAD("PROXY TCP4 1.2.3.4 5.6.7.8 65536"),
        SAMPLE_BAD("PROXY TCP4 1.2.3.4 5.6.7.8 08"),
        SAMPLE_BAD("PROXY TCP4 1.2.3.4 5.6.7.8 80  "),
        SAMPLE_BAD("PROXY TCP4 1.2.3.4 5.6.7.8 80 \r"),
        SAMPLE_BAD("PROXY TCP4 1.2.3.4 5.6.7.8 80 81 "),
        SAMPLE_BAD("PROXY TCP4 1.2.3.4 5.6.7.8 80 81\n"),
        SAMPLE_BAD("PROXY TCP4 1.2.3.4 5.6.7.8 80 81\rx"),
        SAMPLE_BAD("PROXY TCP4 1.2.3.4 5.6.7.8 80 99999"),
        SAMPLE_BAD("PROXY TCP6 g"),
        SAMPLE_BAD("PROXY TCP6 \r"),
        SAMPLE_BAD("PROXY TCP6 1.2.3.4 "),
        SAMPLE_BAD("PROXY TCP6  "),
        SAMPLE_BAD("PROXY TCP6 1:2:3:4:5:6:7 "),
        SAMPLE_BAD("PROXY TCP6 1:2:3:4:5:6:7:8:9 "),
        SAMPLE_BAD("PROXY TCP6 1::2::3 "),
        SAMPLE_BAD("PROXY TCP6 12345:: "),
        SAMPLE_BAD("PROXY TCP6 fe80::1%"),
        SAMPLE_BAD("PROXY TCP6 ["),
        SAMPLE_BAD("PROXY TCP6 ::1 1.2.3.4 "),
        SAMPLE_BAD("PROXY TCP6 0000000000000000000000000000000000000000000000"),
        SAMPLE_BAD(SIGNATURE "\x01"),
        SAMPLE_BAD(SIGNATURE "\x11"),
        SAMPLE_BAD(SIGNATURE "\x31"),
        SAMPLE_BAD(SIGNATURE "\x22"),
        SAMPLE_BAD(SIGNATURE "\x2f"),
        SAMPLE_BAD(SIGNATURE "\x21\x13"),
        SAMPLE_BAD(SIGNATURE "\x21\x41"),
        SAMPLE_BAD(SIGNATURE "\x21\xf0"),
        SAMPLE_BAD(SIGNATURE "\x21\x03"),
        SAMPLE_BAD(SIGNATURE "\x21\x11\x03"),
        SAMPLE_BAD(SIGNATURE "\x20\0\x02\x09"), /* 537 bytes in all */
        SAMPLE_BAD(SIGNATURE "\x21\x11\x02\x09"),
        SAMPLE_BAD(SIGNATURE "\x21\x11\0\0"),
        SAMPLE_BAD(SIGNATURE "\x21\x11\0\x0b"),
        SAMPLE_BAD(SIGNATURE "\x21\x12\0\x0b"),
        SAMPLE_BAD(SIGNATURE "\x21\x21\0\x23"),
        SAMPLE_BAD(SIGNATURE "\x21\x22\0\x23"),
        SAMPLE_BAD(SIGNATURE "\x21\x31\0\xd7"),
        SAMPLE_BAD(SIGNATURE "\x21\x11\0\x10" IPV4_ADDRESSES "\x04\0\x02"), /* longer than what is left */
        SAMPLE_BAD(SIGNATURE "\x21\x11\0\x10" IPV4_ADDRESSES "\x04\x01"),   /* seen in half of its length */
        SAMPLE_BAD(SIGNATURE "\x21\x12\0\x10" IPV4_ADDRESSES "\x04\0\x02"), /* datagrams have TLVs too */
        SAMPLE_BAD(SIGNATURE "\x21\x11\0\x12" IPV4_ADDRESSES "\x03"),       /* no room for a checksum */
        SAMPLE_BAD(SIGNATURE "\x21\x11\0\x14" IPV4_ADDRESSES "\x03\0\x03"), /* a checksum of another size */
        SAMPLE_BAD(SIGNATURE "\x21\x11\0\x14" IPV4_ADDRESSES "\x03\0\x05"),
        SAMPLE_BAD(SIGNATURE "\x21\x11\0\x13" IPV4_ADDRESSES "\x03\0\x04\0\0\0\0"),     /* a wrong checksum */
        SAMPLE_BAD(SIGNATURE "\x21\x11\0\x1a" IPV4_ADDRESSES "\x03\0\x04\0\0\0\0\x03"), /* two of them */
};

static const struct sample none[] = {
        SAMPLE_BAD("G"),
        SAMPLE_BAD("GET / HTTP/1.1\r\n"),
        SAMPLE_BAD("\n"),
        SAMPLE_BAD("\r\n\r\n\r"),
        SAMPLE_BAD("\r\r"),
        SAMPLE_BAD("PROX "),
        SAMPLE_BAD("PR0XY "),
        SAMPLE_BAD("proxy "),
        SAMPLE_BAD("\r\n\r\n\0\r\nQUIT\r"),
        SAMPLE_BAD("\0"),
        SAMPLE_BAD(" PROXY "),
        SAMPLE_BAD("PROPFIND / HTTP/1.1"),
};

/* From memory of just that size, so that the sanitizer sees every byte read beyond it. */
static enum proxy_header_outcome parse_exactly(const void *data, size_t size, struct proxy_header *ret) {
        AUTO(freep) void *copy = size > 0 ? malloc(size) : NULL;

        if (copy)
                memcpy(copy, data, size);
        return proxy_header_parse(copy, size, ret);
}

static void check_address(const union sockaddr_any *sa, socklen_t size, const char *expected) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        addr_format_sockaddr(sa, size, &text);
        assert_string_equal(buf_text(&text), expected);
}

static void check_sample(const struct sample *sample, const struct proxy_header *header) {
        assert_int_equal(header->size, sample->size);
        assert_int_equal(header->version, sample->bytes[0] == 'P' ? 1 : 2);
        assert_int_equal(header->kind, sample->source ? PROXY_HEADER_ADDRESSES : PROXY_HEADER_LOCAL);
        if (!sample->source)
                return;
        check_address(&header->source, header->source_size, sample->source);
        check_address(&header->destination, header->destination_size, sample->destination);
        assert_int_equal(header->source_size, header->source.sa.sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                                                     : sizeof(struct sockaddr_in6));
        assert_int_equal(header->source_size, header->destination_size);
}

static void test_valid(void **state UNUSED) {
        for (size_t i = 0; i < LENGTH_OF(valid); i++) {
                struct proxy_header header;

                if (parse_exactly(valid[i].bytes, valid[i].size, &header) != PROXY_HEADER_OK)
                        fail_msg("valid[%zu] was refused", i);
                check_sample(&valid[i], &header);
        }
}

/* Every prefix may still become a header, and leaves the result alone. */
static void test_prefixes(void **state UNUSED) {
        for (size_t i = 0; i < LENGTH_OF(valid); i++)
                for (size_t n = 0; n < valid[i].size; n++) {
                        struct proxy_header header = {.size = 4711};

                        if (parse_exactly(valid[i].bytes, n, &header) != PROXY_HEADER_MORE)
                                fail_msg("the first %zu bytes of valid[%zu] are not waited for", n, i);
                        assert_int_equal(header.size, 4711);
                }
}

/* What follows a header is none of its business. */
static void test_followed(void **state UNUSED) {
        static const char *const tails[] = {"GET / HTTP/1.1\r\n\r\n", "\n", "\r\n", "PROXY UNKNOWN\r\n", "\x03"};

        for (size_t i = 0; i < LENGTH_OF(valid); i++)
                for (size_t j = 0; j < LENGTH_OF(tails); j++) {
                        struct proxy_header header;
                        char both[1024];

                        memcpy(both, valid[i].bytes, valid[i].size);
                        strcpy(both + valid[i].size, tails[j]);
                        assert_int_equal(parse_exactly(both, valid[i].size + strlen(tails[j]), &header),
                                         PROXY_HEADER_OK);
                        check_sample(&valid[i], &header);
                }
}

/* The byte that breaks the rules is the last one; before it there was hope, behind it there is none. */
static void test_bad(void **state UNUSED) {
        for (size_t i = 0; i < LENGTH_OF(bad); i++) {
                struct proxy_header header = {.size = 4711};
                char longer[256] = {0};

                for (size_t n = 0; n < bad[i].size; n++)
                        if (parse_exactly(bad[i].bytes, n, &header) != PROXY_HEADER_MORE)
                                fail_msg("bad[%zu] was found out after %zu bytes", i, n);
                if (parse_exactly(bad[i].bytes, bad[i].size, &header) != PROXY_HEADER_BAD)
                        fail_msg("bad[%zu] was not found out", i);
                memcpy(longer, bad[i].bytes, bad[i].size);
                for (size_t n = bad[i].size; n <= sizeof(longer); n++)
                        assert_int_equal(parse_exactly(longer, n, &header), PROXY_HEADER_BAD);
                assert_int_equal(header.size, 4711);
        }
}

static void test_none(void **state UNUSED) {
        struct proxy_header header;

        for (size_t i = 0; i < LENGTH_OF(none); i++)
                if (parse_exactly(none[i].bytes, none[i].size, &header) != PROXY_HEADER_NONE)
                        fail_msg("none[%zu] was taken for a header", i);
}

/* 107 bytes with CR and LF are the most for version 1, whatever they are. */
static void test_v1_bound(void **state UNUSED) {
        static const char mapped[] = "PROXY TCP6 0000:0000:0000:0000:0000:ffff:255.255.255.255 "
                                     "0000:0000:0000:0000:0000:ffff:255.255.255.255 65535 65535\r\n";
        char line[256] = "PROXY UNKNOWN ";
        struct proxy_header header;

        memset(line + 14, 'x', sizeof(line) - 14);
        for (size_t n = 14; n < 106; n++)
                assert_int_equal(parse_exactly(line, n, &header), PROXY_HEADER_MORE);
        for (size_t n = 106; n < sizeof(line); n++)
                assert_int_equal(parse_exactly(line, n, &header), PROXY_HEADER_BAD);
        memcpy(line + 105, "\r\n", 2);
        assert_int_equal(parse_exactly(line, 106, &header), PROXY_HEADER_MORE);
        assert_int_equal(parse_exactly(line, 107, &header), PROXY_HEADER_OK);
        assert_int_equal(parse_exactly(line, sizeof(line), &header), PROXY_HEADER_OK);
        assert_int_equal(header.size, 107);
        memcpy(line + 105, "x\r\n", 3);
        assert_int_equal(parse_exactly(line, 108, &header), PROXY_HEADER_BAD);
        assert_yes(sizeof(mapped) - 1 > 107);
        assert_int_equal(parse_exactly(mapped, 105, &header), PROXY_HEADER_MORE);
        assert_int_equal(parse_exactly(mapped, 106, &header), PROXY_HEADER_BAD);
        assert_int_equal(parse_exactly(mapped, sizeof(mapped) - 1, &header), PROXY_HEADER_BAD);
}

/* 536 bytes are the most for version 2, and are always enough for an answer. */
static void test_v2_bound(void **state UNUSED) {
        char bytes[PROXY_HEADER_MAX + 1] = SIGNATURE "\x21\x11\x02\x08" IPV4_ADDRESSES "\x04\x01\xf9";
        struct proxy_header header;

        for (size_t n = 0; n < PROXY_HEADER_MAX; n++)
                assert_int_equal(parse_exactly(bytes, n, &header), PROXY_HEADER_MORE);
        assert_int_equal(parse_exactly(bytes, PROXY_HEADER_MAX, &header), PROXY_HEADER_OK);
        assert_int_equal(header.size, PROXY_HEADER_MAX);
        assert_int_equal(parse_exactly(bytes, sizeof(bytes), &header), PROXY_HEADER_OK);
        assert_int_equal(header.size, PROXY_HEADER_MAX);
        bytes[30]++;
        assert_int_equal(parse_exactly(bytes, 31, &header), PROXY_HEADER_BAD);
        bytes[30] -= 2; /* leaves one byte, and a TLV takes three */
        assert_int_equal(parse_exactly(bytes, 31, &header), PROXY_HEADER_BAD);
}

/* Two addresses of 108 bytes each; the second is "@name" throughout. */
static socklen_t parse_unix(const char *path, size_t size, struct proxy_header *ret) {
        char bytes[16 + 216 + 3] = SIGNATURE "\x21\x31\0\xdb";

        memcpy(bytes + 16, path, size);
        memcpy(bytes + 16 + 108, "\0name", 5);
        bytes[16 + 216] = 4;
        for (size_t n = 0; n < sizeof(bytes); n++)
                assert_int_equal(parse_exactly(bytes, n, ret), PROXY_HEADER_MORE);
        assert_int_equal(parse_exactly(bytes, sizeof(bytes), ret), PROXY_HEADER_OK);
        assert_int_equal(ret->size, sizeof(bytes));
        assert_int_equal(ret->kind, PROXY_HEADER_ADDRESSES);
        assert_int_equal(ret->source.sa.sa_family, AF_UNIX);
        check_address(&ret->destination, ret->destination_size, "@name");
        assert_int_equal(ret->destination_size, offsetof(struct sockaddr_un, sun_path) + 5);
        return ret->source_size - (socklen_t)offsetof(struct sockaddr_un, sun_path);
}

static void test_unix(void **state UNUSED) {
        char path[108];
        struct proxy_header header;

        assert_int_equal(parse_unix("", 0, &header), 0);
        check_address(&header.source, header.source_size, "unnamed");
        assert_int_equal(parse_unix("/run/x", 6, &header), 7);
        check_address(&header.source, header.source_size, "/run/x");
        assert_int_equal(parse_unix("/run/x\0rubbish", 14, &header), 7);
        check_address(&header.source, header.source_size, "/run/x");
        assert_int_equal(header.source.un.sun_path[8], 0);
        assert_int_equal(parse_unix("\0a\0b", 4, &header), 4);
        memset(path, 'x', sizeof(path));
        path[0] = '/';
        assert_int_equal(parse_unix(path, 107, &header), 108);
        assert_int_equal(parse_unix(path, 108, &header), 108);
        path[0] = '\0';
        assert_int_equal(parse_unix(path, 108, &header), 108);
        assert_memory_equal(header.source.un.sun_path, path, 108);
        path[0] = '@'; /* no name in the abstract namespace here */
        assert_int_equal(parse_unix(path, 3, &header), 4);
}

/* One byte more at a time, as a slow sender has it; then every byte of it changed: never anything but an answer. */
static void test_growth(void **state UNUSED) {
        for (size_t i = 0; i < LENGTH_OF(valid); i++) {
                struct proxy_header header;
                char stream[600];
                size_t n = 0;

                memset(stream, 'x', sizeof(stream));
                memcpy(stream, valid[i].bytes, valid[i].size);
                while (parse_exactly(stream, n, &header) == PROXY_HEADER_MORE)
                        n++;
                assert_int_equal(n, valid[i].size);
                for (size_t at = 0; at < valid[i].size; at++)
                        for (unsigned bit = 0; bit < 8; bit++) {
                                stream[at] ^= (char)(1u << bit);
                                assert_int_not_equal(parse_exactly(stream, PROXY_HEADER_MAX, &header),
                                                     PROXY_HEADER_MORE);
                                stream[at] ^= (char)(1u << bit);
                        }
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_valid),    cmocka_unit_test(test_prefixes), cmocka_unit_test(test_followed),
                cmocka_unit_test(test_bad),      cmocka_unit_test(test_none),     cmocka_unit_test(test_v1_bound),
                cmocka_unit_test(test_v2_bound), cmocka_unit_test(test_unix),     cmocka_unit_test(test_growth),
        };

        return cmocka_run_group_tests_name("proxyheader", tests, NULL, NULL);
}
