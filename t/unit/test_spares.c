/* Processes that wait for their connection, and the pool of them: who gets one, what becomes of those that are stopped,
 * killed or cannot become their program, and when they are replaced. */
#include "unit.h"

#include "config.h"

#include "base/fd.h"
#include "handoff/spare.h"
#include "proc/spare.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What spares say when something has gone wrong (proc/spareword.h). */
struct answer {
        int trouble;
        int error;
};

static sd_event *event;
static struct launcher *launcher;
static struct process_host host;

static struct {
        struct launch_plan plan;
        struct handoff *handoff;
        struct connection connection;
        int far;
        int prepare_error;
        size_t prepared;
        size_t failed;
        size_t spares_ended;
        size_t ended;
        pid_t started;           /* who got the connection */
        struct process_end last; /* of a spare, or of who had the connection */
} world;

static void on_started(void *userdata UNUSED, struct handoff *handoff UNUSED, const struct process *process) {
        world.started = process->launched.pid;
}

static void on_ending(void *userdata UNUSED, struct handoff *handoff UNUSED) {
}

static void on_ended(void *userdata UNUSED, struct handoff *handoff UNUSED, const struct process_end *end) {
        assert_ptr_equal(end->connection, &world.connection);
        world.last = *end;
        world.ended++;
}

static void on_spare_ended(void *userdata UNUSED, struct handoff *handoff UNUSED, const struct process_end *end) {
        assert_null(end->connection);
        world.last = *end;
        world.spares_ended++;
}

static void on_spare_failed(void *userdata UNUSED, struct handoff *handoff UNUSED, int error) {
        /* Where there are none, that is all that is ever said of them. */
        assert_yes(error == world.prepare_error || error == -EOPNOTSUPP);
        world.failed++;
}

static int on_prepare(void *userdata UNUSED, struct handoff *handoff UNUSED, bool again) {
        assert_no(again);
        world.prepared++;
        return world.prepare_error;
}

static const struct handoff_events events = {
        .started = on_started,
        .ending = on_ending,
        .ended = on_ended,
        .spare_ended = on_spare_ended,
        .spare_failed = on_spare_failed,
        .prepare = on_prepare,
};

static void run_once(void) {
        assert_yes(sd_event_run(event, UINT64_MAX) >= 0);
}

static void open_world(unsigned count, const char *path) {
        const char *const words[] = {"sh", "-c", "read -r line; echo \"$line\" $$; exit 3"};
        const struct handoff_setup setup = {
                .host = &host,
                .plan = &world.plan,
                .policy = {.stop_signal = SIGTERM, .max_runtime = USEC_INFINITY},
                .spares = count,
                .stdio = true,
                .stdout_fd = HANDOFF_FD_INHERIT,
                .stderr_fd = host.null_fd,
                .events = &events,
        };

        memset(&world, 0, sizeof(world));
        world.plan = PLAN_NULL;
        world.plan.path = strdup(path);
        world.plan.new_session = true;
        for (size_t i = 0; i < LENGTH_OF(words); i++)
                assert_int_equal(plan_words_add(&world.plan.argv, words[i], false), 0);
        assert_int_equal(plan_words_add(&world.plan.env, "PATH=/usr/bin:/bin", false), 0);
        world.connection = (struct connection){.fd = -EBADF};
        world.far = -EBADF;
        assert_int_equal(handoff_open(HANDOFF_TYPE_SPARES, &setup, &world.handoff), 0);
}

/* Nobody is left behind. */
static void close_world(void) {
        handoff_retire(world.handoff, HANDOFF_LEAVES);
        handoff_stop(world.handoff);
        while (!list_is_empty(&host.running))
                run_once();
        world.handoff = handoff_close(world.handoff);
        connection_close(&world.connection);
        world.far = fd_close(world.far);
        plan_deinit(&world.plan);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* All that there are have got so far that they can take a connection. */
static void wait_ready(size_t count) {
        struct process *process;

        while (world.handoff->spare_count < count)
                run_once();
        list_for_each(process, &host.running, host_link)
                while (!spare_is_ready(process))
                        sched_yield();
}

static pid_t nth(size_t n) {
        struct process *process;

        list_for_each(process, &host.running, host_link)
                if (n-- == 0)
                        return process->launched.pid;
        return -1;
}

static void stop_and_wait(pid_t pid) {
        siginfo_t info = {0};

        assert_int_equal(kill(pid, SIGSTOP), 0);
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
}

static void connect_client(void) {
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        world.connection = (struct connection){
                .fd = fds[0], .peer.sa.sa_family = AF_UNIX, .peer_size = sizeof(sa_family_t), .cred = {.pid = 1}};
        world.far = fds[1];
}

static void take(void) {
        connect_client();
        world.started = 0;
        assert_int_equal(world.handoff->ops->take_connection(world.handoff, &world.connection), 0);
        assert_int_equal(world.connection.fd, -EBADF);
        assert_int_equal(world.handoff->process_count, 1);
}

/* The client says something, and is answered by PID. */
static void assert_served_by(pid_t pid) {
        char want[64], got[64];
        size_t n = 0;
        ssize_t r;

        assert_int_equal(world.started, pid);
        assert_int_equal(write(world.far, "hello\n", 6), 6);
        while ((r = read(world.far, got + n, sizeof(got) - 1 - n)) > 0)
                n += (size_t)r;
        got[n] = '\0';
        snprintf(want, sizeof(want), "hello %d\n", pid);
        assert_string_equal(got, want);
        while (world.ended == 0)
                run_once();
        assert_int_equal(world.last.pid, pid);
        assert_int_equal(world.last.exit.status, 3);
        world.ended = 0;
        world.far = fd_close(world.far);
}

static void test_pool(void **state UNUSED) {
        pid_t first, second;

        open_world(2, "/bin/sh");
        assert_int_equal(world.handoff->spare_count, 0);
        handoff_on_listening(world.handoff);
        wait_ready(2);
        assert_int_equal(world.prepared, 2);
        assert_no(handoff_is_busy(world.handoff));
        first = nth(0);
        second = nth(1);
        take();
        assert_int_equal(world.handoff->spare_count, 1);
        assert_served_by(first);
        wait_ready(2);
        assert_int_equal(world.prepared, 3);
        take();
        assert_served_by(second);
        assert_int_equal(world.spares_ended, 0);
        close_world();
}

/* Who comes before there are any, or when all are used, is served all the same. */
static void test_none_left(void **state UNUSED) {
        open_world(1, "/bin/sh");
        take();
        assert_int_equal(world.handoff->spare_count, 0);
        assert_served_by(nth(0));
        close_world();
}

static void test_shortage(void **state UNUSED) {
        open_world(1, "/bin/sh");
        world.prepare_error = -ENOENT;
        handoff_on_listening(world.handoff);
        while (world.prepared < 2)
                run_once();
        assert_int_equal(world.failed, 1);
        assert_int_equal(world.handoff->spare_count, 0);
        take();
        assert_served_by(nth(0));
        world.prepare_error = 0;
        wait_ready(1);
        close_world();
}

/* A client that was given to one that is stopped would wait for as long as that lasts. */
static void test_stopped(void **state UNUSED) {
        pid_t first, second;

        open_world(2, "/bin/sh");
        handoff_on_listening(world.handoff);
        wait_ready(2);
        first = nth(0);
        second = nth(1);
        assert_no(spare_is_stopped(first));
        stop_and_wait(first);
        assert_yes(spare_is_stopped(first));
        assert_yes(spare_is_stopped(first));
        take();
        assert_int_equal(world.started, second);
        while (world.spares_ended == 0)
                run_once();
        assert_int_equal(world.last.pid, first);
        assert_int_equal(world.last.reason, PROCESS_STOPPED);
        assert_served_by(second);
        wait_ready(2);
        /* None is left. */
        stop_and_wait(nth(0));
        stop_and_wait(nth(1));
        take();
        assert_served_by(world.started);
        while (world.spares_ended < 3)
                run_once();
        close_world();
}

/* One that was stopped and goes on is as good as any. */
static void test_continued(void **state UNUSED) {
        pid_t pid;

        open_world(1, "/bin/sh");
        handoff_on_listening(world.handoff);
        wait_ready(1);
        pid = nth(0);
        stop_and_wait(pid);
        assert_int_equal(kill(pid, SIGCONT), 0);
        while (spare_is_stopped(pid))
                sched_yield();
        take();
        assert_served_by(pid);
        close_world();
}

static void test_killed(void **state UNUSED) {
        open_world(2, "/bin/sh");
        handoff_on_listening(world.handoff);
        wait_ready(2);
        kill(nth(1), SIGKILL);
        kill(nth(0), SIGKILL);
        while (world.spares_ended < 2)
                run_once();
        assert_int_equal(world.last.reason, PROCESS_ENDED);
        assert_int_equal(world.last.exit.status, SIGKILL);
        wait_ready(2);
        close_world();
}

static void test_retired(void **state UNUSED) {
        open_world(3, "/bin/sh");
        handoff_on_listening(world.handoff);
        wait_ready(3);
        handoff_retire(world.handoff, HANDOFF_REPLACED);
        assert_int_equal(world.handoff->spare_count, 0);
        while (!list_is_empty(&host.running))
                run_once();
        assert_int_equal(world.spares_ended, 0);
        close_world();
}

static void test_no_program(void **state UNUSED) {
        open_world(1, "/nowhere/at/all");
        handoff_on_listening(world.handoff);
        wait_ready(1);
        take();
        while (world.ended == 0)
                run_once();
        assert_yes(world.last.launch_failed);
        assert_int_equal(world.last.failure.stage, CHILD_STAGE_EXEC);
        assert_int_equal(world.last.failure.error, ENOENT);
        assert_int_equal(world.last.exit.code, CLD_EXITED);
        assert_int_equal(world.last.exit.status, 127);
        close_world();
}

static void test_nobody_listens(void **state UNUSED) {
        struct process *process;
        pid_t pid;

        open_world(1, "/nowhere/at/all");
        handoff_on_listening(world.handoff);
        wait_ready(1);
        pid = nth(0);
        process = process_host_find(&host, pid);
        stop_and_wait(pid);
        connect_client();
        assert_int_equal(spare_give(process, &world.connection), 0);
        assert_no(spare_settle(process));
        process->spare_link = fd_close(process->spare_link);
        kill(pid, SIGCONT);
        while (world.spares_ended == 0)
                run_once();
        assert_int_equal(world.last.exit.code, CLD_EXITED);
        assert_int_equal(world.last.exit.status, 127);
        close_world();
}

/* At the other end there may be anybody who runs as its user. */
static void test_answers(void **state UNUSED) {
        static const struct answer lies[] = {{-1, ENOENT}, {3, ENOENT},  {INT_MAX, ENOENT},
                                             {2, 0},       {2, INT_MIN}, {2, 4096}};
        const struct answer truth = {2, EACCES};
        struct launch_failure failure;
        int ends[2];

        assert_int_equal(spare_open_link(ends), 0);
        assert_no(spare_failure(ends[0], &failure));
        for (size_t i = 0; i < LENGTH_OF(lies); i++) {
                assert_int_equal(send(ends[1], &lies[i], sizeof(lies[i]), 0), sizeof(lies[i]));
                assert_no(spare_failure(ends[0], &failure));
        }
        assert_int_equal(send(ends[1], &truth, 3, 0), 3);
        assert_no(spare_failure(ends[0], &failure));
        assert_no(spare_is_over(ends[0]));
        assert_int_equal(send(ends[1], &truth, sizeof(truth), 0), sizeof(truth));
        assert_yes(spare_failure(ends[0], &failure));
        assert_int_equal(failure.stage, CHILD_STAGE_EXEC);
        assert_int_equal(failure.error, EACCES);
        close(ends[1]);
        assert_yes(spare_is_over(ends[0]));
        close(ends[0]);
}

/* Two bytes stand for the client's address and port: such as no word has, nor what is added to them. */
static void test_stand_ins(void **state UNUSED) {
        struct launch_plan plan = PLAN_NULL;
        struct launch_request request = {.plan = &plan};
        struct launch_fd fds[SPARE_FDS_EXTRA];
        struct spare_setup setup = {.targets = (int[]){0}, .target_count = 1, .fds = fds};
        char all[256];
        size_t n = 0;

        assert_int_equal(spare_make_request(&setup, &request), 0);
        assert_string_equal(setup.stand_ins[0], "");
        for (int c = 1; c < 256; c++)
                if (!strchr("LIS\xfe", c))
                        all[n++] = (char)c;
        all[n] = '\0';
        assert_int_equal(plan_words_add(&plan.env, all, false), 0);
        assert_int_equal(plan_words_add(&plan.env, "${remote_addr}", true), 0);
        request = (struct launch_request){.plan = &plan};
        assert_int_equal(spare_make_request(&setup, &request), -E2BIG);
        *strchr(all, 'Q') = '-';
        plan_deinit(&plan);
        plan = PLAN_NULL;
        assert_int_equal(plan_words_add(&plan.env, all, false), 0);
        assert_int_equal(plan_words_add(&plan.argv, "x${remote_port}", true), 0);
        request = (struct launch_request){.plan = &plan};
        assert_int_equal(spare_make_request(&setup, &request), 0);
        assert_string_equal(setup.stand_ins[0], "Q");
        assert_string_equal(setup.stand_ins[1], "\xfe");
        plan_deinit(&plan);
}

static int setup(void **state UNUSED) {
        int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null_fd < 0 || sd_event_default(&event) < 0 ||
            launcher_new(SANITIZED ? LAUNCH_VFORK : LAUNCH_BESIDE, &launcher) < 0)
                return 1;
        process_host_init(&host, event, launcher, null_fd);
        return 0;
}

static int teardown(void **state UNUSED) {
        close(host.null_fd);
        process_host_deinit(&host);
        launcher = launcher_free(launcher);
        event = sd_event_unref(event);
        return 0;
}

int main(void) {
        const struct CMUnitTest all[] = {
                cmocka_unit_test(test_pool),           cmocka_unit_test(test_none_left),
                cmocka_unit_test(test_shortage),       cmocka_unit_test(test_stopped),
                cmocka_unit_test(test_continued),      cmocka_unit_test(test_killed),
                cmocka_unit_test(test_retired),        cmocka_unit_test(test_no_program),
                cmocka_unit_test(test_nobody_listens), cmocka_unit_test(test_answers),
                cmocka_unit_test(test_stand_ins),
        };
        const struct CMUnitTest without[] = {
                cmocka_unit_test(test_none_left),
                cmocka_unit_test(test_answers),
                cmocka_unit_test(test_stand_ins),
        };
        int image = spare_open_image();

        if (image == -EOPNOTSUPP) {
                print_message("# %s\n", spare_error_text(image));
                return cmocka_run_group_tests_name("spares", without, setup, teardown);
        }
        fd_close(image);
        return cmocka_run_group_tests_name("spares", all, setup, teardown);
}
