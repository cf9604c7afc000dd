/* The header that is written is the one that is read. */
#include "unit.h"

#include "net/proxywrite.h"

#include <arpa/inet.h>
#include <stdio.h>

static void set_unix(union sockaddr_any *sa, socklen_t *size, const char *path, size_t n) {
        sa->un = (struct sockaddr_un){.sun_family = AF_UNIX};
        memcpy(sa->un.sun_path, path, n);
        *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

static void set_ip(union sockaddr_any *sa, socklen_t *size, const char *host, unsigned port) {
        if (strchr(host, ':')) {
                sa->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
                assert_int_equal(inet_pton(AF_INET6, host, &sa->in6.sin6_addr), 1);
                *size = sizeof(sa->in6);
        } else {
                sa->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
                assert_int_equal(inet_pton(AF_INET, host, &sa->in.sin_addr), 1);
                *size = sizeof(sa->in);
        }
}

static struct proxy_header header_of(unsigned version, const char *from, unsigned from_port, const char *to,
                                     unsigned to_port) {
        struct proxy_header header = {.version = version, .kind = PROXY_HEADER_ADDRESSES};

        set_ip(&header.source, &header.source_size, from, from_port);
        set_ip(&header.destination, &header.destination_size, to, to_port);
        return header;
}

static void assert_read_back(const struct proxy_header *header, const char *source, const char *destination) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        struct proxy_header read;
        char data[PROXY_HEADER_MAX];
        size_t size = proxy_header_write(header, data);

        assert_int_equal(proxy_header_parse(data, size, &read), PROXY_HEADER_OK);
        assert_int_equal(read.size, size);
        assert_int_equal(read.version, header->version);
        if (!source) {
                assert_int_equal(read.kind, PROXY_HEADER_LOCAL);
                return;
        }
        assert_int_equal(read.kind, PROXY_HEADER_ADDRESSES);
        addr_format_sockaddr(&read.source, read.source_size, &text);
        assert_string_equal(buf_text(&text), source);
        buf_clear(&text);
        addr_format_sockaddr(&read.destination, read.destination_size, &text);
        assert_string_equal(buf_text(&text), destination);
}

static void test_ip(void **state UNUSED) {
        for (unsigned version = 1; version <= 2; version++) {
                struct proxy_header header = header_of(version, "192.0.2.7", 65535, "198.51.100.1", 1);

                assert_read_back(&header, "192.0.2.7:65535", "198.51.100.1:1");
                header = header_of(version, "2001:db8::1", 4711, "::1", 443);
                assert_read_back(&header, "[2001:db8::1]:4711", "[::1]:443");
                header = header_of(version, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
                                   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 65535);
                assert_read_back(&header, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
                                 "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535");
        }
}

static void test_mapped(void **state UNUSED) {
        struct proxy_header header = header_of(1, "::ffff:192.0.2.7", 1, "::ffff:192.0.2.8", 2);
        char data[PROXY_HEADER_MAX];
        size_t size = proxy_header_write(&header, data);

        assert_int_equal(size, strlen("PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n"));
        assert_memory_equal(data, "PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n", size);
        /* One of each is IPv6. */
        for (unsigned version = 1; version <= 2; version++) {
                header = header_of(version, "192.0.2.7", 1, "2001:db8::1", 2);
                assert_read_back(&header, "192.0.2.7:1", "[2001:db8::1]:2");
                header = header_of(version, "2001:db8::1", 1, "::ffff:192.0.2.8", 2);
                assert_read_back(&header, "[2001:db8::1]:1", "192.0.2.8:2");
        }
}

static void test_unix(void **state UNUSED) {
        struct proxy_header header = {.version = 2, .kind = PROXY_HEADER_ADDRESSES};
        char longest[108];

        set_unix(&header.source, &header.source_size, "/run/client", strlen("/run/client") + 1);
        set_unix(&header.destination, &header.destination_size, "\0abstract", 9);
        assert_read_back(&header, "/run/client", "@abstract");
        set_unix(&header.source, &header.source_size, "", 0);
        assert_read_back(&header, "unnamed", "@abstract");
        memset(longest, 'x', sizeof(longest));
        longest[0] = '/';
        set_unix(&header.destination, &header.destination_size, longest, sizeof(longest));
        assert_true(proxy_header_write(&header, (char[PROXY_HEADER_MAX]){0}) == 16 + 216);
        /* Version 1 has no word for them. */
        header.version = 1;
        assert_read_back(&header, NULL, NULL);
}

static void test_unknown(void **state UNUSED) {
        for (unsigned version = 1; version <= 2; version++) {
                struct proxy_header header = header_of(version, "192.0.2.7", 1, "192.0.2.8", 2);

                header.kind = PROXY_HEADER_LOCAL;
                assert_read_back(&header, NULL, NULL);
                header.kind = PROXY_HEADER_ADDRESSES;
                header.source.sa.sa_family = AF_VSOCK;
                assert_read_back(&header, NULL, NULL);
                header.source.sa.sa_family = AF_UNIX;
                assert_read_back(&header, NULL, NULL);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ip),
                cmocka_unit_test(test_mapped),
                cmocka_unit_test(test_unix),
                cmocka_unit_test(test_unknown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
