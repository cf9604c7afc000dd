/* One running program: another main process, what its group leaves behind, and its timers. */
#include "launched.h"

#include "config.h"

#include "base/clock.h"
#include "handoff/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HOUR (3600 * USEC_PER_SEC)
#define GROUP_FLAG (1U << 2) /* PIDFD_SIGNAL_PROCESS_GROUP */

static sd_event *event;
static struct launcher *launcher;
static struct process_host host;

/* A shell script, which writes to a pipe; everything that it starts holds its other end. */
struct script {
        struct launch_plan plan;
        struct process *process;
        int out;
        size_t ends;
        struct process_end end;
};

static void on_ending(void *userdata UNUSED, struct process *process UNUSED) {
}

static void on_end(void *userdata, struct process *process) {
        struct script *script = userdata;

        script->ends++;
        script->end = *process->end;
        script->process = NULL;
}

static void start(struct script *script, const char *text, struct process_policy policy) {
        const char *const words[] = {"sh", "-c", text};
        int fds[2];

        *script = (struct script){.plan = PLAN_NULL};
        script->plan.path = strdup("/bin/sh");
        for (size_t i = 0; i < LENGTH_OF(words); i++)
                assert_int_equal(plan_words_add(&script->plan.argv, words[i], false), 0);
        assert_int_equal(plan_words_add(&script->plan.env, "PATH=/usr/bin:/bin", false), 0);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        const struct launch_fd places[] = {{fds[1], 1}};
        const struct launch_request request = {.plan = &script->plan, .fds = places, .fd_count = 1};
        const struct process_order order = {
                .request = &request,
                .policy = policy,
                .on_ending = on_ending,
                .on_end = on_end,
                .userdata = script,
        };

        assert_int_equal(process_start(&host, &order, &script->process), 0);
        close(fds[1]);
        script->out = fds[0];
}

/* A number that it writes in a line of its own. */
static pid_t read_pid(const struct script *script) {
        char text[16] = "";

        for (size_t n = 0; n < sizeof(text) - 1; n++) {
                assert_int_equal(read(script->out, text + n, 1), 1);
                if (text[n] == '\n')
                        break;
        }
        return (pid_t)atoi(text);
}

static void run_until_end(struct script *script) {
        while (script->ends == 0)
                assert_yes(sd_event_run(event, UINT64_MAX) >= 0);
}

static int on_closed(sd_event_source *source, int fd, uint32_t events UNUSED, void *userdata) {
        char rest[64];

        if (read(fd, rest, sizeof(rest)) == 0) {
                *(bool *)userdata = true;
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
        }
        return 0;
}

/* Until nobody of it is left. */
static void run_until_gone(struct script *script) {
        sd_event_source *source = NULL;
        bool closed = false;

        assert_yes(sd_event_add_io(event, &source, script->out, EPOLLIN, on_closed, &closed) >= 0);
        while (!closed)
                assert_yes(sd_event_run(event, UINT64_MAX) >= 0);
        sd_event_source_disable_unref(source);
}

/* All of it has ended by now, or is about to. */
static void finish(struct script *script) {
        close(script->out);
        plan_deinit(&script->plan);
        while (waitpid(-1, NULL, 0) > 0)
                ;
        assert_int_equal(remains_sweep(&host.remains), 0);
}

static int pidfd_of(pid_t pid) {
        return (int)syscall(SYS_pidfd_open, pid, 0);
}

static struct process_policy policy_of(usec_t grace, usec_t max_runtime) {
        return (struct process_policy){.stop_signal = SIGTERM, .stop_grace_period = grace, .max_runtime = max_runtime};
}

/* A pidfd stands for a group from Linux 6.9 on. */
static bool has_groups(void) {
        int own = pidfd_of(getpid());
        bool has = syscall(SYS_pidfd_send_signal, own, 0, NULL, GROUP_FLAG) == 0 || errno != EINVAL;

        close(own);
        if (!has)
                print_message("# pidfd_send_signal(2) knows no groups here\n");
        return has;
}

/* It goes on in a child and ends: the child has become ours, so how it ends is known. */
static void test_adopt_orphan(void **state UNUSED) {
        struct script script;
        struct kinship_family family;
        pid_t pid, first;

        start(&script, "sh -c 'echo $$; exec sleep 1000' & exit 3", policy_of(HOUR, USEC_INFINITY));
        first = script.process->launched.pid;
        assert_int_equal(script.process->group, first);
        pid = read_pid(&script);
        family = process_family(script.process);
        assert_int_equal(kinship_find(&family, pid, script.process->launched.pidfd), KINSHIP_MEMBER);
        assert_int_equal(process_adopt_main(script.process, pid, pidfd_of(pid)), 0);
        assert_int_equal(process_adopt_main(script.process, pid, pidfd_of(pid)), 0);
        assert_ptr_equal(process_host_find(&host, pid), script.process);
        assert_null(process_host_find(&host, first));
        assert_int_equal(waitpid(first, NULL, 0), first);
        assert_yes(sd_event_run(event, 0) >= 0);
        assert_int_equal(script.ends, 0);
        family = process_family(script.process);
        assert_int_equal(family.main, pid);
        assert_int_equal(family.sessions[0], first);
        process_stop(script.process, PROCESS_SILENT);
        run_until_end(&script);
        assert_int_equal(script.end.pid, pid);
        assert_int_equal(script.end.exit.code, CLD_KILLED);
        assert_int_equal(script.end.exit.status, SIGTERM);
        assert_int_equal(script.end.reason, PROCESS_SILENT);
        assert_no(script.end.launch_failed);
        run_until_gone(&script);
        assert_int_equal(remains_sweep(&host.remains), 0);
        finish(&script);
}

/* Somebody else waits for it: its end is all that is known. */
static void test_adopt_child(void **state UNUSED) {
        char text[EXITINFO_TEXT_MAX];
        struct script script;
        pid_t pid, first;

        start(&script, "sh -c 'echo $$; exec sleep 1000' & wait; sleep 1000", policy_of(HOUR, USEC_INFINITY));
        first = script.process->launched.pid;
        pid = read_pid(&script);
        assert_int_equal(process_adopt_main(script.process, pid, pidfd_of(pid)), 0);
        kill(pid, SIGKILL);
        run_until_end(&script);
        assert_int_equal(script.end.exit.code, EXITINFO_UNKNOWN);
        assert_yes(exitinfo_is_success(&script.end.exit));
        assert_int_equal(exitinfo_shell_status(&script.end.exit), 0);
        exitinfo_format(&script.end.exit, text);
        assert_string_equal(text, "unknown");
        assert_int_equal(script.end.reason, PROCESS_ENDED);
        assert_int_equal(script.ends, 1);
        kill(-first, SIGKILL);
        assert_int_equal(waitpid(first, NULL, 0), first);
        run_until_gone(&script);
        finish(&script);
}

/* And back: there is no end of the one in between. */
static void test_adopt_back(void **state UNUSED) {
        struct script script;
        pid_t pid, first;

        start(&script, "sh -c 'echo $$; exec sleep 1000' & wait; exit 5", policy_of(HOUR, USEC_INFINITY));
        first = script.process->launched.pid;
        pid = read_pid(&script);
        assert_int_equal(process_adopt_main(script.process, pid, pidfd_of(pid)), 0);
        assert_int_equal(process_adopt_main(script.process, first, pidfd_of(first)), 0);
        kill(pid, SIGKILL);
        run_until_end(&script);
        assert_int_equal(script.end.pid, first);
        assert_int_equal(script.end.exit.code, CLD_EXITED);
        assert_int_equal(script.end.exit.status, 5);
        run_until_gone(&script);
        finish(&script);
}

/* Its group, and the group of what it was started as. */
static void test_adopt_session(void **state UNUSED) {
        struct kinship_family family;
        struct script script;
        pid_t pid, first;

        if (!has_groups())
                return;
        start(&script, "sleep 1000 & setsid sh -c 'sleep 1000 & echo $$; exec sleep 1000' & exit 0",
              policy_of(HOUR, USEC_INFINITY));
        first = script.process->launched.pid;
        pid = read_pid(&script);
        assert_int_equal(process_adopt_main(script.process, pid, pidfd_of(pid)), 0);
        assert_int_equal(waitpid(first, NULL, 0), first);
        family = process_family(script.process);
        assert_int_equal(family.sessions[0], pid);
        assert_int_equal(family.sessions[1], first);
        process_stop(script.process, PROCESS_STOPPED);
        run_until_end(&script);
        run_until_gone(&script);
        finish(&script);
}

static const char stubborn[] = "sh -c 'trap \"\" TERM; echo $$; exec sleep 1000' & wait";

static void test_remains_killed(void **state UNUSED) {
        struct script script;

        if (!has_groups())
                return;
        start(&script, stubborn, policy_of(100 * USEC_PER_MSEC, USEC_INFINITY));
        read_pid(&script);
        process_stop(script.process, PROCESS_STOPPED);
        run_until_end(&script);
        assert_no(script.end.killed);
        run_until_gone(&script);
        assert_int_equal(host.remains.count, 0);
        finish(&script);
}

/* Nothing is kept for what ends by itself in time, nor for what is let be. */
static void test_remains_end(void **state UNUSED) {
        struct process_policy alone = policy_of(HOUR, USEC_INFINITY);
        struct script script;
        pid_t pid;

        if (!has_groups())
                return;
        start(&script, stubborn, policy_of(HOUR, USEC_INFINITY));
        pid = read_pid(&script);
        process_stop(script.process, PROCESS_STOPPED);
        run_until_end(&script);
        assert_int_equal(remains_sweep(&host.remains), 1);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(remains_sweep(&host.remains), 0);
        run_until_gone(&script);
        finish(&script);
        alone.process_only = true;
        for (int i = 0; i < 2; i++) {
                start(&script, stubborn, i == 0 ? alone : policy_of(USEC_INFINITY, USEC_INFINITY));
                pid = read_pid(&script);
                process_stop(script.process, PROCESS_STOPPED);
                run_until_end(&script);
                assert_int_equal(remains_sweep(&host.remains), 0);
                assert_int_equal(kill(pid, SIGKILL), 0);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                run_until_gone(&script);
                finish(&script);
        }
}

/* It ends by itself, and its children with it; one that does not hear has as long as it would have had. */
static void test_ends_group(void **state UNUSED) {
        static const char left[] = "sh -c 'echo $$; exec sleep 1000' & exit 3";
        static const char deaf[] = "sh -c 'trap \"\" TERM; echo $$; exec sleep 1000' & wait";
        struct process_policy policy = policy_of(HOUR, USEC_INFINITY);
        struct script script;
        pid_t pid;

        if (!has_groups())
                return;
        policy.ends_group = true;
        start(&script, left, policy);
        run_until_end(&script);
        assert_int_equal(script.end.reason, PROCESS_ENDED);
        run_until_gone(&script);
        finish(&script);
        for (int i = 0; i < 2; i++) {
                policy.stop_grace_period = i == 0 ? 100 * USEC_PER_MSEC : (usec_t)HOUR;
                policy.process_only = i == 1;
                start(&script, deaf, policy);
                pid = read_pid(&script);
                assert_int_equal(kill(script.process->launched.pid, SIGKILL), 0);
                run_until_end(&script);
                assert_int_equal(host.remains.count, i == 0 ? 1 : 0);
                if (i == 1)
                        assert_int_equal(kill(pid, SIGKILL), 0);
                run_until_gone(&script);
                finish(&script);
        }
}

/* At the broker's own end nobody will be there to do it later. */
static void test_remains_at_end(void **state UNUSED) {
        struct script script;

        if (!has_groups())
                return;
        start(&script, stubborn, policy_of(HOUR, USEC_INFINITY));
        read_pid(&script);
        process_stop(script.process, PROCESS_STOPPED);
        run_until_end(&script);
        assert_int_equal(host.remains.count, 1);
        process_host_deinit(&host);
        assert_int_equal(host.remains.count, 0);
        run_until_gone(&script);
        finish(&script);
}

static usec_t due(const struct script *script) {
        usec_t at;

        assert_yes(sd_event_source_get_time(script->process->timer, &at) >= 0);
        return at;
}

static void test_timers(void **state UNUSED) {
        struct script script;
        usec_t at, now;

        start(&script, "exec sleep 1000", policy_of(USEC_INFINITY, HOUR));
        at = due(&script);
        process_extend_timeout(script.process, 5);
        assert_yes(due(&script) == at);
        now = clock_monotonic();
        process_extend_timeout(script.process, 2 * HOUR);
        assert_in_range(due(&script), now + 2 * HOUR, now + 3 * HOUR);
        process_extend_timeout(script.process, USEC_INFINITY);
        assert_yes(due(&script) == USEC_INFINITY - 1);
        /* What max_runtime was does not end the grace period. */
        process_stop(script.process, PROCESS_IDLE);
        assert_int_equal(sd_event_source_get_enabled(script.process->timer, NULL), 0);
        process_extend_timeout(script.process, 1);
        assert_int_equal(sd_event_source_get_enabled(script.process->timer, NULL), 0);
        run_until_end(&script);
        assert_int_equal(script.end.reason, PROCESS_IDLE);
        finish(&script);
}

static int setup(void **state UNUSED) {
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        if (sd_event_default(&event) < 0 || launcher_new(SANITIZED ? LAUNCH_VFORK : LAUNCH_BESIDE, &launcher) < 0)
                return 1;
        process_host_init(&host, event, launcher, -EBADF);
        return 0;
}

static int teardown(void **state UNUSED) {
        process_host_deinit(&host);
        launcher = launcher_free(launcher);
        event = sd_event_unref(event);
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_adopt_orphan),   cmocka_unit_test(test_adopt_child),
                cmocka_unit_test(test_adopt_back),     cmocka_unit_test(test_adopt_session),
                cmocka_unit_test(test_remains_killed), cmocka_unit_test(test_remains_end),
                cmocka_unit_test(test_timers),         cmocka_unit_test(test_ends_group),
                cmocka_unit_test(test_remains_at_end),
        };

        return cmocka_run_group_tests_name("process", tests, setup, teardown);
}
