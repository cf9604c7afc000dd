/* Starting programs: both modes, what reaches the child, failures by stage, and more children than there are slots. */
#include "launched.h"

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const enum launch_mode modes[] = {LAUNCH_VFORK, SANITIZED ? LAUNCH_VFORK : LAUNCH_BESIDE};

static struct launch_plan plan_of(const char *path, const char *const *words) {
        struct launch_plan plan = PLAN_NULL;

        plan.path = strdup(path);
        for (; *words; words++)
                assert_int_equal(plan_words_add(&plan.argv, *words, strstr(*words, "${") != NULL), 0);
        assert_int_equal(plan_words_add(&plan.env, "A=1", false), 0);
        return plan;
}

static void test_output(void **state UNUSED) {
        static const char *const words[] = {"sh", "-c", "echo $$$$ ${pid}-${pid} $LISTEN_PID $A $B ${remote_addr}",
                                            NULL};
        static const char *const more[] = {"B=2"};

        for (size_t m = 0; m < LENGTH_OF(modes); m++)
                for (int share = 0; share < 2; share++) {
                        struct launch_plan plan = plan_of("/bin/sh", words);
                        struct launcher *launcher;
                        struct launched launched;
                        struct launch_failure failure;
                        int fds[2], a, b, c, d;
                        char text[256] = "", rest[64];

                        assert_int_equal(launcher_new(modes[m], &launcher), 0);
                        launcher_share_table(launcher, share);
                        plan.listen_pid = true;
                        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
                        const struct launch_fd places[] = {{fds[1], 1}};
                        const struct launch_request request = {.plan = &plan,
                                                               .fds = places,
                                                               .fd_count = 1,
                                                               .env = more,
                                                               .env_count = 1,
                                                               .remote_addr = "::1"};
                        assert_int_equal(launcher_start(launcher, &request, &launched), 0);
                        close(fds[1]);
                        assert_true(exitinfo_is_success(&(struct exitinfo[]){wait_for(&launched)}[0]));
                        assert_false(launcher_failure(launcher, &launched, &failure));
                        assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
                        close(fds[0]);
                        assert_int_equal(sscanf(text, "%d %d-%d %d %63[^\n]", &a, &b, &c, &d, rest), 5);
                        assert_int_equal(a, launched.pid);
                        assert_int_equal(b, launched.pid);
                        assert_int_equal(c, launched.pid);
                        assert_int_equal(d, launched.pid);
                        assert_string_equal(rest, "1 2 ::1");
                        launcher_free(launcher);
                        plan_deinit(&plan);
                }
}

static void test_failures(void **state UNUSED) {
        static const char *const words[] = {"x", NULL};

        for (size_t m = 0; m < LENGTH_OF(modes); m++) {
                struct launch_plan missing = plan_of("/nonexistent/x", words), dir = plan_of("/bin/true", words);
                struct launcher *launcher;
                struct launched launched;
                struct launch_failure failure;
                struct exitinfo info;

                dir.working_dir = strdup("/nonexistent");
                assert_int_equal(launcher_new(modes[m], &launcher), 0);
                /* More than there are slots: each failure gives its own back. */
                for (int i = 0; i < 200; i++) {
                        assert_int_equal(
                                launcher_start(launcher, &(struct launch_request){.plan = &missing}, &launched), 0);
                        info = wait_for(&launched);
                        assert_int_equal(info.status, 127);
                        assert_true(launcher_failure(launcher, &launched, &failure));
                        assert_int_equal(failure.stage, CHILD_STAGE_EXEC);
                        assert_int_equal(failure.error, ENOENT);
                        assert_false(launcher_failure(launcher, &launched, &failure));
                }
                assert_int_equal(launcher_start(launcher, &(struct launch_request){.plan = &dir}, &launched), 0);
                info = wait_for(&launched);
                assert_int_equal(info.status, 126);
                assert_true(launcher_failure(launcher, &launched, &failure));
                assert_int_equal(failure.stage, CHILD_STAGE_WORKING_DIR);
                launcher_free(launcher);
                plan_deinit(&missing);
                plan_deinit(&dir);
        }
}

/* A descriptor that stands where another is to go, and one that is in its place already. */
static void test_places(void **state UNUSED) {
        static const char *const words[] = {"sh", "-c", "echo three >&3; echo four >&4; echo five >&5", NULL};
        struct launch_plan plan = plan_of("/bin/sh", words);
        struct launcher *launcher;
        struct launched launched;
        int a[2], b[2], c[2];
        char text[64];

        assert_int_equal(launcher_new(modes[1], &launcher), 0);
        assert_int_equal(pipe2(a, O_CLOEXEC) | pipe2(b, O_CLOEXEC) | pipe2(c, O_CLOEXEC), 0);
        /* The writing ends to 4, 3 and 5, which others of them may have just now. */
        const struct launch_fd places[] = {{a[1], 4}, {b[1], 3}, {c[1], 5}};
        const struct launch_request request = {.plan = &plan, .fds = places, .fd_count = 3};
        assert_int_equal(launcher_start(launcher, &request, &launched), 0);
        wait_for(&launched);
        text[read(a[0], text, 63)] = '\0';
        assert_string_equal(text, "four\n");
        text[read(b[0], text, 63)] = '\0';
        assert_string_equal(text, "three\n");
        text[read(c[0], text, 63)] = '\0';
        assert_string_equal(text, "five\n");
        for (int i = 0; i < 2; i++) {
                close(a[i]);
                close(b[i]);
                close(c[i]);
        }
        launcher_free(launcher);
        plan_deinit(&plan);
}

/* Three hundred at once: the pool is smaller, so some wait for a slot, and none is lost. */
static void test_many(void **state UNUSED) {
        static const char *const words[] = {"true", NULL};
        struct launch_plan plan = plan_of("/bin/true", words);
        struct launched launched[300];
        struct launcher *launcher;

        assert_int_equal(launcher_new(modes[1], &launcher), 0);
        for (int i = 0; i < 300; i++) {
                int r;

                do
                        r = launcher_start(launcher, &(struct launch_request){.plan = &plan}, &launched[i]);
                while (r == -EBUSY);
                assert_int_equal(r, 0);
        }
        for (int i = 0; i < 300; i++) {
                struct exitinfo info = wait_for(&launched[i]);

                assert_true(exitinfo_is_success(&info));
        }
        launcher_free(launcher);
        plan_deinit(&plan);
}

/* An argument that does not fit is refused before there is a process. */
static void test_too_big(void **state UNUSED) {
        static const char *const words[] = {"true", "${remote_addr}", NULL};
        struct launch_plan plan = plan_of("/bin/true", words);
        AUTO(freep) char *huge = malloc(1000001);
        struct launcher *launcher;
        struct launched launched;

        memset(huge, 'x', 1000000);
        huge[1000000] = '\0';
        assert_int_equal(launcher_new(modes[1], &launcher), 0);
        const struct launch_request request = {.plan = &plan, .remote_addr = huge};
        assert_int_equal(launcher_start(launcher, &request, &launched), -E2BIG);
        launcher_free(launcher);
        plan_deinit(&plan);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_output), cmocka_unit_test(test_failures), cmocka_unit_test(test_places),
                cmocka_unit_test(test_many),   cmocka_unit_test(test_too_big),
        };

        return cmocka_run_group_tests_name("launch", tests, NULL, NULL);
}
