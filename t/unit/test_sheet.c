#include "unit.h"

#include "import/sheet.h"

#include "base/buf.h"

static const struct mark mark = {.file = "f", .line = 3};

/* What the sheet prints, and then what it says. */
static void check(struct sheet *sheet, const char *yaml, const char *messages) {
        AUTO(buf_deinit) struct buf out = BUF_NULL, said = BUF_NULL;

        sheet_print(sheet, &out);
        diag_format(&sheet->diag, &said);
        assert_string_equal(buf_text(&out), yaml);
        assert_string_equal(buf_text(&said), messages);
        assert_no(sheet->failed);
        sheet_deinit(sheet);
}

static void test_nothing(void **state UNUSED) {
        struct sheet sheet;

        sheet_init(&sheet);
        check(&sheet, "services: {}\n", "");
}

static void test_order(void **state UNUSED) {
        struct sheet_service *service;
        struct sheet sheet;

        sheet_init(&sheet);
        service = sheet_add(&sheet, "web", &mark);
        sheet_text(service, "user", "nobody");
        sheet_append(service, "command", "/bin/x");
        sheet_append(service, "command", "a b");
        sheet_raw(service, "wait", "%s", "no");
        sheet_append(service, "listen", "udp:69");
        sheet_text(service, "umask", "002");
        sheet_text(service, "user", "daemon");
        sheet_text(service, "group", "x");
        assert_yes(sheet_has(service, "group"));
        sheet_clear(service, "group");
        assert_no(sheet_has(service, "group"));
        assert_no(sheet_has(service, "nice"));
        check(&sheet,
              "services:\n"
              "  web:\n"
              "    listen: \"udp:69\"\n"
              "    wait: no\n"
              "    command: [/bin/x, \"a b\"]\n"
              "    user: daemon\n"
              "    umask: \"002\"\n",
              "");
}

static void test_shapes(void **state UNUSED) {
        struct sheet_service *service;
        struct sheet_node *node;
        struct sheet sheet;

        sheet_init(&sheet);
        service = sheet_add(&sheet, "s", &mark);
        node = node_add(sheet_key(service, "listen"));
        node_raw(node_key(node, "address"), "%d", 80);
        node_text(node_key(node, "name"), "http");
        node_text(node_add(sheet_key(service, "listen")), "[::1]:80");
        node_text(node_key(sheet_key(service, "environment"), "A"), "1");
        node_text(node_key(sheet_key(service, "environment"), "B"), "");
        node_raw(node_key(sheet_key(service, "ulimits"), "cpu"), "20");
        for (int i = 0; i < 6; i++)
                sheet_append(service, "only_from", i % 2 ? "192.168.100.0/24" : "2001:db8:1:2:3:4:5:6");
        sheet_append(service, "no_access", "10.0.0.0/8");
        sheet_append(service, "command", "300.1.2.3.4");
        sheet_append(service, "command", "1.2.3.4:80");
        sheet_append(service, "command", "1.2.3.4/");
        sheet_key(service, "group_add");
        check(&sheet,
              "services:\n"
              "  s:\n"
              "    listen: [{address: 80, name: http}, \"[::1]:80\"]\n"
              "    command: [\"300.1.2.3.4\", 1.2.3.4:80, \"1.2.3.4/\"]\n"
              "    environment:\n"
              "      A: \"1\"\n"
              "      B: \"\"\n"
              "    ulimits: {cpu: 20}\n"
              "    only_from:\n"
              "      - \"2001:db8:1:2:3:4:5:6\"\n"
              "      - 192.168.100.0/24\n"
              "      - \"2001:db8:1:2:3:4:5:6\"\n"
              "      - 192.168.100.0/24\n"
              "      - \"2001:db8:1:2:3:4:5:6\"\n"
              "      - 192.168.100.0/24\n"
              "    no_access: 10.0.0.0/8\n",
              "");
}

static void test_comments(void **state UNUSED) {
        struct sheet_service *service;
        struct sheet sheet;

        sheet_init(&sheet);
        sheet_remark(&sheet.top, SHEET_HEAD, "top");
        sheet_note(&sheet.top, SHEET_END, &mark, "also %s", "top");
        service = sheet_add(&sheet, "s", &mark);
        sheet_raw(service, "wait", "no");
        sheet_note(service, "nice", &mark, "a\nb");
        sheet_remark(service, SHEET_HEAD, "above");
        sheet_remark(service, SHEET_END, "below");
        sheet_remark(service, "wait",
                     "one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
                     "fifteen sixteen");
        check(&sheet,
              "# top\n"
              "# also top\n"
              "\n"
              "services:\n"
              "  # above\n"
              "  s:\n"
              "    # one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen\n"
              "    # sixteen\n"
              "    wait: no\n"
              "    # a\\x0ab\n"
              "    # below\n",
              "f:3: warning: also top\nf:3: s: warning: a\\x0ab\n");
}

static void test_refused(void **state UNUSED) {
        struct sheet_service *service;
        struct sheet sheet;

        sheet_init(&sheet);
        service = sheet_add(&sheet, "a", &mark);
        sheet_raw(service, "wait", "no");
        node_text(node_key(sheet_key(service, "environment"), "A"), "1");
        sheet_remark(service, "nice", "n");
        sheet_refuse(service, &mark, "x = %d: no", 1);
        service = sheet_add(&sheet, "b", &mark);
        sheet_raw(service, "wait", "yes");
        sheet_refuse(&sheet.top, NULL, "no file");
        check(&sheet,
              "# no file\n"
              "\n"
              "services:\n"
              "  # a is left out: x = 1: no\n"
              "  # a:\n"
              "  #   wait: no\n"
              "  #   environment:\n"
              "  #     A: \"1\"\n"
              "  #   # n\n"
              "\n"
              "  b:\n"
              "    wait: yes\n",
              "no file\nf:3: a: x = 1: no\n");
}

/* Refused for its bytes, which stay out of the output. */
static void test_bytes(void **state UNUSED) {
        struct sheet_service *service;
        struct sheet sheet;

        sheet_init(&sheet);
        service = sheet_add(&sheet, "a", &mark);
        sheet_text(service, "user", "\xff");
        sheet_append(service, "command", "\xe2\x82\xac\x01");
        assert_null(node_key(sheet_key(service, "environment"), "\xff"));
        assert_yes(service->refused);
        check(&sheet,
              "services: {}\n"
              "  # a is left out: '\\xff' is not UTF-8, and nothing else can be written in a definition\n"
              "  # a is left out: '\\xff' is not UTF-8, and nothing else can be written in a definition\n"
              "  # a:\n"
              "  #   command: [\"\xe2\x82\xac\\u0001\"]\n",
              "f:3: a: '\\xff' is not UTF-8, and nothing else can be written in a definition\n"
              "f:3: a: '\\xff' is not UTF-8, and nothing else can be written in a definition\n");
}

static void test_names(void **state UNUSED) {
        static const char *const names[][2] = {
                {"web", "web"}, {"web", "web-2"},    {"web", "web-3"},  {"a/b c", "a-b-c"},
                {"-x", "x"},    {"\xff", "service"}, {"", "service-2"}, {"web-2", "web-2-2"},
        };
        struct sheet sheet;

        sheet_init(&sheet);
        for (size_t i = 0; i < LENGTH_OF(names); i++) {
                struct sheet_service *service = sheet_add(&sheet, names[i][0], &mark);

                assert_string_equal(service->name, names[i][1]);
                assert_yes(!service->head == (strcmp(names[i][0], names[i][1]) == 0));
        }
        sheet_deinit(&sheet);
}

static void test_dollars(void **state UNUSED) {
        struct sheet sheet;

        sheet_init(&sheet);
        assert_string_equal(sheet_dollars(&sheet, "$HOME"), "$HOME");
        assert_string_equal(sheet_dollars(&sheet, "${x} $y"), "$${x} $$y");
        assert_string_equal(sheet_dollars(&sheet, "a$$"), "a$$$$");
        sheet_deinit(&sheet);
}

/* Whoever has no memory goes on with nothing. */
static void test_null(void **state UNUSED) {
        assert_null(sheet_key(NULL, "wait"));
        assert_no(sheet_has(NULL, "wait"));
        assert_null(node_add(NULL));
        assert_null(node_key(NULL, "x"));
        assert_null(node_text(NULL, "x"));
        assert_null(node_raw(NULL, "x"));
        node_clear(NULL);
        sheet_text(NULL, "user", "x");
        sheet_raw(NULL, "wait", "no");
        sheet_append(NULL, "command", "x");
        sheet_clear(NULL, "user");
        sheet_note(NULL, "user", &mark, "x");
        sheet_remark(NULL, "user", "x");
        sheet_refuse(NULL, &mark, "x");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing),  cmocka_unit_test(test_order),   cmocka_unit_test(test_shapes),
                cmocka_unit_test(test_comments), cmocka_unit_test(test_refused), cmocka_unit_test(test_bytes),
                cmocka_unit_test(test_names),    cmocka_unit_test(test_dollars), cmocka_unit_test(test_null),
        };

        return cmocka_run_group_tests_name("sheet", tests, NULL, NULL);
}
