#include "activate/run.h"

#include "activate/poller.h"
#include "activate/progenv.h"
#include "activate/program.h"
#include "activate/say.h"
#include "activate/shortage.h"
#include "activate/sockets.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/connection.h"
#include "net/connenv.h"

#include <errno.h>

struct run {
        const struct options *options;
        struct sockets sockets;
        struct poller poller;
        struct program program;
};

static void run_deinit(struct run *run) {
        program_deinit(&run->program);
        poller_deinit(&run->poller);
        sockets_close(&run->sockets);
}

/* FD_COUNT is how many descriptors the program gets; 0: all sockets. A program that is not there is said now: who waits
 * for a client would learn it too late. */
static int run_init(struct run *run, const struct options *options, size_t fd_count) {
        sigset_t signals;
        struct progenv_fds fds = {.count = fd_count};
        int r;

        signals_block(false, &signals);
        r = sockets_open(options, &run->sockets);
        if (fd_count == 0)
                fds = (struct progenv_fds){.count = run->sockets.count, .names = &run->sockets.names};
        if (r == 0)
                r = program_init(options, &fds, &run->program);
        if (r != 0)
                return r;
        r = run->program.path ? 0 : program_find(&run->program);
        if (r < 0)
                return program_say_failure(&run->program, r);
        r = poller_init(&run->poller, &run->sockets, &signals);
        if (r == 0)
                return 0;
        say_error("cannot watch for signals and traffic: %s", err_text(r));
        return EXIT_FAILURE;
}

/* Waits for traffic, or at most for what SHORTAGE says. A signal to stop ends us here, without leaving paths behind.
 * Returns the index of the socket, -1 for none, or another negative number after having said what is wrong. */
static int run_wait_traffic(struct run *run, struct shortage *shortage) {
        usec_t now = clock_monotonic();
        bool waiting = shortage && shortage_is_waiting(shortage, now);
        int r, signals[SIGNALS_MAX];

        r = poller_wait(&run->poller, !waiting, waiting ? shortage->resume_at - now : USEC_INFINITY);
        if (r < 0) {
                say_error("cannot wait for traffic: %s", err_text(r));
                return r;
        }
        if (poller_signals(&run->poller, signals) > 0) {
                run_deinit(run);
                signals_die(signals[0]);
        }
        if (poller_claim_is_over(&run->poller)) {
                say_error("--claim=%s: the broker has ended the claim", run->options->claim);
                return -EPIPE;
        }
        return poller_next(&run->poller);
}

static int connection_failed(struct run *run, int at, int error) {
        AUTO(buf_deinit) struct buf name = BUF_NULL;

        socket_format(&run->sockets.items[at], &name);
        say_error("cannot accept a connection on %s: %s", buf_text(&name), err_text(error));
        return EXIT_FAILURE;
}

/* Returns 0 with the first connection and what is to be known about it, or the exit status. */
static int run_accept(struct run *run, struct connection *connection, struct connenv *env) {
        struct shortage shortage = {0};
        int at, r;

        for (;;) {
                at = run_wait_traffic(run, &shortage);
                if (at < -1)
                        return EXIT_FAILURE;
                if (at < 0)
                        continue;
                r = connection_accept(run->sockets.items[at].fd, connection);
                if (r < 0)
                        return connection_failed(run, at, r);
                if (r == ACCEPT_EXHAUSTED)
                        shortage_begin(&shortage, -errno);
                if (r != ACCEPT_OK)
                        continue;
                connection->protocol = run->sockets.items[at].addr.protocol;
                r = connenv_fill(connection, env);
                if (r == 0)
                        return 0;
                connection_close(connection);
        }
}

static void say_connection(const struct connection *connection) {
        char peer[CONNECTION_PEER_MAX];

        connection_format_peer(connection, peer);
        say_note("connection from %s", peer);
}

int run_oneshot(const struct options *options) {
        AUTO(run_deinit) struct run run = {.options = options, .poller = POLLER_NULL};
        AUTO(connection_close) struct connection connection = {.fd = -EBADF};
        struct launch_fd fds[2];
        struct connenv env;
        size_t count = 0;
        int r;

        r = run_init(&run, options, 1);
        if (r == 0)
                r = run_accept(&run, &connection, &env);
        if (r != 0)
                return r;
        if (options->verbose)
                say_connection(&connection);
        /* Others who come now are refused, or the broker's again: not left to wait for nobody. */
        sockets_close(&run.sockets);
        for (size_t i = 0; i < env.count; i++)
                if (strlist_add(&run.program.env, env.items[i]) < 0) {
                        say_error("out of memory");
                        return EXIT_FAILURE;
                }
        if (options->stdio) {
                fds[count++] = (struct launch_fd){.from = connection.fd, .to = 0};
                fds[count++] = (struct launch_fd){.from = connection.fd, .to = 1};
        } else {
                fds[count++] = (struct launch_fd){.from = connection.fd, .to = INHERIT_FIRST_FD};
        }
        return program_become(&run.program, fds, count);
}

static int run_become_server(struct run *run) {
        AUTO(freep) struct launch_fd *fds = calloc(run->sockets.count + 2, sizeof(*fds));
        size_t count = 0;

        if (!fds) {
                say_error("out of memory");
                return EXIT_FAILURE;
        }
        if (run->options->stdio) {
                fds[count++] = (struct launch_fd){.from = run->sockets.items[0].fd, .to = 0};
                fds[count++] = (struct launch_fd){.from = run->sockets.items[0].fd, .to = 1};
        } else {
                for (; count < run->sockets.count; count++)
                        fds[count] =
                                (struct launch_fd){.from = run->sockets.items[count].fd, .to = sockets_target(count)};
        }
        /* Above the sockets and not among LISTEN_FDS: as long as the program has it, it has the claim. */
        if (run->sockets.claim) {
                int to = sockets_target(run->options->stdio ? 0 : count);

                fds[count++] = (struct launch_fd){.from = broker_claim_fd(run->sockets.claim), .to = to};
        }
        return program_become(&run->program, fds, count);
}

int run_wait(const struct options *options) {
        AUTO(run_deinit) struct run run = {.options = options, .poller = POLLER_NULL};
        int r, at = -1;

        r = run_init(&run, options, 0);
        if (r != 0)
                return r;
        while (at == -1 && !options->now)
                at = run_wait_traffic(&run, NULL);
        if (at < -1)
                return EXIT_FAILURE;
        if (options->systemd && options->verbose && !options->now)
                say_note("Communication attempt on fd %d.", sockets_target((size_t)at));
        return run_become_server(&run);
}
