/* Networks: what is read, what is refused and with which advice, and cutting to a length. */
#include "unit.h"

#include "net/prefix.h"

#include <arpa/inet.h>

static void reads_as(const char *text, const char *expected) {
        AUTO(buf_deinit) struct buf why = BUF_NULL, out = BUF_NULL;
        struct prefix prefix, again;

        if (!prefix_parse(text, &prefix, &why))
                fail_msg("'%s' %s", text, buf_text(&why));
        prefix_format(&prefix, &out);
        assert_string_equal(buf_text(&out), expected);
        assert_yes(prefix_parse(buf_text(&out), &again, &why));
        assert_yes(prefix_equal(&prefix, &again));
}

static void refused(const char *text, const char *expected) {
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        struct prefix prefix = {.family = 77};

        if (prefix_parse(text, &prefix, &why))
                fail_msg("'%s' was taken", text);
        assert_int_equal(prefix.family, 77);
        if (!strstr(buf_text(&why), expected))
                fail_msg("'%s' %s", text, buf_text(&why));
}

static void test_parse(void **state UNUSED) {
        reads_as("192.0.2.7", "192.0.2.7");
        reads_as("192.0.2.7/32", "192.0.2.7");
        reads_as("10.0.0.0/8", "10.0.0.0/8");
        reads_as("10.0.0.0", "10.0.0.0");
        reads_as("10.32.0.0/11", "10.32.0.0/11");
        reads_as("0.0.0.0/0", "0.0.0.0/0");
        reads_as("0.0.0.0/32", "0.0.0.0/32");
        reads_as("255.255.255.255", "255.255.255.255");
        reads_as("2001:db8::/32", "2001:db8::/32");
        reads_as("2001:DB8:0:0::1", "2001:db8::1");
        reads_as("::1", "::1");
        reads_as("::1/128", "::1");
        reads_as("::/0", "::/0");
        reads_as("::/128", "::/128");
        reads_as("8000::/1", "8000::/1");
        reads_as("::ffff:192.0.2.7", "192.0.2.7");
        reads_as("::ffff:10.0.0.0/104", "10.0.0.0/8");
        reads_as("::ffff:0:0/96", "0.0.0.0/0");
        reads_as("::fffe:0:0/95", "::fffe:0:0/95");
}

static void test_refuse(void **state UNUSED) {
        refused("192.168.1.7/24", "has bits beyond its /24; write 192.168.1.0/24");
        refused("2001:db8::1/64", "has bits beyond its /64; write 2001:db8::/64");
        refused("::ffff:10.0.0.1/104", "has bits beyond its /104; write 10.0.0.0/8");
        refused("::ffff:0:0/95", "has the length '95'; write 96 to 128");
        refused("10.0.0.0/33", "has the length '33'; write 0 to 32");
        refused("::/129", "has the length '129'; write 0 to 128");
        refused("10.0.0.0/", "has the length ''");
        refused("10.0.0.0/8 ", "has the length '8 '");
        refused("10.0.0.0/255.0.0.0", "has a netmask; write 10.0.0.0/8");
        refused("10.0.0.0/0.0.0.0", "has a netmask; write 0.0.0.0/0");
        refused("10.0.0.0/255.255.255.255", "has a netmask; write 10.0.0.0");
        refused("10.0.0.0/255.0.255.0", "has the length");
        refused("0.0.0.0", "is nobody's address; write 0.0.0.0/0");
        refused("::", "is nobody's address; write ::/0");
        refused("[::1]", "has brackets; write ::1");
        refused("[::1]:80", "has a port; write ::1");
        refused("192.0.2.7:80", "has a port; write 192.0.2.7");
        refused("[", "is not an address");
        refused("[]", "is not an address");
        refused("[]:1", "is not an address");
        refused("fe80::1%eth0", "has a zone");
        refused("10", "write 10.0.0.0/8");
        refused("10.1.", "write 10.1.0.0/16");
        refused("10.1.2.*", "write 10.1.2.0/24");
        refused("*", "is not an address");
        refused(".", "is not an address");
        refused("...", "is not an address");
        refused("", "is not an address");
        refused("/", "is not an address");
        refused("localhost", "is not an address");
        refused("10.0.0.1 ", "is not an address");
        refused(" 10.0.0.1", "is not an address");
        refused("1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc", "is not an address");
}

static void test_long(void **state UNUSED) {
        char text[4096];

        for (size_t n = 1; n < sizeof(text); n = 2 * n + 1)
                for (const char *p = "1.:/[]*a"; *p; p++) {
                        memset(text, *p, n);
                        text[n] = '\0';
                        refused(text, n > 3 ? "is not an address" : "");
                }
}

static void test_looks_numeric(void **state UNUSED) {
        static const char *const numeric[] = {"10.0.0.1", "10",     "10.*", "::1",   "[::1]", "a/8",
                                              "a:80",     "0x7f.1", "017",  "1-2.3", "",      "0x7f000001"};
        static const char *const names[] = {"localhost", "a.example", "10.example", "3com", "1host", "a-1", "0xhost"};

        for (size_t i = 0; i < LENGTH_OF(numeric); i++)
                assert_yes(prefix_looks_numeric(numeric[i]));
        for (size_t i = 0; i < LENGTH_OF(names); i++)
                assert_no(prefix_looks_numeric(names[i]));
}

static union sockaddr_any address(const char *text) {
        union sockaddr_any sa = {0};

        if (inet_pton(AF_INET, text, &sa.in.sin_addr) == 1)
                sa.sa.sa_family = AF_INET;
        else if (inet_pton(AF_INET6, text, &sa.in6.sin6_addr) == 1)
                sa.sa.sa_family = AF_INET6;
        else
                sa.sa.sa_family = AF_UNIX;
        return sa;
}

static void masked_is(const char *text, unsigned bits, const char *expected) {
        AUTO(buf_deinit) struct buf out = BUF_NULL;
        const union sockaddr_any sa = address(text);
        struct prefix prefix;

        assert_yes(prefix_of_address(&sa, &prefix));
        prefix_mask(&prefix, bits);
        prefix_format(&prefix, &out);
        assert_string_equal(buf_text(&out), expected);
}

static void test_mask(void **state UNUSED) {
        masked_is("192.0.2.255", 32, "192.0.2.255");
        masked_is("192.0.2.255", 200, "192.0.2.255");
        masked_is("192.0.2.255", 31, "192.0.2.254/31");
        masked_is("192.0.2.255", 24, "192.0.2.0/24");
        masked_is("192.0.2.255", 1, "128.0.0.0/1");
        masked_is("192.0.2.255", 0, "0.0.0.0/0");
        masked_is("::ffff:192.0.2.255", 24, "192.0.2.0/24");
        masked_is("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::/64");
        masked_is("2001:db8:1:2:3:4:5:6", 65, "2001:db8:1:2::/65");
        masked_is("2001:db8:1:2:ffff:4:5:6", 65, "2001:db8:1:2:8000::/65");
        masked_is("2001:db8:1:2:3:4:5:6", 128, "2001:db8:1:2:3:4:5:6");
        masked_is("unix", 0, "unix:");
}

static void test_other_families(void **state UNUSED) {
        const union sockaddr_any sa = {.sa.sa_family = AF_NETLINK};
        struct prefix prefix;

        assert_no(prefix_of_address(&sa, &prefix));
        assert_int_equal(prefix.family, 0);
}

static void test_resolve(void **state UNUSED) {
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        AUTO(freep) struct prefix *prefixes = NULL;
        size_t count = 0;

        assert_yes(prefix_resolve("127.0.0.1", &prefixes, &count, &why));
        assert_int_equal(count, 1);
        assert_int_equal(prefixes[0].family, AF_INET);
        assert_int_equal(prefixes[0].bits, 32);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse),   cmocka_unit_test(test_refuse),
                cmocka_unit_test(test_long),    cmocka_unit_test(test_looks_numeric),
                cmocka_unit_test(test_mask),    cmocka_unit_test(test_other_families),
                cmocka_unit_test(test_resolve),
        };

        return cmocka_run_group_tests_name("prefix", tests, NULL, NULL);
}
