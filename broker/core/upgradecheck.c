#include "core/upgradecheck.h"

#include "base/err.h"
#include "base/fd.h"
#include "proc/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define DEADLINE (10 * USEC_PER_SEC)
#define ANSWER_MAX 4096
#define STATE_FD 3 /* in the child */

struct upgrade_check {
        struct manager *manager;
        struct launch_plan plan;
        struct process *process; /* NULL once it has ended */
        int answer_fd;
        sd_event_source *io;
        struct buf answer;
        char token[UPGRADE_TOKEN_MAX];
        void (*done)(void *userdata, bool ok, const char *why);
        void *userdata;
};

struct upgrade_check *upgrade_check_free(struct upgrade_check *check) {
        if (!check)
                return NULL;
        if (check->process) {
                process_kill(check->process, SIGKILL);
                process_abandon(check->process);
        }
        check->io = sd_event_source_disable_unref(check->io);
        check->answer_fd = fd_close(check->answer_fd);
        buf_deinit(&check->answer);
        plan_deinit(&check->plan);
        free(check);
        return NULL;
}

static void read_answer(struct upgrade_check *check) {
        char data[ANSWER_MAX];
        ssize_t n;

        while ((n = read(check->answer_fd, data, sizeof(data))) > 0)
                buf_add(&check->answer, data, MIN_OF((size_t)n, ANSWER_MAX - MIN_OF(check->answer.size, ANSWER_MAX)));
        if (n == 0)
                check->io = sd_event_source_disable_unref(check->io);
}

static int on_answer(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events UNUSED, void *userdata) {
        read_answer(userdata);
        return 0;
}

static bool is_consent(const struct upgrade_check *check) {
        const char *text = strstr(buf_text(&check->answer), UPGRADE_ANSWER);

        return text && strncmp(text + strlen(UPGRADE_ANSWER), check->token, strlen(check->token)) == 0;
}

/* The last line that it has said; it may say more, and programs that are no broker at all do. */
static void describe_refusal(struct upgrade_check *check, const struct process_end *end, struct buf *out) {
        char status[EXITINFO_TEXT_MAX];
        char *text = check->answer.data, *line;

        while (check->answer.size > 0 && strchr("\n ", text[check->answer.size - 1]))
                text[--check->answer.size] = '\0';
        line = check->answer.size > 0 ? strrchr(text, '\n') : NULL;
        line = line ? line + 1 : text;
        exitinfo_format(&end->exit, status);
        buf_add_string(out, "the new binary ");
        if (end->launch_failed)
                buf_printf(out, "cannot be executed: %s", err_text(end->failure.error));
        else if (end->reason == PROCESS_OVERRAN)
                buf_printf(out, "did not answer within %d seconds", (int)(DEADLINE / USEC_PER_SEC));
        else if (exitinfo_is_success(&end->exit))
                buf_add_string(out, "is no broker, or does not know how to take over");
        else
                buf_printf(out, "cannot take over (%s)", status);
        if (line && !end->launch_failed)
                buf_printf(out, ": %s", line);
}

/* What it has started beside itself. */
static void on_ending(void *userdata UNUSED, struct process *process) {
        process_kill(process, SIGKILL);
}

static void on_end(void *userdata, struct process *process) {
        struct upgrade_check *check = userdata;
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        bool ok;

        check->process = NULL;
        read_answer(check);
        /* Others may still have the other end. */
        check->io = sd_event_source_disable_unref(check->io);
        check->answer_fd = fd_close(check->answer_fd);
        ok = exitinfo_is_success(&process->end->exit) && !process->end->launch_failed && is_consent(check);
        if (!ok)
                describe_refusal(check, process->end, &why);
        check->done(check->userdata, ok, buf_text(&why));
}

static int add_environment(struct launch_plan *plan) {
        AUTO(buf_deinit) struct buf state = BUF_NULL;
        int r = 0;

        for (char **entry = environ; *entry && r == 0; entry++)
                r = plan_words_add_borrowed(&plan->env, *entry);
        buf_printf(&state, UPGRADE_STATE_VARIABLE "=%d", STATE_FD);
        return r == 0 ? plan_words_add(&plan->env, buf_text(&state), false) : r;
}

static int make_plan(const struct upgrade_check_order *order, struct launch_plan *plan) {
        int r;

        *plan = PLAN_NULL;
        plan->path = strdup(order->path);
        if (!plan->path)
                return err_raise(-ENOMEM);
        plan->death_signal = SIGKILL;
        r = plan_words_add(&plan->argv, order->argv0, false);
        if (r == 0)
                r = plan_words_add(&plan->argv, UPGRADE_VERB, false);
        return r == 0 ? add_environment(plan) : r;
}

static int start(struct upgrade_check *check, const struct upgrade_check_order *order) {
        const struct process_host *host = &check->manager->host;
        AUTO(fd_closep) int write_fd = -EBADF;
        struct launch_request request = {.plan = &check->plan};
        struct process_order process = {
                .request = &request,
                .policy = {.stop_signal = SIGKILL, .stop_grace_period = USEC_INFINITY, .max_runtime = DEADLINE},
                .on_ending = on_ending,
                .on_end = on_end,
                .userdata = check,
        };
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return err_raise(-errno);
        check->answer_fd = fds[0];
        write_fd = fds[1];
        r = fd_set_nonblock(fds[0], true);
        if (r == 0)
                r = sd_event_add_io(host->event, &check->io, fds[0], EPOLLIN, on_answer, check);
        if (r < 0)
                return err_raise(r);
        request.fds = (const struct launch_fd[]){
                {.from = host->null_fd, .to = 0},
                {.from = write_fd, .to = 1},
                {.from = write_fd, .to = 2},
                {.from = order->state_fd, .to = STATE_FD},
        };
        request.fd_count = 4;
        return process_start(&check->manager->host, &process, &check->process);
}

int upgrade_check_start(struct manager *manager, const struct upgrade_check_order *order, struct upgrade_check **ret) {
        struct upgrade_check *check = calloc(1, sizeof(*check));
        int r;

        if (!check)
                return err_raise(-ENOMEM);
        check->manager = manager;
        check->answer_fd = -EBADF;
        check->done = order->done;
        check->userdata = order->userdata;
        strncpy(check->token, order->token, sizeof(check->token) - 1);
        r = make_plan(order, &check->plan);
        if (r == 0)
                r = start(check, order);
        if (r < 0) {
                upgrade_check_free(check);
                return r;
        }
        *ret = check;
        return 0;
}
