#include "handoff/process.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "handoff/datagrams.h"
#include "proc/pidfd.h"
#include "proc/spare.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_PATIENCE 100 /* milliseconds that a killed process may take to end when the broker does */
#define IDLE_MAX 256     /* process objects kept for later; more connections at once allocate */

void process_host_init(struct process_host *host, sd_event *event, struct launcher *launcher, int null_fd) {
        *host = (struct process_host){.event = event, .launcher = launcher, .null_fd = null_fd, .spare_image = -EBADF};
        list_init(&host->idle);
        list_init(&host->running);
        pipes_init(&host->pipes);
        remains_init(&host->remains, event);
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
        /* Spares that nobody wanted any more, on their way to their end: so that init need not wait for them. */
        list_for_each(process, &host->running, host_link) {
                poll(&(struct pollfd){.fd = process->launched.pidfd, .events = POLLIN}, 1, END_PATIENCE);
                waitid(P_PIDFD, (id_t)process->launched.pidfd, &(siginfo_t){0}, WEXITED | WNOHANG);
                process_abandon(process);
        }
        host->spare_image = fd_close(host->spare_image);
        pipes_deinit(&host->pipes);
        host->datagrams = datagrams_free(host->datagrams);
        remains_deinit(&host->remains);
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

/* As the kernel knows of those that are not our children, too. */
static bool process_has_ended(const struct process *process) {
        struct pollfd ended = {.fd = process->launched.pidfd, .events = POLLIN};

        return poll(&ended, 1, 0) > 0;
}

/* How it ended. False: it has not; what we were woken for was the end of the main process it had until now. */
static bool process_ask_end(struct process *process, struct exitinfo *ret) {
        siginfo_t info = {.si_pid = 0};

        *ret = (struct exitinfo){.code = EXITINFO_UNKNOWN};
        if (waitid(P_PIDFD, (id_t)process->launched.pidfd, &info, WEXITED | WNOHANG) < 0)
                return errno == ECHILD && process_has_ended(process);
        if (info.si_pid == 0)
                return false;
        *ret = (struct exitinfo){.code = info.si_code, .status = info.si_status};
        return true;
}

usec_t process_kill_time(const struct process *process) {
        usec_t until;

        if (process->reason == PROCESS_ENDED || process->killed)
                return 0;
        if (!process->timer || sd_event_source_get_enabled(process->timer, NULL) <= 0 ||
            sd_event_source_get_time(process->timer, &until) < 0)
                return USEC_INFINITY;
        return until;
}

/* When those who were told to end with it, or are now, get SIGKILL; USEC_INFINITY: they do not. */
static usec_t process_remains_until(const struct process *process) {
        if (process->policy.process_only)
                return USEC_INFINITY;
        if (process->reason != PROCESS_ENDED)
                return process_kill_time(process);
        return process->policy.ends_group ? usec_add(clock_monotonic(), process->policy.stop_grace_period)
                                          : USEC_INFINITY;
}

static void process_leave_remains(struct process *process) {
        int fds[] = {take_fd(process->launched.pidfd), take_fd(process->group_pidfd)};
        usec_t until = process_remains_until(process);

        for (size_t i = 0; i < LENGTH_OF(fds); i++) {
                if (until == USEC_INFINITY || fds[i] < 0) {
                        fd_close(fds[i]);
                        continue;
                }
                if (process->reason == PROCESS_ENDED && pidfd_signal_group(fds[i], process->policy.stop_signal) == 0)
                        pidfd_signal_group(fds[i], SIGCONT);
                remains_keep(&process->host->remains, fds[i], until);
        }
}

static void unwatch(struct process *process) {
        if (process->exit_source)
                sd_event_source_set_enabled(process->exit_source, SD_EVENT_OFF);
}

static int process_on_exit(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events UNUSED, void *userdata) {
        struct process *process = userdata;
        struct process_end end = {
                .process = process,
                .started_at = process->started_at,
                .ended_at = clock_monotonic(),
                .reason = process->reason,
                .killed = process->killed,
                .connection = process->connection,
        };

        process->on_ending(process->userdata, process);
        if (!process_ask_end(process, &end.exit))
                return 0;
        end.pid = process->launched.pid;
        /* Of an adopted process that was settled when it was adopted. */
        if (process->group_pidfd < 0)
                process_note_failure(process);
        end.launch_failed = process->launch_failed;
        end.failure = process->failure;
        unwatch(process);
        process->spare_link = fd_close(process->spare_link);
        process_leave_remains(process);
        if (process->timer)
                sd_event_source_set_enabled(process->timer, SD_EVENT_OFF);
        process->end = &end;
        list_remove(&process->link);
        list_remove(&process->host_link);
        process->on_end(process->userdata, process);
        process_retire(process);
        return 0;
}

void process_end_unwatched(struct process *process) {
        if (!process->exit_source || sd_event_source_get_enabled(process->exit_source, NULL) <= 0)
                process_on_exit(NULL, process->launched.pidfd, EPOLLIN, process);
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

static void process_arm_timer_at(struct process *process, usec_t at) {
        if (!process->timer) {
                sd_event_add_time(process->host->event, &process->timer, CLOCK_MONOTONIC, at, 1, process_on_timer,
                                  process);
                return;
        }
        sd_event_source_set_time(process->timer, at);
        sd_event_source_set_enabled(process->timer, SD_EVENT_ONESHOT);
}

static void process_arm_timer(struct process *process, usec_t after) {
        if (after != USEC_INFINITY)
                process_arm_timer_at(process, usec_add(clock_monotonic(), after));
        else if (process->timer)
                sd_event_source_set_enabled(process->timer, SD_EVENT_OFF);
}

static int process_new(struct process_host *host, struct process **ret) {
        struct process *process = calloc(1, sizeof(*process));

        if (!process)
                return err_raise(-ENOMEM);
        list_init(&process->link);
        list_init(&process->host_link);
        process->host = host;
        process->launched.pidfd = -EBADF;
        process->group_pidfd = -EBADF;
        process->spare_link = -EBADF;
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
        return r < 0 ? err_raise(r) : 0;
}

int process_start(struct process_host *host, const struct process_order *order, struct process **ret) {
        struct process *process = NULL;
        int r;

        r = process_take_idle(host, &process);
        if (r < 0)
                return r;
        r = launcher_start(host->launcher, order->request, &process->launched);
        if (r < 0) {
                process_retire(process);
                return r;
        }
        list_append(&host->running, &process->host_link);
        process->group = process->launched.pid;
        process->group_pidfd = -EBADF;
        process->spare_link = -EBADF;
        process->reason = PROCESS_ENDED;
        process->killed = false;
        process->end = NULL;
        process->launch_failed = false;
        process_assign(process, order, NULL);
        /* It runs, and may have read of its connection: where memory or epoll watches are short its end is found by
         * process_end_unwatched(). */
        process->watch_error = process_watch(process);
        *ret = process;
        return 0;
}

void process_assign(struct process *process, const struct process_order *order, struct connection *connection) {
        process->connection = connection;
        process->policy = order->policy;
        process->started_at = clock_monotonic();
        process->on_ending = order->on_ending;
        process->on_end = order->on_end;
        process->userdata = order->userdata;
        process_arm_timer(process, order->policy.max_runtime);
}

int process_restore(struct process_host *host, const struct process *like, usec_t timer_at, struct process **ret) {
        struct process *process = NULL;
        struct process own;
        int r;

        r = process_take_idle(host, &process);
        if (r < 0)
                return r;
        own = *process;
        *process = *like;
        process->host = host;
        process->exit_source = own.exit_source;
        process->timer = own.timer;
        process->end = NULL;
        /* It is in no list. */
        list_init(&process->link);
        list_init(&process->host_link);
        launcher_disown(&process->launched);
        r = process_watch(process);
        if (r < 0) {
                process->launched.pidfd = process->group_pidfd = process->spare_link = -EBADF;
                process_retire(process);
                return r;
        }
        list_append(&host->running, &process->host_link);
        if (timer_at != USEC_INFINITY)
                process_arm_timer_at(process, timer_at);
        *ret = process;
        return 0;
}

void process_note_failure(struct process *process) {
        if (!process->launch_failed)
                process->launch_failed =
                        launcher_failure(process->host->launcher, &process->launched, &process->failure);
        if (!process->launch_failed && process->spare_link >= 0)
                process->launch_failed = spare_failure(process->spare_link, &process->failure);
}

/* Its main process has changed: that one, with the group it leads, and the group of the one we started. A number is
 * used only where it is known whose it is: the main process was not waited for, so its own is its own. */
static void process_kill_adopted(struct process *process, int signal) {
        pid_t main = process->launched.pid, group = getpgid(main);

        if (pidfd_signal_group(process->group_pidfd, signal) == -EINVAL && group == process->group &&
            pidfd_signal(process->launched.pidfd, 0) == 0)
                kill(-group, signal);
        if (group == process->group)
                return;
        if (group == main && pidfd_signal_group(process->launched.pidfd, signal) == 0)
                return;
        pidfd_signal(process->launched.pidfd, signal);
}

void process_kill(struct process *process, int signal) {
        if (process->group_pidfd >= 0 && !process->policy.process_only) {
                process_kill_adopted(process, signal);
                return;
        }
        /* Every program leads a session, so its group has its number; a child that has not got that far yet is asked
         * directly, and ends when it unblocks its signals. */
        if (process->policy.process_only || kill(-process->launched.pid, signal) < 0)
                pidfd_signal(process->launched.pidfd, signal);
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

bool process_goes_on(const struct process *process) {
        return process->reason == PROCESS_ENDED && !process_has_ended(process);
}

int process_adopt_main(struct process *process, pid_t pid, int own_pidfd) {
        AUTO(fd_closep) int pidfd = own_pidfd;
        int old = process->launched.pidfd, r;

        if (pid == process->launched.pid)
                return 0;
        r = sd_event_source_set_io_fd(process->exit_source, pidfd);
        if (r < 0)
                return err_raise(r);
        if (process->group_pidfd < 0) {
                /* A program that says so was executed: the answer is no, and its slot is free from now on. */
                launcher_failure(process->host->launcher, &process->launched, &(struct launch_failure){0});
                process->group_pidfd = old;
        } else {
                fd_close(old);
        }
        process->launched.pid = pid;
        process->launched.pidfd = take_fd(pidfd);
        return 0;
}

struct kinship_family process_family(const struct process *process) {
        struct kinship_family family = {
                .main = process->launched.pid,
                .main_pidfd = process->launched.pidfd,
                .sessions = {process->group},
        };
        pid_t session;

        if (process->group_pidfd < 0)
                return family;
        session = getsid(process->launched.pid);
        /* The session of a process that nobody has waited for yet. That of the one we started may be none any more, and
         * its number somebody else's, unless its group has members. */
        family.sessions[0] = session > 0 ? session : 0;
        if (session != process->group && pidfd_signal_group(process->group_pidfd, 0) == 0)
                family.sessions[1] = process->group;
        return family;
}

void process_extend_timeout(struct process *process, usec_t after) {
        usec_t now = clock_monotonic(), at, due;

        if (!process->timer || sd_event_source_get_enabled(process->timer, NULL) <= 0 ||
            sd_event_source_get_time(process->timer, &due) < 0)
                return;
        at = after > USEC_INFINITY - 1 - now ? USEC_INFINITY - 1 : now + after;
        if (at > due)
                sd_event_source_set_time(process->timer, at);
}

void process_abandon(struct process *process) {
        unwatch(process);
        fd_close(process->launched.pidfd);
        fd_close(process->group_pidfd);
        fd_close(process->spare_link);
        process_free(process);
}
