#include "unit.h"

#include "net/addr.h"

#include <arpa/inet.h>
#include <stdio.h>

static void test_has_form(void **state UNUSED) {
        static const char *const with[] = {"tcp:80", "udp:udp:53", "fd:x", "vsock:8091", "mqueue:1", "special:"};
        static const char *const without[] = {"80", "localhost:80", "127.0.0.1:80", "[::1]:80", "/run/x", "vsocks:1",
                                              "fd"};

        for (size_t i = 0; i < LENGTH_OF(with); i++)
                assert_true(addr_has_form(with[i]));
        for (size_t i = 0; i < LENGTH_OF(without); i++)
                assert_false(addr_has_form(without[i]));
}

static void test_forms(void **state UNUSED) {
        static const struct {
                const char *text;
                const char *back;
                enum addr_form form;
                int family;
                int type;
                bool all;
        } cases[] = {
                {"4242", "[::]:4242", ADDR_SOCKET, AF_INET6, SOCK_STREAM, true},
                {"0", "[::]:0", ADDR_SOCKET, AF_INET6, SOCK_STREAM, true},
                {"tcp:4242", "[::]:4242", ADDR_SOCKET, AF_INET6, SOCK_STREAM, true},
                {"127.0.0.1:80", "127.0.0.1:80", ADDR_SOCKET, AF_INET, SOCK_STREAM, false},
                {"0.0.0.0:80", "0.0.0.0:80", ADDR_SOCKET, AF_INET, SOCK_STREAM, false},
                {"[::1]:80", "[::1]:80", ADDR_SOCKET, AF_INET6, SOCK_STREAM, false},
                {"[0:0::1]:80", "[::1]:80", ADDR_SOCKET, AF_INET6, SOCK_STREAM, false},
                {"[fe80::1%lo]:80", "[fe80::1%lo]:80", ADDR_SOCKET, AF_INET6, SOCK_STREAM, false},
                {"[fe80::1]:80%lo", "[fe80::1%lo]:80", ADDR_SOCKET, AF_INET6, SOCK_STREAM, false},
                {"udp:69", "udp:[::]:69", ADDR_SOCKET, AF_INET6, SOCK_DGRAM, true},
                {"udp:127.0.0.1:69", "udp:127.0.0.1:69", ADDR_SOCKET, AF_INET, SOCK_DGRAM, false},
                {"/run/x.sock", "/run/x.sock", ADDR_SOCKET, AF_UNIX, SOCK_STREAM, false},
                {"unix:/run/x.sock", "/run/x.sock", ADDR_SOCKET, AF_UNIX, SOCK_STREAM, false},
                {"@name", "@name", ADDR_SOCKET, AF_UNIX, SOCK_STREAM, false},
                {"unixgram:/run/x", "unixgram:/run/x", ADDR_SOCKET, AF_UNIX, SOCK_DGRAM, false},
                {"seqpacket:@x", "seqpacket:@x", ADDR_SOCKET, AF_UNIX, SOCK_SEQPACKET, false},
                {"fifo:/run/f", "fifo:/run/f", ADDR_FIFO, AF_UNIX, 0, false},
                {"fd:http", "fd:http", ADDR_INHERITED, AF_UNIX, SOCK_STREAM, false},
                {"seqpacket:127.0.0.1:80", "seqpacket:127.0.0.1:80", ADDR_SOCKET, AF_INET, SOCK_SEQPACKET, false},
                {"seqpacket:80", "seqpacket:[::]:80", ADDR_SOCKET, AF_INET6, SOCK_SEQPACKET, true},
                {"vsock:2:80", "vsock:2:80", ADDR_SOCKET, AF_VSOCK, SOCK_STREAM, false},
                {"vsock::80", "vsock:any:80", ADDR_SOCKET, AF_VSOCK, SOCK_STREAM, false},
                {"vsock:any:any", "vsock:any:any", ADDR_SOCKET, AF_VSOCK, SOCK_STREAM, false},
                {"vsock:4294967294:0", "vsock:4294967294:any", ADDR_SOCKET, AF_VSOCK, SOCK_STREAM, false},
                {"mqueue:/q", "mqueue:/q", ADDR_MQUEUE, AF_UNIX, 0, false},
                {"special:/dev/x", "special:/dev/x", ADDR_SPECIAL, AF_UNIX, 0, false},
                {"netlink:route", "netlink:route", ADDR_SOCKET, AF_NETLINK, SOCK_RAW, false},
                {"netlink:route 0", "netlink:route", ADDR_SOCKET, AF_NETLINK, SOCK_RAW, false},
                {"netlink:kobject-uevent \t 1", "netlink:kobject-uevent 1", ADDR_SOCKET, AF_NETLINK, SOCK_RAW, false},
                {"netlink:16 4294967295", "netlink:generic 4294967295", ADDR_SOCKET, AF_NETLINK, SOCK_RAW, false},
                {"netlink:31", "netlink:31", ADDR_SOCKET, AF_NETLINK, SOCK_RAW, false},
        };

        for (size_t i = 0; i < LENGTH_OF(cases); i++) {
                AUTO(addr_list_deinit) struct addr_list list = ADDR_LIST_NULL, again = ADDR_LIST_NULL;
                AUTO(buf_deinit) struct buf text = BUF_NULL, why = BUF_NULL;

                if (!addr_parse(cases[i].text, SOCK_STREAM, &list, &why))
                        fail_msg("%s %s", cases[i].text, buf_text(&why));
                assert_int_equal(list.count, 1);
                assert_int_equal(list.items[0].form, cases[i].form);
                assert_int_equal(list.items[0].sockaddr.sa.sa_family, cases[i].family);
                assert_int_equal(list.items[0].type, cases[i].type);
                assert_int_equal(list.items[0].all, cases[i].all);
                addr_format(&list.items[0], &text);
                assert_string_equal(buf_text(&text), cases[i].back);
                assert_yes(addr_parse(cases[i].back, SOCK_STREAM, &again, &why));
                again.items[0].all = list.items[0].all; /* a port alone is written out */
                assert_yes(addr_equal(&list.items[0], &again.items[0]));
        }
}

struct refused {
        const char *text;
        const char *why;
};

static void check_refused(const struct refused *cases, size_t count) {
        for (size_t i = 0; i < count; i++) {
                AUTO(addr_list_deinit) struct addr_list list = ADDR_LIST_NULL;
                AUTO(buf_deinit) struct buf why = BUF_NULL;

                if (addr_parse(cases[i].text, SOCK_STREAM, &list, &why))
                        fail_msg("'%s' was taken", cases[i].text);
                if (!strstr(buf_text(&why), cases[i].why))
                        fail_msg("'%s' %s; expected: %s", cases[i].text, buf_text(&why), cases[i].why);
                assert_null(list.items);
        }
}

static void test_refused(void **state UNUSED) {
        static const struct refused cases[] = {
                {"", "has no port"},
                {"127.0.0.1:", "has no port"},
                {"1.2.3.4:x", "has no port: 'x' is not a number"},
                {"65536", "ports go from 0"},
                {"-1", "has no port"},
                {"127.0.0.1", "has no port"},
                {"1.2.3:80", "malformed address '1.2.3'"},
                {"[1.2.3]:80", "malformed address"},
                {"[::1]", "[ADDRESS]:PORT"},
                {"[::1", "[ADDRESS]:PORT"},
                {"[::1]80", "[ADDRESS]:PORT"},
                {"::1", "goes into brackets"},
                {"::1:80", "goes into brackets"},
                {":80", "has no address"},
                {"*:80", "has no address"},
                {"[::1]:80%nosuchif", "does not exist"},
                {"[127.0.0.1%lo]:80", "only IPv6"},
                {"x/y", "neither an address nor an absolute path"},
                {"unix:x", "needs an absolute path"},
                {"fifo:@x", "needs an absolute path"},
                {"/", "has no name"},
                {"@", "has no name"},
                {"fd:", "needs the name"},
                {"seqpacket:", "has no port"},
                {"seqpacket:x/y", "needs an absolute path"},
                {"vsock:80", "needs the form vsock:CID:PORT"},
                {"vsock::", "has the port ''"},
                {"vsock:x:80", "has the CID 'x'"},
                {"vsock:1:80:1", "has the port '80:1'"},
                {"vsock:4294967295:1", "has the CID"},
                {"vsock:00000000000000000001:1", "has a malformed CID"},
                {"mqueue:x", "needs the name of a message queue"},
                {"mqueue:/", "needs the name of a message queue"},
                {"mqueue:/x/y", "needs the name of a message queue"},
                {"netlink:", "needs the form netlink:FAMILY GROUP"},
                {"netlink:generik", "write one such as generic"},
                {"netlink:a-name-that-is-longer-than-any-family", "names the netlink family 'a-name-that-is-longer-"},
                {"netlink:route 1x", "has the group '1x'"},
                {"special:x", "needs an absolute path"},
                {"fd:a:b", "names no inherited socket"},
                {"fd:\xc3\xbc", "names no inherited socket"},
        };

        check_refused(cases, LENGTH_OF(cases));
}

/* What people write who know it from elsewhere. */
static void test_slips(void **state UNUSED) {
        static const struct refused cases[] = {
                {"80:8080", "maps a port to another"},
                {"127.0.0.1:80:8080", "maps a port to another"},
                {"::1:80:8080", "goes into brackets"},
                {"80/tcp", "names the protocol"},
                {"udp/53", "names the protocol"},
                {"80/sctp", "neither an address nor an absolute path"},
                {"tcp://127.0.0.1:80", "is a URL"},
                {"8000-8010", "is a range"},
                {"8000-x", "has no port: '8000-x' is not a number"},
                {"80 443", "more than one"},
                {"80,443", "more than one"},
                {"~/x", "starts with ~"},
                {"$PORT", "nothing is expanded"},
                {"80#x", "needs a blank"},
                {"\xe2\x80\x9c"
                 "80\xe2\x80\x9d",
                 "typographic"},
                {"localhost", "write localhost:PORT"},
        };

        check_refused(cases, LENGTH_OF(cases));
}

static void test_long_paths(void **state UNUSED) {
        AUTO(addr_list_deinit) struct addr_list list = ADDR_LIST_NULL;
        AUTO(buf_deinit) struct buf why = BUF_NULL, text = BUF_NULL;
        char path[128];

        memset(path, 'x', sizeof(path));
        path[0] = '/';
        path[107] = '\0';
        assert_yes(addr_parse(path, SOCK_STREAM, &list, &why));
        addr_format(&list.items[0], &text);
        assert_string_equal(buf_text(&text), path);
        addr_list_deinit(&list);
        path[107] = 'x';
        path[108] = '\0';
        assert_no(addr_parse(path, SOCK_STREAM, &list, &why));
        /* The abstract namespace needs no terminator. */
        path[0] = '@';
        assert_yes(addr_parse(path, SOCK_STREAM, &list, &why));
        buf_clear(&text);
        addr_format(&list.items[0], &text);
        assert_string_equal(buf_text(&text), path);
}

static void test_hosts(void **state UNUSED) {
        AUTO(addr_list_deinit) struct addr_list list = ADDR_LIST_NULL;
        AUTO(buf_deinit) struct buf why = BUF_NULL;

        assert_yes(addr_parse("localhost:80", SOCK_STREAM, &list, &why));
        assert_yes(list.count >= 1);
        for (size_t i = 0; i < list.count; i++) {
                assert_int_equal(addr_port(&list.items[i].sockaddr), 80);
                for (size_t j = 0; j < i; j++)
                        assert_no(addr_equal(&list.items[i], &list.items[j]));
        }
}

static void test_format_host(void **state UNUSED) {
        union sockaddr_any sa = {.in = {.sin_family = AF_INET, .sin_port = htons(80)}};
        char host[ADDR_HOST_MAX];

        inet_pton(AF_INET, "192.0.2.255", &sa.in.sin_addr);
        addr_format_host(&sa, host);
        assert_string_equal(host, "192.0.2.255");
        assert_int_equal(addr_port(&sa), 80);
        sa = (union sockaddr_any){.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(81)}};
        inet_pton(AF_INET6, "::ffff:192.0.2.1", &sa.in6.sin6_addr);
        addr_format_host(&sa, host);
        assert_string_equal(host, "192.0.2.1");
        inet_pton(AF_INET6, "2001:db8::1", &sa.in6.sin6_addr);
        addr_format_host(&sa, host);
        assert_string_equal(host, "2001:db8::1");
        sa = (union sockaddr_any){.un = {.sun_family = AF_UNIX}};
        addr_format_host(&sa, host);
        assert_string_equal(host, "");
        assert_int_equal(addr_port(&sa), 0);
}

static void test_format_unix(void **state UNUSED) {
        union sockaddr_any sa = {.un = {.sun_family = AF_UNIX}};
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        addr_format_sockaddr(&sa, sizeof(sa_family_t), &text);
        assert_string_equal(buf_text(&text), "unnamed");
        buf_clear(&text);
        strcpy(sa.un.sun_path, "/run/x");
        addr_format_sockaddr(&sa, sizeof(sa.un), &text);
        assert_string_equal(buf_text(&text), "/run/x");
}

static void test_connectable(void **state UNUSED) {
        static const struct {
                const char *text;
                bool connectable, path;
        } cases[] = {
                {"80", true, false},          {"udp:80", false, false},      {"/run/x", true, true},
                {"unixgram:/x", false, true}, {"seqpacket:@x", true, false}, {"fifo:/x", false, false},
                {"fd:x", true, false},        {"vsock::80", true, false},    {"seqpacket:80", false, false},
                {"mqueue:/x", false, false},  {"special:/x", false, false},  {"netlink:route", false, false},
        };

        for (size_t i = 0; i < LENGTH_OF(cases); i++) {
                AUTO(addr_list_deinit) struct addr_list list = ADDR_LIST_NULL;
                AUTO(buf_deinit) struct buf why = BUF_NULL;

                assert_yes(addr_parse(cases[i].text, SOCK_STREAM, &list, &why));
                assert_int_equal(addr_is_connectable(&list.items[0]), cases[i].connectable);
                assert_int_equal(addr_is_unix_path(&list.items[0]), cases[i].path);
        }
}

static void test_any_port(void **state UNUSED) {
        static const struct {
                const char *text;
                bool any;
        } cases[] = {
                {"0", true},           {"80", false},
                {"127.0.0.1:0", true}, {"udp:0", true},
                {"vsock::0", true},    {"vsock::any", true},
                {"vsock::1", false},   {"/run/x", false},
                {"fd:x", false},       {"netlink:route", false},
        };

        for (size_t i = 0; i < LENGTH_OF(cases); i++) {
                AUTO(addr_list_deinit) struct addr_list list = ADDR_LIST_NULL;
                AUTO(buf_deinit) struct buf why = BUF_NULL;

                assert_yes(addr_parse(cases[i].text, SOCK_STREAM, &list, &why));
                assert_int_equal(addr_is_any_port(&list.items[0]), cases[i].any);
        }
}

/* The protocol belongs to the address: another one is another socket. */
static void test_protocol(void **state UNUSED) {
        AUTO(addr_list_deinit) struct addr_list list = ADDR_LIST_NULL, again = ADDR_LIST_NULL;
        AUTO(buf_deinit) struct buf why = BUF_NULL;

        assert_yes(addr_parse("127.0.0.1:80", SOCK_STREAM, &list, &why));
        assert_yes(addr_parse("127.0.0.1:80", SOCK_STREAM, &again, &why));
        assert_yes(addr_equal(&list.items[0], &again.items[0]));
        again.items[0].protocol = IPPROTO_MPTCP;
        assert_no(addr_equal(&list.items[0], &again.items[0]));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_has_form),    cmocka_unit_test(test_forms),
                cmocka_unit_test(test_refused),     cmocka_unit_test(test_long_paths),
                cmocka_unit_test(test_hosts),       cmocka_unit_test(test_format_host),
                cmocka_unit_test(test_format_unix), cmocka_unit_test(test_connectable),
                cmocka_unit_test(test_any_port),    cmocka_unit_test(test_protocol),
                cmocka_unit_test(test_slips),
        };

        return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
