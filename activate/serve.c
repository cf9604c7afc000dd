/* One process per connection, until told to stop. System calls per connection, beside those of the child: ppoll,
 * accept4, getsockname and getsockopt (for the environment), clone, close twice (connection, pidfd); and when it ends
 * ppoll, read (signalfd), waitid. Ends are told by SIGCHLD rather than by the pidfd: many that end together cost one
 * wake-up, no descriptor is held meanwhile, and what is orphaned to us as the first process of a container is reaped by
 * the same call.
 *
 * An accepted connection is never dropped for a shortage: it is held until there can be a process for it. */
#include "activate/serve.h"

#include "activate/children.h"
#include "activate/makeplan.h"
#include "activate/poller.h"
#include "activate/progenv.h"
#include "activate/program.h"
#include "activate/record.h"
#include "activate/say.h"
#include "activate/shortage.h"
#include "activate/sockets.h"
#include "activate/spares.h"
#include "activate/workers.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/notify.h"
#include "config.h"
#include "net/connenv.h"
#include "proc/spare.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum serve_state {
        SERVE_ACCEPTING,
        SERVE_DRAINING, /* no more listeners; connections are served to their end */
        SERVE_KILLING,  /* told so twice: the processes have been killed */
};

struct serve {
        const struct options *options;
        enum serve_state state;
        bool is_init;    /* the first process: orphans are ours too */
        int exit_status; /* what it has come to so far */
        size_t broken;   /* listeners that cannot be accepted from any more */
        struct sockets sockets;
        struct poller poller;
        struct program program;
        struct launch_plan plan;
        struct launcher *launcher;
        struct children children;
        struct workers workers; /* of --pass */
        struct spares spares;
        struct connection held; /* accepted, but there is no process yet; fd -EBADF: none */
        struct shortage shortage;
        struct record record;
};

static void serve_deinit(struct serve *serve) {
        connection_close(&serve->held);
        spares_deinit(&serve->spares);
        launcher_free(serve->launcher); /* waits until no child reads the plan */
        children_deinit(&serve->children);
        workers_deinit(&serve->workers);
        plan_deinit(&serve->plan);
        program_deinit(&serve->program);
        poller_deinit(&serve->poller);
        sockets_close(&serve->sockets);
}

static int serve_init(struct serve *serve) {
        sigset_t signals;
        int r;

        signals_block(true, &signals);
        r = sockets_open(serve->options, &serve->sockets);
        if (r == 0)
                r = program_init(serve->options, &(struct progenv_fds){.count = 1}, &serve->program);
        if (r != 0)
                return r;
        /* It may be mounted or installed later. */
        if (!serve->program.path)
                program_say_failure(&serve->program, program_find(&serve->program));
        r = makeplan(serve->options, &serve->program, &serve->plan);
        if (r == 0)
                r = launcher_new(SANITIZED ? LAUNCH_VFORK : LAUNCH_BESIDE, &serve->launcher);
        if (r == 0)
                r = poller_init(&serve->poller, &serve->sockets, &signals);
        if (r == 0 && serve->options->workers > 0)
                r = workers_init(&serve->workers, serve->options->workers);
        if (r == 0)
                r = fd_cloexec_from(STDERR_FILENO + 1);
        if (r == 0)
                return 0;
        say_error("cannot start: %s", err_text(r));
        return EXIT_FAILURE;
}

/* Nobody is refused because there are none. */
static void serve_init_spares(struct serve *serve) {
        int r = spares_init(&serve->spares, serve->options->spare, &serve->plan, serve->launcher);

        serve->spares.stdio = serve->options->stdio;
        if (r < 0)
                say_error("--spare: %s; going on without", spare_error_text(r));
}

/* One that serves the connection, or a worker. Returns 0, or a negative errno when there is no process. */
static int serve_launch(struct serve *serve, struct child *ret) {
        struct connection *connection = &serve->held;
        bool is_worker = serve->options->workers > 0;
        const struct launch_fd stdio[] = {{connection->fd, 0}, {connection->fd, 1}};
        const struct launch_fd fds[] = {{is_worker ? serve->workers.queue.read_fd : connection->fd, INHERIT_FIRST_FD}};
        struct launch_request request = {.plan = &serve->plan};
        struct connenv env;
        struct spare spare;
        int r;

        if (!serve->plan.path) {
                /* No child has read the plan yet. */
                r = program_find(&serve->program);
                if (r < 0)
                        return r;
                serve->plan.path = take_ptr(serve->program.path);
        }
        if (progenv_has_connection(serve->options) && !is_worker) {
                r = connenv_fill(connection, &env);
                if (r < 0)
                        return r;
                request.env = env.items;
                request.env_count = env.count;
        }
        request.remote_addr = request.remote_port = "";
        if (spares_give(&serve->spares, &request, connection->fd, &spare)) {
                ret->launched = spare.launched;
                ret->spare_link = spare.link;
                return 0;
        }
        request.fds = serve->options->stdio ? stdio : fds;
        request.fd_count = serve->options->stdio ? LENGTH_OF(stdio) : LENGTH_OF(fds);
        return launcher_start(serve->launcher, &request, &ret->launched);
}

/* What counts as one source: an address, or the IPv6 network that one customer has. */
static void serve_find_source(const struct serve *serve, struct prefix *ret) {
        connection_source(&serve->held, ret);
        if (ret->family == AF_INET6)
                prefix_mask(ret, 64);
}

/* Whether one more worker is wanted: while there is nothing more to come, only for those who wait. */
static bool serve_lacks_workers(struct serve *serve) {
        if (serve->state == SERVE_DRAINING)
                return serve->children.count == 0 && workers_waiting(&serve->workers) > 0;
        return serve->state == SERVE_ACCEPTING && workers_are_short(&serve->workers, &serve->children);
}

static void serve_keep_workers(struct serve *serve) {
        int r = 0;

        while (r == 0 && serve_lacks_workers(serve) && clock_monotonic() >= serve->workers.restart_at) {
                struct child child = {.started_at = clock_monotonic(), .spare_link = -EBADF};

                r = children_reserve(&serve->children);
                if (r == 0)
                        r = serve_launch(serve, &child);
                if (r < 0) {
                        if (shortage_is(r))
                                shortage_begin(&serve->shortage, r);
                        else
                                record_failure(&serve->record, r);
                        workers_note_end(&serve->workers, child.started_at);
                        return;
                }
                child.launched.pidfd = fd_close(child.launched.pidfd);
                children_add(&serve->children, &child);
                if (serve->options->verbose)
                        say_note("worker: pid %d", child.launched.pid);
        }
}

/* Not in the name of systemd-socket-activate, which does not. */
static void serve_report(const struct serve *serve, const char *text) {
        AUTO(buf_deinit) struct buf message = BUF_NULL;
        int r;

        buf_add_string(&message, text);
        r = serve->options->systemd ? 0 : notify_send(&message);
        if (r < 0)
                say_error("the supervisor (NOTIFY_SOCKET) cannot be told: %s", err_text(r));
}

static void serve_stop(struct serve *serve) {
        serve_report(serve, "STOPPING=1");
        serve->state = SERVE_DRAINING;
        poller_drop_claim(&serve->poller);
        sockets_close(&serve->sockets);
        spares_deinit(&serve->spares);
        if (serve->options->workers > 0)
                passqueue_end(&serve->workers.queue);
}

/* Nobody can take anything out of the old one any more: a worker has shut it down, or there was to be nothing more in
 * it. Those who have it end. */
static int serve_replace_queue(struct serve *serve) {
        int r = workers_replace_queue(&serve->workers);

        if (r < 0) {
                shortage_begin(&serve->shortage, shortage_is(r) ? r : -ENOMEM);
                return r;
        }
        if (serve->state != SERVE_ACCEPTING)
                return 0;
        if (record_may_say(&serve->record))
                say_error("a worker has shut the queue down; all of them are replaced");
        children_tell(&serve->children);
        return 0;
}

/* Puts the connection that is held into the queue, or goes on holding it. */
static void serve_pass(struct serve *serve) {
        char peer[CONNECTION_PEER_MAX];
        int r = workers_put(&serve->workers, &serve->held);

        if (r == -EPIPE) {
                r = serve_replace_queue(serve);
                if (r == 0)
                        r = workers_put(&serve->workers, &serve->held);
                if (r == 0 && serve->state != SERVE_ACCEPTING)
                        passqueue_end(&serve->workers.queue);
        }
        if (r < 0) {
                shortage_begin(&serve->shortage, shortage_is(r) ? r : -ENOMEM);
                return;
        }
        shortage_end(&serve->shortage);
        if (!serve->options->verbose)
                return;
        connection_format_peer(&serve->held, peer);
        say_note("connection from %s", peer);
}

/* Starts a process for the connection that is held, or goes on holding it. */
static void serve_start(struct serve *serve) {
        struct child child = {.spare_link = -EBADF};
        int r;

        if (serve->options->workers > 0) {
                serve_pass(serve);
                return;
        }
        r = children_reserve(&serve->children);
        if (r == 0)
                r = serve_launch(serve, &child);
        if (shortage_is(r)) {
                shortage_begin(&serve->shortage, r);
                return;
        }
        if (r == 0) {
                child.launched.pidfd = fd_close(child.launched.pidfd);
                serve_find_source(serve, &child.source);
                children_add(&serve->children, &child);
                shortage_end(&serve->shortage);
                if (serve->options->verbose)
                        record_start(&serve->record, &serve->held, child.launched.pid);
        } else {
                record_failure(&serve->record, r);
        }
        connection_close(&serve->held);
}

static bool serve_is_refused(struct serve *serve) {
        struct prefix source;

        if (serve->options->per_source == 0)
                return false;
        serve_find_source(serve, &source);
        return children_count_source(&serve->children, &source) >= serve->options->per_source;
}

/* One that is broken is watched no longer; without any other there is nothing left to do. */
static void serve_drop_listener(struct serve *serve, int at, int error) {
        AUTO(buf_deinit) struct buf name = BUF_NULL;

        socket_format(&serve->sockets.items[at], &name);
        say_error("cannot accept connections on %s any more: %s", buf_text(&name), err_text(error));
        poller_drop(&serve->poller, (size_t)at);
        serve->exit_status = EXIT_FAILURE;
        if (++serve->broken == serve->sockets.count)
                serve_stop(serve);
}

static void serve_on_traffic(struct serve *serve, int at) {
        int r;

        if (serve->options->systemd && serve->options->verbose)
                say_note("Communication attempt on fd %d.", sockets_target((size_t)at));
        serve->held.local_known = false;
        serve->held.protocol = serve->sockets.items[at].addr.protocol;
        r = connection_accept(serve->sockets.items[at].fd, &serve->held);
        if (r < 0)
                serve_drop_listener(serve, at, r);
        else if (r == ACCEPT_EXHAUSTED)
                shortage_begin(&serve->shortage, -errno);
        else if (r == ACCEPT_OK && serve_is_refused(serve))
                connection_close(&serve->held);
        else if (r == ACCEPT_OK)
                serve_start(serve);
}

/* IS_FIRST: of those that end together. */
static void serve_on_worker_end(struct serve *serve, const siginfo_t *info, bool is_first) {
        bool is_well = serve->workers.delay == 0 && info->si_code == CLD_EXITED && info->si_status == 0;
        bool is_wanted = serve->state == SERVE_ACCEPTING;

        record_worker_end(&serve->record, info, is_wanted && is_first && !is_well);
        if (is_wanted && passqueue_is_shut(&serve->workers.queue))
                serve_replace_queue(serve);
}

static void serve_on_exit(struct serve *serve, const siginfo_t *info) {
        struct launch_failure failure;
        struct child child;
        bool failed, is_first;

        if (spares_remove(&serve->spares, info->si_pid))
                return;
        /* Somebody else's orphan. */
        if (!children_remove(&serve->children, info->si_pid, &child))
                return;
        shortage_retry(&serve->shortage);
        is_first = serve->options->workers > 0 && !child.is_told && workers_note_end(&serve->workers, child.started_at);
        failed = launcher_failure(serve->launcher, &child.launched, &failure) ||
                 (child.spare_link >= 0 && spare_failure(child.spare_link, &failure));
        fd_close(child.spare_link);
        if (failed)
                record_launch_failure(&serve->record, &failure);
        else if (serve->options->workers > 0)
                serve_on_worker_end(serve, info, is_first);
        else
                record_end(&serve->record, info);
        if (serve->options->verbose && serve->options->systemd)
                say_note("Child %d died with code %d", info->si_pid, info->si_status);
}

static void serve_reap(struct serve *serve) {
        for (;;) {
                siginfo_t info = {0};

                /* Without children of ours there is nobody to ask for, but for what is orphaned to init. */
                if (serve->children.count + serve->spares.count == 0 && !serve->is_init)
                        return;
                if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
                        return;
                serve_on_exit(serve, &info);
        }
}

static void serve_on_stop(struct serve *serve) {
        bool groups = serve->plan.new_session;

        switch (serve->state) {
        case SERVE_ACCEPTING:
                serve_stop(serve);
                if (serve->options->verbose && !serve->options->systemd)
                        say_note("stopping: %zu to wait for", serve->children.count);
                if (!groups)
                        children_signal(&serve->children, SIGTERM, false);
                break;
        case SERVE_DRAINING:
        case SERVE_KILLING:
                serve->state = SERVE_KILLING;
                serve->exit_status = EXIT_FAILURE;
                connection_close(&serve->held);
                children_signal(&serve->children, SIGKILL, groups);
                break;
        }
}

static void serve_on_signals(struct serve *serve) {
        int signals[SIGNALS_MAX];
        size_t count = poller_signals(&serve->poller, signals);

        for (size_t i = 0; i < count; i++)
                if (signals[i] == SIGCHLD)
                        serve_reap(serve);
                else
                        serve_on_stop(serve);
}

static bool serve_may_accept(struct serve *serve) {
        if (serve->options->workers > 0 && serve->state == SERVE_ACCEPTING) {
                bool has_room = workers_have_room(&serve->workers, &serve->children);

                poller_wait_for_room(&serve->poller, has_room ? -EBADF : serve->workers.room_fd);
                return has_room && serve->held.fd < 0;
        }
        return serve->state == SERVE_ACCEPTING && serve->held.fd < 0 &&
               (serve->options->instances == 0 || serve->children.count < serve->options->instances);
}

/* Starts those that are missing, and says how long until the next one may be started. */
static usec_t serve_workers_timeout(struct serve *serve) {
        usec_t now;

        serve_keep_workers(serve);
        now = clock_monotonic();
        if (!serve_lacks_workers(serve))
                return USEC_INFINITY;
        return serve->workers.restart_at > now ? serve->workers.restart_at - now : 0;
}

/* Whether somebody still waits to be served, or is. */
static bool serve_goes_on(struct serve *serve) {
        return serve->state == SERVE_ACCEPTING || serve->children.count > 0 || serve->held.fd >= 0 ||
               (serve->options->workers > 0 && serve->state == SERVE_DRAINING && workers_waiting(&serve->workers) > 0);
}

/* How long until one is to be made. */
static usec_t serve_spares_timeout(const struct serve *serve) {
        usec_t now = clock_monotonic();

        if (serve->spares.due == USEC_INFINITY)
                return USEC_INFINITY;
        return serve->spares.due > now ? serve->spares.due - now : 0;
}

/* One round: a connection for each socket that has one, so that none waits for another. */
static int serve_once(struct serve *serve) {
        usec_t timeout = USEC_INFINITY;
        bool waiting = false;
        int at, r;

        if (serve->shortage.resume_at != 0) {
                usec_t now = clock_monotonic();

                waiting = shortage_is_waiting(&serve->shortage, now);
                timeout = waiting ? serve->shortage.resume_at - now : 0;
        }
        if (serve->options->workers > 0)
                timeout = MIN_OF(timeout, serve_workers_timeout(serve));
        if (spares_fill(&serve->spares))
                children_settle(&serve->children);
        timeout = MIN_OF(timeout, serve_spares_timeout(serve));
        r = poller_wait(&serve->poller, !waiting && serve_may_accept(serve), timeout);
        if (r < 0)
                return r;
        if (serve->options->workers > 0 && workers_clear_room(&serve->workers) && serve->state == SERVE_ACCEPTING)
                serve_replace_queue(serve);
        serve_on_signals(serve);
        if (poller_claim_is_over(&serve->poller)) {
                say_error("--claim=%s: the broker has ended the claim", serve->options->claim);
                serve->exit_status = EXIT_FAILURE;
                serve_stop(serve);
        }
        if (serve->held.fd >= 0 && !shortage_is_waiting(&serve->shortage, clock_monotonic()))
                serve_start(serve);
        while (serve_may_accept(serve) && serve->shortage.resume_at == 0 && (at = poller_next(&serve->poller)) >= 0)
                serve_on_traffic(serve, at);
        return 0;
}

int serve(const struct options *options) {
        AUTO(serve_deinit)
        struct serve serve = {
                .options = options,
                .record = {.options = options, .program = &serve.program},
                .is_init = getpid() == 1,
                .poller = POLLER_NULL,
                .spares = SPARES_NULL,
                .plan = PLAN_NULL,
                .held = {.fd = -EBADF},
                .workers = WORKERS_NULL,
        };
        int r;

        r = serve_init(&serve);
        if (r != 0)
                return r;
        serve_init_spares(&serve);
        serve_report(&serve, "READY=1");
        while (serve_goes_on(&serve)) {
                r = serve_once(&serve);
                if (r < 0) {
                        say_error("cannot wait for traffic: %s", err_text(r));
                        return EXIT_FAILURE;
                }
        }
        return serve.exit_status;
}
