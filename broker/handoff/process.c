#include "handoff/process.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define IDLE_MAX 256 /* process objects kept for later; more connections at once allocate */

void process_host_init(struct process_host *host, sd_event *event, struct launcher *launcher, int null_fd) {
        *host = (struct process_host){.event = event, .launcher = launcher, .null_fd = null_fd};
        list_init(&host->idle);
        list_init(&host->running);
}

struct process *process_host_find(struct process_host *host, pid_t pid) {
        struct process *process;

        list_for_each(process, &host->running, host_link)
                if (process->launched.pid == pid)
                        return process;
        return NULL;
}

static struct process *process_free(struct process *process) {
        if (!process)
                return NULL;
        list_remove(&process->link);
        list_remove(&process->host_link);
        sd_event_source_disable_unref(process->timer);
        sd_event_source_disable_unref(process->exit_source);
        free(process);
        return NULL;
}

void process_host_deinit(struct process_host *host) {
        struct process *process;

        if (!host->event)
                return;
        list_for_each(process, &host->idle, link)
                process_free(process);
        host->idle_count = 0;
}

static void process_retire(struct process *process) {
        struct process_host *host = process->host;

        if (host->idle_count >= IDLE_MAX) {
                process_free(process);
                return;
        }
        list_append(&host->idle, &process->link);
        host->idle_count++;
}

static int process_on_exit(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events UNUSED, void *userdata) {
        struct process *process = userdata;
        struct process_end end = {
                .pid = process->launched.pid,
                .started_at = process->started_at,
                .ended_at = clock_monotonic(),
                .reason = process->reason,
                .killed = process->killed,
                .connection = process->connection,
        };
        siginfo_t info = {.si_pid = 0};

        if (waitid(P_PIDFD, (id_t)process->launched.pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
                return 0;
        end.exit = (struct exitinfo){.code = info.si_code, .status = info.si_status};
        end.launch_failed = launcher_failure(process->host->launcher, &process->launched, &end.failure);
        sd_event_source_set_enabled(process->exit_source, SD_EVENT_OFF);
        if (process->timer)
                sd_event_source_set_enabled(process->timer, SD_EVENT_OFF);
        process->launched.pidfd = fd_close(process->launched.pidfd);
        process->end = &end;
        list_remove(&process->link);
        list_remove(&process->host_link);
        process->on_end(process->userdata, process);
        process_retire(process);
        return 0;
}

static int process_on_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        struct process *process = userdata;

        if (process->reason == PROCESS_ENDED) {
                process_stop(process, PROCESS_OVERRAN);
        } else {
                process->killed = true;
                process_kill(process, SIGKILL);
        }
        return 0;
}

static void process_arm_timer(struct process *process, usec_t after) {
        usec_t at = clock_monotonic() + after;

        if (after == USEC_INFINITY)
                return;
        if (!process->timer) {
                sd_event_add_time(process->host->event, &process->timer, CLOCK_MONOTONIC, at, 1, process_on_timer,
                                  process);
                return;
        }
        sd_event_source_set_time(process->timer, at);
        sd_event_source_set_enabled(process->timer, SD_EVENT_ONESHOT);
}

static int process_new(struct process_host *host, struct process **ret) {
        struct process *process = calloc(1, sizeof(*process));

        if (!process)
                return err_raise(-ENOMEM);
        list_init(&process->link);
        list_init(&process->host_link);
        process->host = host;
        process->launched.pidfd = -EBADF;
        *ret = process;
        return 0;
}

static int process_take_idle(struct process_host *host, struct process **ret) {
        struct process *process = list_first(&host->idle, struct process, link);

        if (!process)
                return process_new(host, ret);
        list_remove(&process->link);
        host->idle_count--;
        *ret = process;
        return 0;
}

/* The process runs already, so it must not be lost: without a watch it is ended and waited for at once. */
static int process_watch(struct process *process) {
        int r;

        if (process->exit_source) {
                r = sd_event_source_set_io_fd(process->exit_source, process->launched.pidfd);
                if (r >= 0)
                        r = sd_event_source_set_enabled(process->exit_source, SD_EVENT_ON);
        } else {
                r = sd_event_add_io(process->host->event, &process->exit_source, process->launched.pidfd, EPOLLIN,
                                    process_on_exit, process);
        }
        if (r >= 0)
                return 0;
        kill(process->launched.pid, SIGKILL);
        waitid(P_PIDFD, (id_t)process->launched.pidfd, &(siginfo_t){0}, WEXITED);
        launcher_failure(process->host->launcher, &process->launched, &(struct launch_failure){0});
        process->launched.pidfd = fd_close(process->launched.pidfd);
        return err_raise(r);
}

int process_start(struct process_host *host, const struct process_order *order, struct process **ret) {
        struct process *process = NULL;
        int r;

        r = process_take_idle(host, &process);
        if (r < 0)
                return r;
        r = launcher_start(host->launcher, order->request, &process->launched);
        if (r == 0)
                r = process_watch(process);
        if (r < 0) {
                process_retire(process);
                return r;
        }
        list_append(&host->running, &process->host_link);
        process->connection = NULL;
        process->policy = order->policy;
        process->started_at = clock_monotonic();
        process->reason = PROCESS_ENDED;
        process->killed = false;
        process->on_end = order->on_end;
        process->userdata = order->userdata;
        process->end = NULL;
        process_arm_timer(process, order->policy.max_runtime);
        *ret = process;
        return 0;
}

void process_kill(struct process *process, int signal) {
        /* Every program leads a session, so its group has its number; a child that has not got that far yet is asked
         * directly, and ends when it unblocks its signals. */
        if (process->policy.process_only || kill(-process->launched.pid, signal) < 0)
                syscall(SYS_pidfd_send_signal, process->launched.pidfd, signal, NULL, 0);
}

void process_stop(struct process *process, enum process_reason reason) {
        assert(reason != PROCESS_ENDED);
        if (process->reason != PROCESS_ENDED)
                return;
        process->reason = reason;
        process_kill(process, process->policy.stop_signal);
        /* A stopped process would not see it otherwise. */
        if (process->policy.stop_signal != SIGKILL)
                process_kill(process, SIGCONT);
        process_arm_timer(process, process->policy.stop_grace_period);
}

void process_abandon(struct process *process) {
        sd_event_source_set_enabled(process->exit_source, SD_EVENT_OFF);
        fd_close(process->launched.pidfd);
        process_free(process);
}
