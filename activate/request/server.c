#include "activate/request/server.h"

#include "activate/makeplan.h"
#include "activate/request/figures.h"
#include "activate/say.h"
#include "activate/signals.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/notify.h"
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

/* What broker.yaml(5) has as defaults. */
#define STOP_GRACE_PERIOD (10 * USEC_PER_SEC)
#define RESTART_DELAY (100 * USEC_PER_MSEC)
#define RESTART_DELAY_MAX (30 * USEC_PER_SEC)
#define SHRINK_AFTER (10 * USEC_PER_SEC)
#define LONG_LIFE USEC_PER_SEC /* who ends before that, with whatever status, is of no use */

static void run_soon(struct server *server) {
        sd_event_source_set_enabled(server->turn, SD_EVENT_ONESHOT);
}

static void server_deinit(struct server *server) {
        intake_deinit(&server->intake);
        if (server->handoff && handoff_is_busy(server->handoff))
                handoff_abandon(server->handoff);
        server->handoff = handoff_close(server->handoff);
        process_host_deinit(&server->host);
        launcher_free(server->launcher); /* waits until no child reads the plan */
        for (size_t i = 0; i < server->signal_count; i++)
                sd_event_source_disable_unref(server->signals[i]);
        sd_event_source_disable_unref(server->claim);
        sd_event_source_disable_unref(server->turn);
        sd_event_unref(server->event);
        plan_deinit(&server->plan);
        program_deinit(&server->program);
        sockets_close(&server->sockets);
        fd_close(server->null_fd);
}

/* Workers that fail do so as often as clients like: it is not said each time. */
static bool may_say_failure(struct server *server) {
        static const struct rate_limit limit = {.burst = 5, .interval = 10 * USEC_PER_SEC};

        return rate_take(&server->failures, &limit, clock_monotonic());
}

static void on_started(void *userdata, struct handoff *handoff UNUSED, const struct process *process) {
        struct server *server = userdata;

        server->spawns++;
        intake_retry(&server->intake);
        if (server->options->verbose)
                say_note("worker: pid %d", process->launched.pid);
}

static void on_ending(void *userdata UNUSED, struct handoff *handoff UNUSED) {
}

static void say_launch_failure(struct server *server, const struct launch_failure *failure) {
        if (failure->stage == CHILD_STAGE_DEATH_SIGNAL || !may_say_failure(server))
                return;
        if (failure->stage == CHILD_STAGE_EXEC)
                program_say_failure(&server->program, -failure->error);
        else
                say_error("cannot start '%s': %s: %s", server->options->command[0], child_stage_names[failure->stage],
                          err_text(failure->error));
}

/* Whether somebody should know of it, who nobody has told to end. */
static bool has_failed(const struct server *server, const struct process_end *end) {
        return end->reason == PROCESS_ENDED && server->state == SERVER_ACCEPTING &&
               (!exitinfo_is_success(&end->exit) || end->ended_at - end->started_at < LONG_LIFE);
}

static void say_end(struct server *server, const struct process_end *end) {
        static const char *const reasons[PROCESS_REASON_N] = {
                [PROCESS_BUSY] = "has not answered in time (--busy-timeout), and is replaced",
                [PROCESS_CHATTY] = "has said more than was asked for, and is replaced",
                [PROCESS_MUTE] = "has closed its stdout, and is replaced",
        };

        const char *how = end->exit.code == CLD_EXITED ? "status" : "signal";

        if (end->launch_failed)
                say_launch_failure(server, &end->failure);
        else if (reasons[end->reason] && may_say_failure(server))
                say_error("worker %d %s", end->pid, reasons[end->reason]);
        else if (has_failed(server, end) && may_say_failure(server))
                say_error("worker %d has ended (%s %d), and is replaced", end->pid, how, end->exit.status);
        if (server->options->verbose && !end->launch_failed)
                say_note("pid %d ended: %s %d", end->pid, how, end->exit.status);
}

static void on_ended(void *userdata, struct handoff *handoff UNUSED, const struct process_end *end) {
        struct server *server = userdata;

        say_end(server, end);
        server->must_reap = true;
        intake_retry(&server->intake);
        run_soon(server);
}

static void on_finished(void *userdata, struct handoff *handoff UNUSED, struct connection *own_connection,
                        const struct handoff_finish *finish UNUSED) {
        struct server *server = userdata;

        intake_release(&server->intake, own_connection);
        if (server->state != SERVER_ACCEPTING)
                run_soon(server);
}

static void on_answered(void *userdata, struct handoff *handoff UNUSED, const struct handoff_answered *answered) {
        struct server *server = userdata;

        answers_add(&server->answers, answered);
}

/* The program may be mounted or installed later. */
static int on_prepare(void *userdata, struct handoff *handoff UNUSED, bool again UNUSED) {
        struct server *server = userdata;
        int r;

        run_soon(server);
        if (server->plan.path)
                return 0;
        r = program_find(&server->program);
        if (r < 0) {
                if (may_say_failure(server))
                        program_say_failure(&server->program, r);
                return r;
        }
        /* No child has read the plan yet. */
        server->plan.path = take_ptr(server->program.path);
        return 0;
}

static const struct handoff_events server_events = {
        .started = on_started,
        .ending = on_ending,
        .ended = on_ended,
        .finished = on_finished,
        .answered = on_answered,
        .prepare = on_prepare,
};

static void server_report(const char *text) {
        AUTO(buf_deinit) struct buf message = BUF_NULL;
        int r;

        buf_add_string(&message, text);
        r = notify_send(&message);
        if (r < 0)
                say_error("the supervisor (NOTIFY_SOCKET) cannot be told: %s", err_text(r));
}

static void server_stop(struct server *server) {
        server_report("STOPPING=1");
        server->state = SERVER_DRAINING;
        server->claim = sd_event_source_disable_unref(server->claim);
        intake_end(&server->intake);
        sockets_close(&server->sockets);
        if (server->options->verbose)
                say_note("stopping: %zu to wait for", server->intake.count);
        run_soon(server);
}

static void server_retire(struct server *server) {
        if (server->is_retired)
                return;
        server->is_retired = true;
        handoff_retire(server->handoff, HANDOFF_LEAVES);
}

/* Whatever is started or told to end from now on is killed at once; those that were told before are so here. */
static void server_kill(struct server *server) {
        struct process_policy policy = server->handoff->setup.policy;
        struct process *process;

        server->state = SERVER_KILLING;
        server->exit_status = EXIT_FAILURE;
        intake_drop_held(&server->intake);
        policy.stop_signal = SIGKILL;
        handoff_set_policy(server->handoff, &policy);
        server_retire(server);
        handoff_stop(server->handoff);
        list_for_each(process, &server->handoff->processes, link)
                process_kill(process, SIGKILL);
        run_soon(server);
}

/* As init we get orphans, whom nobody else waits for. Our own are waited for by their pidfds, but for one that
 * could not be watched. */
static void server_reap(struct server *server) {
        server->must_reap = false;
        for (;;) {
                siginfo_t info = {0};
                struct process *process;

                if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
                        break;
                process = process_host_find(&server->host, info.si_pid);
                if (process)
                        process_end_unwatched(process);
                else
                        waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
                /* Its pidfd is about to tell, and hides who is behind it: on_ended() has us look again. */
                if (process && process_host_find(&server->host, info.si_pid))
                        return;
        }
        remains_sweep(&server->host.remains);
}

/* Who is in waits for workers that cannot be started, and no connection has to come to find that out. */
static void say_shortage(struct server *server) {
        struct handoff_tally tally = {0};

        server->handoff->ops->tally(server->handoff, &tally);
        if (shortage_is(tally.error))
                shortage_say(&server->intake.shortage, tally.error);
}

static int on_turn(sd_event_source *source UNUSED, void *userdata) {
        struct server *server = userdata;

        if (server->must_reap)
                server_reap(server);
        if (server->state == SERVER_ACCEPTING && intake_is_broken(&server->intake)) {
                server->exit_status = EXIT_FAILURE;
                server_stop(server);
        }
        intake_run(&server->intake);
        say_shortage(server);
        if (server->state == SERVER_DRAINING && !server->intake.held)
                server_retire(server);
        if (server->is_retired && !handoff_is_busy(server->handoff))
                sd_event_exit(server->event, 0);
        return 0;
}

static int on_signal(sd_event_source *source UNUSED, const struct signalfd_siginfo *info, void *userdata) {
        struct server *server = userdata;

        switch (info->ssi_signo) {
        case SIGCHLD:
                server->must_reap = true;
                run_soon(server);
                break;
        case SIGUSR1:
                figures_say(server);
                break;
        case SIGUSR2:
                figures_say_workers(server);
                break;
        default:
                if (server->state == SERVER_ACCEPTING)
                        server_stop(server);
                else
                        server_kill(server);
                break;
        }
        return 0;
}

static int on_claim(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events UNUSED, void *userdata) {
        struct server *server = userdata;

        say_error("--claim=%s: the broker has ended the claim", server->options->claim);
        server->exit_status = EXIT_FAILURE;
        server_stop(server);
        return 0;
}

/* All of one priority, and for good: see broker/core/orphans.c for what becomes of sd-event's signalfd otherwise. */
static int watch_signals(struct server *server, const sigset_t *watched) {
        for (int sig = 1; sig < _NSIG; sig++) {
                sd_event_source **source = &server->signals[server->signal_count];
                int r;

                if (sigismember(watched, sig) <= 0)
                        continue;
                r = sd_event_add_signal(server->event, source, sig, on_signal, server);
                if (r < 0)
                        return err_raise(r);
                server->signal_count++;
                r = sd_event_source_set_priority(*source, SD_EVENT_PRIORITY_IMPORTANT);
                if (r < 0)
                        return err_raise(r);
        }
        return 0;
}

static int watch(struct server *server, const sigset_t *watched) {
        const struct intake_setup setup = {
                .event = server->event,
                .turn = server->turn,
                .options = server->options,
                .sockets = &server->sockets,
                .handoff = server->handoff,
        };
        int r = watch_signals(server, watched);

        /* Only the end of a claim is of interest, which nobody has to ask for. */
        if (r >= 0 && server->sockets.claim)
                r = sd_event_add_io(server->event, &server->claim, broker_claim_fd(server->sockets.claim), 0, on_claim,
                                    server);
        return r < 0 ? r : intake_init(&server->intake, &setup);
}

static struct framing frame(const char *end) {
        return (struct framing){.end = end, .end_size = strlen(end)};
}

static int open_handoff(struct server *server) {
        const struct requestoptions *options = &server->options->request;
        const struct handoff_setup setup = {
                .host = &server->host,
                .plan = &server->plan,
                .policy =
                        {
                                .stop_signal = SIGTERM,
                                .stop_grace_period = STOP_GRACE_PERIOD,
                                .max_runtime = USEC_INFINITY,
                        },
                .stdio = true,
                .stdout_fd = HANDOFF_FD_SOCKET,
                .stderr_fd = HANDOFF_FD_INHERIT,
                .pool = &server->pool,
                .request = &server->request,
                .events = &server_events,
                .userdata = server,
        };

        server->pool = (struct handoff_pool){
                .workers =
                        {
                                .min = server->options->workers,
                                .max = server->options->workers,
                                .max_age = USEC_INFINITY,
                                .shrink_after = SHRINK_AFTER,
                                .restart_delay = RESTART_DELAY,
                                .restart_delay_max = RESTART_DELAY_MAX,
                        },
                .queue_max = SIZE_MAX,
        };
        server->request = (struct handoff_request){
                .end = frame(options->end),
                .reply_end = frame(options->reply_end),
                .max_size = options->max_size,
                .queue = (size_t)options->queue,
                .keep_alive = options->keep_alive,
                .busy_timeout = options->busy_timeout,
                .connection_timeout = USEC_INFINITY,
                .error = options->error,
        };
        return handoff_open(HANDOFF_TYPE_REQUEST, &setup, &server->handoff);
}

static int open_loop(struct server *server) {
        int r = launcher_new(SANITIZED ? LAUNCH_VFORK : LAUNCH_BESIDE, &server->launcher);

        if (r < 0)
                return r;
        server->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (server->null_fd < 0)
                return err_raise(-errno);
        r = sd_event_new(&server->event);
        if (r < 0)
                return err_raise(r);
        process_host_init(&server->host, server->event, server->launcher, server->null_fd);
        r = sd_event_add_defer(server->event, &server->turn, on_turn, server);
        return r < 0 ? err_raise(r) : 0;
}

static void block_signals(sigset_t *ret) {
        signals_block(true, ret);
        sigaddset(ret, SIGUSR1);
        sigaddset(ret, SIGUSR2);
        sigprocmask(SIG_BLOCK, ret, NULL);
}

static int server_init(struct server *server) {
        sigset_t watched;
        int r;

        block_signals(&watched);
        r = sockets_open(server->options, &server->sockets);
        if (r == 0)
                r = program_init(server->options, &(struct progenv_fds){.count = 0}, &server->program);
        if (r != 0)
                return r;
        r = makeplan(server->options, &server->program, &server->plan);
        if (r == 0)
                r = fd_cloexec_from(STDERR_FILENO + 1);
        if (r == 0)
                r = open_loop(server);
        if (r == 0)
                r = open_handoff(server);
        if (r == 0)
                r = watch(server, &watched);
        if (r == 0)
                return 0;
        say_error("cannot start: %s", err_text(r));
        return EXIT_FAILURE;
}

int server_run(const struct options *options) {
        AUTO(server_deinit)
        struct server server = {
                .options = options,
                .null_fd = -EBADF,
                .sockets = SOCKETS_NULL,
                .program = PROGRAM_NULL,
                .plan = PLAN_NULL,
        };
        int r;

        r = server_init(&server);
        if (r != 0)
                return r;
        handoff_boot(server.handoff);
        server_report("READY=1");
        r = sd_event_loop(server.event);
        if (r < 0) {
                say_error("cannot wait for traffic: %s", err_text(r));
                return EXIT_FAILURE;
        }
        return server.exit_status;
}
