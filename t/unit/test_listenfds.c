#include "base/defs.h"
#include "sockbroker/sockbroker.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define FIRST BROKER_LISTEN_FDS_START
#define PIDFS_MAGIC 0x50494446

static void set_number(const char *name, unsigned long long number) {
        char text[24];

        snprintf(text, sizeof(text), "%llu", number);
        setenv(name, text, 1);
}

/* COUNT descriptors from FIRST on, and the variables that announce them. */
static void announce(int count, const char *names) {
        for (int fd = FIRST; fd < FIRST + count; fd++) {
                int null = open("/dev/null", O_RDONLY);

                if (null != fd) {
                        dup2(null, fd);
                        close(null);
                }
                fcntl(fd, F_SETFD, 0);
        }
        set_number("LISTEN_PID", (unsigned long long)getpid());
        set_number("LISTEN_FDS", (unsigned long long)count);
        unsetenv("LISTEN_PIDFDID");
        if (names)
                setenv("LISTEN_FDNAMES", names, 1);
        else
                unsetenv("LISTEN_FDNAMES");
}

static void check_names(int count, const char *names, const char *const *expected) {
        char **got = NULL;

        announce(count, names);
        assert_int_equal(broker_listen_fds(false, &got), count);
        for (int i = 0; i < count; i++)
                assert_string_equal(got[i], expected[i]);
        assert_null(got[count]);
        assert_null(broker_names_free(got));
}

static void test_names(void **state UNUSED) {
        check_names(2, "web:control", (const char *[]){"web", "control"});
        check_names(1, "web", (const char *[]){"web"});
        check_names(3, "::", (const char *[]){"", "", ""});
        check_names(1, "", (const char *[]){""});
        check_names(2, NULL, (const char *[]){"unknown", "unknown"});
        /* As sd_listen_fds_with_names(3) has them. */
        check_names(2, "a\\:b:c", (const char *[]){"a:b", "c"});
        check_names(2, "a\\\\:\\b", (const char *[]){"a\\", "b"});
}

static void test_names_differ(void **state UNUSED) {
        char **untouched = (char **)state;

        announce(2, "web");
        assert_int_equal(broker_listen_fds(false, &untouched), -EINVAL);
        announce(2, "a:b:c");
        assert_int_equal(broker_listen_fds(false, &untouched), -EINVAL);
        announce(2, "a:b\\");
        assert_int_equal(broker_listen_fds(false, &untouched), -EINVAL);
        announce(2, "a:b:");
        assert_int_equal(broker_listen_fds(false, &untouched), -EINVAL);
        assert_ptr_equal(untouched, (char **)state);
        /* Who does not ask for them does not care. */
        assert_int_equal(broker_listen_fds(false, NULL), 2);
}

static void test_cloexec(void **state UNUSED) {
        announce(2, NULL);
        assert_int_equal(broker_listen_fds(false, NULL), 2);
        assert_int_equal(fcntl(FIRST, F_GETFD), FD_CLOEXEC);
        assert_int_equal(fcntl(FIRST + 1, F_GETFD), FD_CLOEXEC);
}

static void test_environment(void **state UNUSED) {
        char **names;

        announce(1, "web");
        assert_int_equal(broker_listen_fds(false, NULL), 1);
        assert_non_null(getenv("LISTEN_FDS"));
        setenv("LISTEN_PIDFDID", "x", 1);
        assert_int_equal(broker_listen_fds(true, NULL), -EINVAL);
        assert_null(getenv("LISTEN_FDS"));
        assert_null(getenv("LISTEN_PID"));
        assert_null(getenv("LISTEN_PIDFDID"));
        assert_null(getenv("LISTEN_FDNAMES"));
        assert_int_equal(broker_listen_fds(true, &names), 0);
        assert_null(names);
}

static void test_others(void **state UNUSED) {
        announce(1, NULL);
        set_number("LISTEN_PID", (unsigned long long)getppid());
        assert_int_equal(broker_listen_fds(false, NULL), 0);
        unsetenv("LISTEN_PID");
        assert_int_equal(broker_listen_fds(false, NULL), 0);
        announce(1, NULL);
        unsetenv("LISTEN_FDS");
        assert_int_equal(broker_listen_fds(false, NULL), 0);
}

static void test_pidfd(void **state UNUSED) {
        int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
        struct statfs fs;
        struct stat st;
        bool known;

        assert_true(fd >= 0);
        known = fstatfs(fd, &fs) == 0 && (unsigned long)fs.f_type == PIDFS_MAGIC;
        assert_int_equal(fstat(fd, &st), 0);
        close(fd);
        announce(1, NULL);
        set_number("LISTEN_PIDFDID", st.st_ino);
        assert_int_equal(broker_listen_fds(false, NULL), 1);
        /* Somebody else's; a kernel without such numbers cannot tell. */
        set_number("LISTEN_PIDFDID", st.st_ino + 1);
        assert_int_equal(broker_listen_fds(false, NULL), known ? 0 : 1);
}

static void test_malformed(void **state UNUSED) {
        static const char *const counts[] = {"", "0", "-1", " 1", "1 ", "1x", "2147483647", "99999999999999999999"};
        static const char *const pids[] = {"", "0", "-1", "x", "99999999999999999999"};

        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
                announce(1, NULL);
                setenv("LISTEN_FDS", counts[i], 1);
                assert_int_equal(broker_listen_fds(false, NULL), -EINVAL);
        }
        for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
                announce(1, NULL);
                setenv("LISTEN_PID", pids[i], 1);
                assert_int_equal(broker_listen_fds(false, NULL), -EINVAL);
        }
}

static void test_not_open(void **state UNUSED) {
        announce(2, NULL);
        close(FIRST + 1);
        assert_int_equal(broker_listen_fds(false, NULL), -EBADF);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),       cmocka_unit_test(test_names_differ), cmocka_unit_test(test_cloexec),
                cmocka_unit_test(test_environment), cmocka_unit_test(test_others),       cmocka_unit_test(test_pidfd),
                cmocka_unit_test(test_malformed),   cmocka_unit_test(test_not_open),
        };

        return cmocka_run_group_tests_name("listenfds", tests, NULL, NULL);
}
