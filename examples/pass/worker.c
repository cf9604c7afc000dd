/*
 * A worker of handoff: pass, with libsockbroker. It takes connections out of the queue, which is descriptor 3, and
 * serves one after the other: here the client gets to read who it is, and then its own lines back.
 *
 *     cc -o worker worker.c $(pkg-config --cflags --libs libsockbroker)
 */
#include <sockbroker.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUEUE_FD 3

static volatile sig_atomic_t serving, stopping;

/* In the middle of a connection it is finished first; else there is nothing to wait for. */
static void on_term(int signal) {
        (void)signal;
        stopping = 1;
        if (!serving)
                _exit(0);
}

static void serve(struct broker_connection *connection) {
        const char *address = broker_connection_get(connection, "REMOTE_ADDR");
        const char *port = broker_connection_get(connection, "REMOTE_PORT");
        int fd = broker_connection_take_fd(connection), out_fd = dup(fd);
        FILE *in = fdopen(fd, "r"), *out = out_fd < 0 ? NULL : fdopen(out_fd, "w");
        char line[4096];
        bool goes_on = in && out;

        if (goes_on)
                goes_on = fprintf(out, "hello %s %s\n", address ? address : "a local client", port ? port : "") > 0 &&
                          fflush(out) == 0;
        while (goes_on && fgets(line, sizeof(line), in))
                goes_on = fputs(line, out) >= 0 && fflush(out) == 0;
        if (out)
                fclose(out);
        if (in)
                fclose(in);
}

int main(void) {
        const struct sigaction on_term_action = {.sa_handler = on_term, .sa_flags = SA_RESTART};
        struct broker_connection *connection;
        int r;

        signal(SIGPIPE, SIG_IGN);
        sigaction(SIGTERM, &on_term_action, NULL);
        while (!stopping && (r = broker_receive(QUEUE_FD, &connection)) != 0) {
                if (r < 0) {
                        fprintf(stderr, "worker: %s\n", strerror(-r));
                        return EXIT_FAILURE;
                }
                serving = 1;
                serve(connection);
                broker_connection_free(connection);
                serving = 0;
        }
        return EXIT_SUCCESS; /* the broker wants this worker to end */
}
