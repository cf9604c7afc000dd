/* What a server is given: its listening sockets, and behind them what was stored for it. */
#include "launched.h"

#include "config.h"

#include "handoff/handoff.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

static bool ended;

static void on_started(void *userdata UNUSED, struct handoff *handoff UNUSED, const struct process *process UNUSED) {
}

static void on_ending(void *userdata UNUSED, struct handoff *handoff UNUSED) {
}

static void on_ended(void *userdata UNUSED, struct handoff *handoff UNUSED, const struct process_end *end) {
        assert_yes(exitinfo_is_success(&end->exit));
        ended = true;
}

static const struct handoff_events events = {.started = on_started, .ending = on_ending, .ended = on_ended};

struct stock {
        struct handoff_stored items[2];
        size_t count;
        int error;
};

static int list(void *userdata, struct handoff_stored **ret, size_t *ret_count) {
        const struct stock *stock = userdata;

        if (stock->error)
                return stock->error;
        *ret = calloc(LENGTH_OF(stock->items), sizeof(**ret));
        memcpy(*ret, stock->items, sizeof(stock->items));
        *ret_count = stock->count;
        return 0;
}

static char names[] = "web:control", no_names[] = "";

/* Starts a shell that says what it was given; returns that. */
static const char *serve(size_t listener_count, struct stock *stock, bool with_store) {
        static const char script[] =
                "echo $LISTEN_FDS $LISTEN_FDNAMES; for f in 3 4 5 6; do readlink /proc/$$/fd/$f; done; exit 0";
        const char *const words[] = {"sh", "-c", script};
        static char text[1024];
        int zeros[] = {open("/dev/zero", O_RDONLY | O_CLOEXEC), open("/dev/null", O_RDONLY | O_CLOEXEC)}, fds[2];
        struct launch_plan plan = PLAN_NULL;
        const struct handoff_store store = {
                .listener_names = listener_count > 0 ? names : no_names, .list = list, .userdata = stock};
        struct process_host host;
        struct launcher *launcher;
        struct handoff *handoff;
        sd_event *event;
        ssize_t n;

        plan.path = strdup("/bin/sh");
        for (size_t i = 0; i < LENGTH_OF(words); i++)
                assert_int_equal(plan_words_add(&plan.argv, words[i], false), 0);
        assert_int_equal(plan_words_add(&plan.env, "PATH=/usr/bin:/bin", false), 0);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_yes(sd_event_default(&event) >= 0);
        assert_int_equal(launcher_new(SANITIZED ? LAUNCH_VFORK : LAUNCH_BESIDE, &launcher), 0);
        process_host_init(&host, event, launcher, zeros[1]);
        const struct handoff_setup setup = {
                .host = &host,
                .plan = &plan,
                .policy = {.stop_signal = SIGTERM, .max_runtime = USEC_INFINITY},
                .stdout_fd = fds[1],
                .stderr_fd = HANDOFF_FD_INHERIT,
                .listeners = zeros,
                .listener_count = listener_count,
                .store = with_store ? &store : NULL,
                .events = &events,
        };
        assert_int_equal(handoff_open(HANDOFF_TYPE_LISTENERS, &setup, &handoff), 0);
        assert_int_equal(handoff->ops->start_server(handoff), stock->error);
        close(fds[1]);
        for (ended = false; !ended && stock->error == 0;)
                assert_yes(sd_event_run(event, UINT64_MAX) >= 0);
        n = read(fds[0], text, sizeof(text) - 1);
        text[n > 0 ? n : 0] = '\0';
        close(fds[0]);
        close(zeros[0]);
        close(zeros[1]);
        handoff_close(handoff);
        process_host_deinit(&host);
        launcher_free(launcher);
        sd_event_unref(event);
        plan_deinit(&plan);
        return text;
}

static void test_stored(void **state UNUSED) {
        int event_fd = eventfd(0, EFD_CLOEXEC), full = open("/dev/full", O_RDONLY | O_CLOEXEC);
        struct stock stock = {.items = {{"one", event_fd}, {"two words", full}}, .count = 2};

        assert_string_equal(serve(2, &stock, true), "4 web:control:one:two words\n"
                                                    "/dev/zero\n/dev/null\nanon_inode:[eventfd]\n/dev/full\n");
        stock.count = 0;
        assert_string_equal(serve(2, &stock, true), "2 web:control\n/dev/zero\n/dev/null\n");
        stock.count = 1;
        assert_string_equal(serve(0, &stock, true), "1 one\nanon_inode:[eventfd]\n");
        /* Then the plan would say so. */
        assert_string_equal(serve(2, &stock, false), "\n/dev/zero\n/dev/null\n");
        close(event_fd);
        close(full);
}

static void test_shortage(void **state UNUSED) {
        struct stock stock = {.error = -ENOMEM};

        assert_string_equal(serve(2, &stock, true), "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_stored),
                cmocka_unit_test(test_shortage),
        };

        return cmocka_run_group_tests_name("listeners", tests, NULL, NULL);
}
