/* What a child takes on: every step that can be made to fail is reported as that step, in all ways of starting, and
 * what belongs to the broker's memory stays as it is. */
#include "launched.h"

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const enum launch_mode modes[] = {LAUNCH_VFORK, SANITIZED ? LAUNCH_VFORK : LAUNCH_BESIDE};

#define EVERY_MODE(m) for (size_t m = 0; m < LENGTH_OF(modes); m++)

static struct launch_plan plan_of(const char *script) {
        struct launch_plan plan = PLAN_NULL;

        plan.path = strdup("/bin/sh");
        assert_int_equal(plan_add_rare(&plan), 0);
        assert_int_equal(plan_words_add(&plan.argv, "sh", false), 0);
        assert_int_equal(plan_words_add(&plan.argv, "-c", false), 0);
        assert_int_equal(plan_words_add(&plan.argv, script, false), 0);
        return plan;
}

static void spoil_oom(struct launch_plan *plan) {
        strcpy(plan->rare->oom_score_adj, "x");
}

static void spoil_rlimits(struct launch_plan *plan) {
        assert_int_equal(plan_add_rlimit(plan, 9999, &(struct rlimit){0}), 0);
}

static void spoil_cpus(struct launch_plan *plan) {
        plan->rare->cpus = calloc(1, sizeof(*plan->rare->cpus));
}

static void spoil_root_dir(struct launch_plan *plan) {
        plan->rare->root_dir = strdup("/nonexistent");
}

static void spoil_groups(struct launch_plan *plan) {
        plan->creds.change_groups = true;
        plan->creds.group_count = 1 << 20;
}

static void spoil_gid(struct launch_plan *plan) {
        plan->creds.change_group = true;
        plan->creds.gid = (gid_t)-2;
        /* Who has no right to another group is refused for that; who has, in a step of its own. */
        if (geteuid() == 0)
                spoil_groups(plan);
}

static void spoil_bounding(struct launch_plan *plan) {
        plan->rare->caps.change = true;
        plan->rare->caps.bounding_drop = CAPABILITY_BIT(63);
}

static void spoil_caps(struct launch_plan *plan) {
        plan->rare->caps.change = true;
        plan->rare->caps.permitted = CAPABILITY_BIT(0);
        plan->rare->caps.inheritable = UINT64_MAX;
        if (geteuid() != 0)
                return;
        /* Taken away first, so that it cannot be inheritable. */
        plan->rare->caps.bounding_drop = CAPABILITY_BIT(0);
        plan->creds.change_user = true;
        plan->creds.uid = 65534;
}

static void spoil_ambient(struct launch_plan *plan) {
        plan->rare->caps.change = true;
        plan->rare->caps.ambient = CAPABILITY_BIT(0);
}

static void spoil_working_dir(struct launch_plan *plan) {
        plan->working_dir = strdup("/nonexistent");
}

static void spoil_program(struct launch_plan *plan) {
        free(plan->path);
        plan->path = strdup("/");
}

static void spoil_nothing(struct launch_plan *plan) {
        plan->umask = 022;
}

static const struct {
        void (*spoil)(struct launch_plan *plan);
        enum child_stage stage, stage_of_others; /* without privileges some steps are refused at once */
} cases[] = {
        {spoil_nothing, CHILD_STAGE_NONE, CHILD_STAGE_NONE},
        {spoil_oom, CHILD_STAGE_OOM_SCORE_ADJ, CHILD_STAGE_OOM_SCORE_ADJ},
        {spoil_rlimits, CHILD_STAGE_RLIMITS, CHILD_STAGE_RLIMITS},
        {spoil_cpus, CHILD_STAGE_CPUSET, CHILD_STAGE_CPUSET},
        {spoil_root_dir, CHILD_STAGE_ROOT_DIR, CHILD_STAGE_ROOT_DIR},
        {spoil_groups, CHILD_STAGE_GROUPS, CHILD_STAGE_GROUPS},
        {spoil_gid, CHILD_STAGE_GROUPS, CHILD_STAGE_GID},
        {spoil_bounding, CHILD_STAGE_BOUNDING, CHILD_STAGE_BOUNDING},
        {spoil_caps, CHILD_STAGE_CAPABILITIES, CHILD_STAGE_CAPABILITIES},
        {spoil_ambient, CHILD_STAGE_AMBIENT, CHILD_STAGE_AMBIENT},
        {spoil_working_dir, CHILD_STAGE_WORKING_DIR, CHILD_STAGE_WORKING_DIR},
        {spoil_program, CHILD_STAGE_EXEC, CHILD_STAGE_EXEC},
};

/* Once as it is, once apart. */
static void fails_as(struct launcher *launcher, size_t i, bool apart) {
        struct launch_plan plan = plan_of("exit 0");
        enum child_stage want = geteuid() == 0 ? cases[i].stage : cases[i].stage_of_others;
        struct launch_failure failure = {0};
        struct launched launched;
        struct exitinfo info;
        bool failed;

        if (apart)
                plan_format_oom_score_adj(1000, plan.rare->oom_score_adj);
        cases[i].spoil(&plan);
        assert_int_equal(launcher_start(launcher, &(struct launch_request){.plan = &plan}, &launched), 0);
        info = wait_for(&launched);
        failed = launcher_failure(launcher, &launched, &failure);
        assert_int_equal(failed, want != CHILD_STAGE_NONE);
        assert_string_equal(child_stage_names[failure.stage], child_stage_names[want]);
        assert_int_equal(info.code, CLD_EXITED);
        assert_int_equal(info.status, failed ? 126 : 0);
        assert_int_equal(failure.error != 0, failed);
        assert_no(launcher_failure(launcher, &launched, &failure));
        plan_deinit(&plan);
}

static void test_stages(void **state) {
        (void)state;
        EVERY_MODE(m) {
                struct launcher *launcher;

                assert_int_equal(launcher_new(modes[m], &launcher), 0);
                /* More often than there are slots. */
                for (size_t round = 0; round < 10; round++)
                        for (size_t i = 0; i < LENGTH_OF(cases); i++) {
                                fails_as(launcher, i, false);
                                fails_as(launcher, i, true);
                        }
                assert_yes(launcher_is_idle(launcher));
                launcher_free(launcher);
        }
        for (size_t i = 0; i < CHILD_STAGE_N; i++)
                assert_non_null(child_stage_names[i]);
}

static int own_oom_score_adj(void) {
        FILE *file = fopen("/proc/self/oom_score_adj", "re");
        int value = INT32_MIN;

        assert_non_null(file);
        assert_int_equal(fscanf(file, "%d", &value), 1);
        fclose(file);
        return value;
}

static void test_oom_score_adj(void **state) {
        int before = own_oom_score_adj(), count = 0;

        (void)state;
        EVERY_MODE(m) {
                struct launch_plan plan = plan_of("read x </proc/self/oom_score_adj; test $x = 1000");
                struct launched launched[200];
                struct launcher *launcher;

                plan_format_oom_score_adj(1000, plan.rare->oom_score_adj);
                assert_int_equal(launcher_new(modes[m], &launcher), 0);
                launcher_share_table(launcher, true);
                for (count = 0; count < 200; count++) {
                        int r;

                        do
                                r = launcher_start(launcher, &(struct launch_request){.plan = &plan}, &launched[count]);
                        while (r == -EBUSY);
                        assert_int_equal(r, 0);
                }
                for (int i = 0; i < count; i++) {
                        struct exitinfo info = wait_for(&launched[i]);
                        struct launch_failure failure;

                        assert_yes(exitinfo_is_success(&info));
                        assert_no(launcher_failure(launcher, &launched[i], &failure));
                }
                assert_yes(launcher_is_idle(launcher));
                assert_int_equal(own_oom_score_adj(), before);
                launcher_free(launcher);
                plan_deinit(&plan);
        }
}

/* A child that is apart tells of its exec by a pipe: not one that what it is given could take the place of, and not a
 * descriptor that stays. */
static void test_apart_descriptors(void **state) {
        struct launch_plan plan = plan_of("exec 2>&-; for i in 3 4 5 6 7 8 9; do { echo $i >&$i; } 2>/dev/null; done");
        struct launch_fd places[7];
        struct launcher *launcher;
        struct launched launched;
        char text[64] = "";
        int ends[2], first, after;
        ssize_t n, size = 0;

        (void)state;
        plan_format_oom_score_adj(1000, plan.rare->oom_score_adj);
        assert_int_equal(launcher_new(modes[1], &launcher), 0);
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        first = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
        close(first);
        for (int i = 0; i < 7; i++)
                places[i] = (struct launch_fd){ends[1], 3 + i};
        const struct launch_request request = {.plan = &plan, .fds = places, .fd_count = 7};
        assert_int_equal(launcher_start(launcher, &request, &launched), 0);
        close(ends[1]);
        while ((n = read(ends[0], text + size, sizeof(text) - 1 - (size_t)size)) > 0)
                size += n;
        assert_string_equal(text, "3\n4\n5\n6\n7\n8\n9\n");
        wait_for(&launched);
        assert_yes(launcher_is_idle(launcher));
        close(ends[0]);
        after = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_yes(after <= first);
        close(after);
        launcher_free(launcher);
        plan_deinit(&plan);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_stages),
                cmocka_unit_test(test_oom_score_adj),
                cmocka_unit_test(test_apart_descriptors),
        };

        return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
