/* What a sink has no room for is counted, and told once there is room; the last words wait for a reader who reads. */
#include "unit.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
        int answer;
        char lines[1024];
} fake;

static int fake_send(enum log_level level, const char *message, const struct log_field *fields) {
        size_t n = strlen(fake.lines);

        if (fake.answer < 0)
                return fake.answer;
        snprintf(fake.lines + n, sizeof(fake.lines) - n, "%s|%s|%lld\n", log_level_names[level], message,
                 fields && fields[0].key ? (long long)fields[0].integer : -1);
        return 0;
}

/* Stderr becomes a pipe; what was there is kept in SAVED. Returns the end to read from. */
static int catch_stderr(int *saved) {
        int fds[2];

        assert_int_equal(pipe(fds), 0);
        *saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
        close(fds[1]);
        return fds[0];
}

static void use_sink(log_send_fn *send, bool deferred) {
        log_configure(&(struct log_settings){.format = send ? LOG_FORMAT_SYSLOG : LOG_FORMAT_TEXT,
                                             .level = LOG_LEVEL_INFO,
                                             .send = {[LOG_FORMAT_SYSLOG] = send},
                                             .deferred = deferred});
        fake.answer = 0;
        fake.lines[0] = '\0';
}

static void test_lost_lines(void **state UNUSED) {
        use_sink(fake_send, false);
        log_info("one");
        fake.answer = -EAGAIN;
        log_info("two");
        log_info("three");
        fake.answer = 0;
        log_info("four");
        log_info("five");
        assert_string_equal(fake.lines, "info|one|-1\n"
                                        "warning|the log's reader was too slow, lines are missing here|2\n"
                                        "info|four|-1\n"
                                        "info|five|-1\n");
}

static void test_fallback(void **state UNUSED) {
        char text[1024];
        ssize_t size;
        int saved, fd = catch_stderr(&saved);

        use_sink(fake_send, false);
        fake.answer = -EAGAIN;
        log_info("lost");
        fake.answer = -ECONNREFUSED;
        log_info("there");
        dup2(saved, STDERR_FILENO);
        close(saved);
        size = read(fd, text, sizeof(text) - 1);
        close(fd);
        assert_true(size > 0);
        text[size] = '\0';
        assert_non_null(strstr(text, "lines are missing here lines=1\n"));
        assert_non_null(strstr(text, " info there\n"));
        assert_null(strstr(text, " lost"));
}

/* Everything that is in FD now, of which the last SIZE bytes stay in TEXT, ended. */
static void drain(int fd, char *text, size_t size) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        size_t have = 0;
        ssize_t n;

        while (poll(&p, 1, 0) > 0 && (n = read(fd, text + have, size - 1 - have)) > 0) {
                have += (size_t)n;
                if (have > size / 2) {
                        memmove(text, text + have - size / 2, size / 2);
                        have = size / 2;
                }
        }
        text[have] = '\0';
}

/* Nothing happens after what was lost: it is told when there is room all the same. */
static void test_told_without_a_next_line(void **state UNUSED) {
        static char text[65536];
        char line[1001];
        int saved, fd = catch_stderr(&saved);
        size_t left;

        memset(line, 'x', sizeof(line));
        line[sizeof(line) - 1] = '\0';
        use_sink(NULL, true);
        for (int i = 0; i < 1000; i++)
                log_info("%s", line);
        do {
                left = log_flush();
                drain(fd, text, sizeof(text));
        } while (left > 0);
        assert_int_equal(log_flush(), 0);
        dup2(saved, STDERR_FILENO);
        close(saved);
        close(fd);
        assert_non_null(strstr(text, " warning the log's reader was too slow, lines are missing here lines="));
}

/* Reads what there is, and then nothing for a while; all in all longer than the patience of the other. */
static void read_slowly(int fd, int report) {
        static char data[65536];
        size_t total = 0;
        ssize_t n;

        while ((n = read(fd, data, sizeof(data))) > 0) {
                total += (size_t)n;
                poll(NULL, 0, 10);
        }
        _exit(write(report, &total, sizeof(total)) == sizeof(total) ? 0 : 1);
}

static void test_last_words(void **state UNUSED) {
        char line[1001];
        int saved, fd, report[2], status;
        size_t total = 0;
        pid_t pid;

        memset(line, 'x', sizeof(line));
        line[sizeof(line) - 1] = '\0';
        assert_int_equal(pipe(report), 0);
        fd = catch_stderr(&saved);
        use_sink(NULL, true);
        pid = fork();
        if (pid == 0) {
                dup2(saved, STDERR_FILENO);
                read_slowly(fd, report[1]);
        }
        for (int i = 0; i < 200; i++)
                log_info("%s", line);
        log_finish(10 * USEC_PER_SEC, 60 * USEC_PER_SEC);
        assert_int_equal(log_flush(), 0);
        dup2(saved, STDERR_FILENO);
        assert_int_equal(read(report[0], &total, sizeof(total)), sizeof(total));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(total > (size_t)200 * 1000);
        close(saved);
        close(fd);
        close(report[0]);
        close(report[1]);
}

/* Nobody reads, though somebody could. What is left goes to the stderr that the test had. */
static void test_impatience(void **state UNUSED) {
        char line[1001];
        int saved, fd = catch_stderr(&saved);
        usec_t began;

        memset(line, 'x', sizeof(line));
        line[sizeof(line) - 1] = '\0';
        use_sink(NULL, true);
        for (int i = 0; i < 400; i++)
                log_info("%s", line);
        began = clock_monotonic();
        log_finish(20 * USEC_PER_MSEC, 600 * USEC_PER_SEC);
        assert_true(clock_monotonic() - began < 300 * USEC_PER_SEC);
        assert_true(log_flush() > 0);
        close(fd);
        assert_int_equal(log_flush(), 0);
        /* What was lost on the way is told, to nobody. */
        log_finish(20 * USEC_PER_MSEC, 600 * USEC_PER_SEC);
        dup2(saved, STDERR_FILENO);
        close(saved);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lost_lines),
                cmocka_unit_test(test_fallback),
                cmocka_unit_test(test_told_without_a_next_line),
                cmocka_unit_test(test_last_words),
                cmocka_unit_test(test_impatience),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
