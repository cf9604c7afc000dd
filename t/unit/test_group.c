/* Real processes, stopped and continued. */
#include "unit.h"

#include "base/defs.h"
#include "proc/group.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void *rest(void *unused UNUSED) {
        for (;;)
                pause();
        return NULL;
}

/* A group of two processes, one of them with two threads. */
static pid_t start_group(void) {
        pid_t pid;
        char byte;
        int ready[2];

        assert_int_equal(pipe(ready), 0);
        pid = fork();
        if (pid == 0) {
                pthread_t thread;

                setpgid(0, 0);
                if (fork() == 0)
                        pthread_create(&thread, NULL, rest, NULL);
                if (write(ready[1], "x", 1) != 1)
                        _exit(1);
                rest(NULL);
        }
        for (int i = 0; i < 2; i++)
                assert_int_equal(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        close(ready[1]);
        return pid;
}

static void wait_until(pid_t group, int expected) {
        int r;

        do
                r = group_is_stopped(group);
        while (r >= 0 && r != expected);
        assert_int_equal(r, expected);
}

static void test_group(void **state UNUSED) {
        pid_t group = start_group();

        assert_int_equal(group_is_stopped(group), 0);
        /* The leader alone is not enough. */
        kill(group, SIGSTOP);
        waitpid(group, NULL, WUNTRACED);
        assert_int_equal(group_is_stopped(group), 0);
        kill(-group, SIGSTOP);
        wait_until(group, 1);
        kill(-group, SIGCONT);
        wait_until(group, 0);
        kill(-group, SIGSTOP);
        wait_until(group, 1);
        kill(-group, SIGKILL);
        waitpid(group, NULL, 0);
        wait_until(group, 1); /* nobody is left who could run */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_group),
        };

        return cmocka_run_group_tests_name("group", tests, NULL, NULL);
}
