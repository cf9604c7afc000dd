#include "unit.h"

#include "base/fd.h"
#include "net/listen.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 128

static char dir[] = "/tmp/test-listen-XXXXXX";

struct place {
        char text[PATH_SIZE];
};

static struct place in_dir(const char *name) {
        struct place place;

        snprintf(place.text, sizeof(place.text), "%s/%s", dir, name);
        return place;
}

static bool exists(const char *name) {
        struct stat st;

        return lstat(in_dir(name).text, &st) == 0;
}

static bool leads_to(const char *link, const char *target) {
        char text[PATH_SIZE];
        ssize_t n = readlink(in_dir(link).text, text, sizeof(text) - 1);

        if (n < 0)
                return false;
        text[n] = '\0';
        return strcmp(text, target) == 0;
}

/* Opens PREFIX and the path `socket` with two symlinks, of which OPTIONS are the rest. */
static int open_at(const char *prefix, struct listen_options options, const char *second_link) {
        AUTO(addr_list_deinit) struct addr_list list = ADDR_LIST_NULL;
        AUTO(buf_deinit) struct buf text = BUF_NULL, why = BUF_NULL;
        int r;

        buf_printf(&text, "%s%s", prefix, in_dir("socket").text);
        assert_yes(addr_parse(buf_text(&text), SOCK_STREAM, &list, &why));
        assert_int_equal(strlist_add(&options.symlinks, in_dir("link").text), 0);
        assert_int_equal(strlist_add(&options.symlinks, in_dir(second_link).text), 0);
        r = listen_open(&list.items[0], &options, &why);
        strlist_deinit(&options.symlinks);
        assert_yes((r < 0) == (why.size > 0));
        return r;
}

static int set_up(void **state UNUSED) {
        return symlink("elsewhere", in_dir("taken").text);
}

static int tear_down(void **state UNUSED) {
        static const char *const names[] = {"socket", "link", "taken", "other", "file"};

        for (size_t i = 0; i < LENGTH_OF(names); i++)
                unlink(in_dir(names[i]).text);
        return 0;
}

static void make_file(const char *name) {
        FILE *file = fopen(in_dir(name).text, "w");

        assert_non_null(file);
        fclose(file);
}

static void test_success(void **state UNUSED) {
        AUTO(fd_closep) int fd = open_at("", LISTEN_OPTIONS_NULL, "taken");

        assert_yes(fd >= 0);
        assert_yes(leads_to("link", in_dir("socket").text));
        assert_yes(leads_to("taken", in_dir("socket").text));
}

/* TCP's option on an AF_UNIX socket stands for whatever the kernel refuses once a socket is bound. */
static void test_option_fails(void **state UNUSED) {
        struct listen_options options = LISTEN_OPTIONS_NULL;

        options.tcp_congestion = (char *)"none";
        assert_yes(open_at("", options, "taken") < 0);
        assert_no(exists("socket"));
        assert_no(exists("link"));
        assert_yes(leads_to("taken", "elsewhere"));
}

static void test_access_fails(void **state UNUSED) {
        struct listen_options options = LISTEN_OPTIONS_NULL;

        options.socket_user = (char *)"no such user";
        assert_yes(open_at("", options, "taken") < 0);
        assert_no(exists("socket"));
        assert_no(exists("link"));
        assert_yes(leads_to("taken", "elsewhere"));
}

static void test_link_fails(void **state UNUSED) {
        make_file("file");
        assert_int_equal(open_at("", LISTEN_OPTIONS_NULL, "file"), -EEXIST);
        assert_no(exists("socket"));
        assert_no(exists("link"));
        assert_yes(exists("file"));
}

static void test_in_use(void **state UNUSED) {
        AUTO(fd_closep) int fd = open_at("", LISTEN_OPTIONS_NULL, "other");

        assert_yes(fd >= 0);
        assert_int_equal(open_at("", LISTEN_OPTIONS_NULL, "taken"), -EADDRINUSE);
        assert_yes(exists("socket"));
        assert_yes(leads_to("link", in_dir("socket").text));
        assert_yes(leads_to("taken", "elsewhere"));
}

static void test_fifo(void **state UNUSED) {
        make_file("file");
        assert_int_equal(open_at("fifo:", LISTEN_OPTIONS_NULL, "file"), -EEXIST);
        assert_no(exists("socket"));
        assert_no(exists("link"));
        assert_int_equal(mkfifo(in_dir("socket").text, 0600), 0);
        assert_int_equal(open_at("fifo:", LISTEN_OPTIONS_NULL, "file"), -EEXIST);
        assert_yes(exists("socket"));
        assert_no(exists("link"));
        assert_yes(exists("file"));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
        static const struct CMUnitTest tests[] = {
                CASE(test_success),    CASE(test_option_fails), CASE(test_access_fails),
                CASE(test_link_fails), CASE(test_in_use),       CASE(test_fifo),
        };
        int failed;

        assert(mkdtemp(dir));
        failed = cmocka_run_group_tests_name("listen", tests, NULL, NULL);
        rmdir(dir);
        return failed;
}
