/*
 * worker: takes connections out of the queue that is descriptor 3 (handoff: pass), for the tests. To each client it
 * says "worker PID", and then does what its lines say:
 *   env         the lines about the connection, the variables of sd_listen_fds(3), and "."
 *   die         ends at once, with status 9
 *   hang        does nothing any more, whatever signal comes
 *   shut        shuts the queue down, for everybody
 *   close       closes its end of the queue, and goes on until the connection is over
 *   bye         closes the connection
 *   ...         anything else comes back
 *
 *   worker once       ends after its first connection
 *   worker fail       ends before it, with status 3
 *   worker idle       never looks into the queue
 */

#include "sockbroker/sockbroker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE_FD 3

static void say_env(FILE *out, const struct broker_connection *connection) {
        static const char *const names[] = {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "REMOTE_ADDR", "NUMBER"};

        for (char *const *entry = broker_connection_environment(connection); *entry; entry++)
                fprintf(out, "%s\n", *entry);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                fprintf(out, "own %s=%s\n", names[i], getenv(names[i]) ? getenv(names[i]) : "");
        fprintf(out, ".\n");
}

static void hang(void) {
        sigset_t all;

        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        for (;;)
                pause();
}

/* False when the connection is over. */
static int obey(FILE *out, const char *line, const struct broker_connection *connection) {
        if (strcmp(line, "env\n") == 0)
                say_env(out, connection);
        else if (strcmp(line, "die\n") == 0)
                _exit(9);
        else if (strcmp(line, "hang\n") == 0)
                hang();
        else if (strcmp(line, "bye\n") == 0)
                return 0;
        else if (strcmp(line, "close\n") == 0)
                fprintf(out, "%s\n", close(QUEUE_FD) == 0 ? "done" : strerror(errno));
        else if (strcmp(line, "shut\n") == 0)
                fprintf(out, "%s\n", shutdown(QUEUE_FD, SHUT_RDWR) == 0 ? "done" : strerror(errno));
        else
                fprintf(out, "%s", line);
        return fflush(out) == 0;
}

static void serve(const struct broker_connection *connection) {
        int fd = broker_connection_fd(connection);
        FILE *in = fdopen(dup(fd), "r"), *out = fdopen(dup(fd), "w");
        char line[4096];

        if (!in || !out)
                exit(1);
        fprintf(out, "worker %d\n", (int)getpid());
        if (fflush(out) == 0)
                while (fgets(line, sizeof(line), in) && obey(out, line, connection))
                        continue;
        fclose(out);
        fclose(in);
}

int main(int argc, char **argv) {
        const char *mode = argc > 1 ? argv[1] : "";
        struct broker_connection *connection;
        int r;

        signal(SIGPIPE, SIG_IGN);
        if (strcmp(mode, "fail") == 0)
                return 3;
        while (strcmp(mode, "idle") == 0)
                pause();
        while ((r = broker_receive(QUEUE_FD, &connection)) > 0) {
                serve(connection);
                broker_connection_free(connection);
                if (strcmp(mode, "once") == 0)
                        return 0;
        }
        if (r < 0)
                fprintf(stderr, "worker: %s\n", strerror(-r));
        return r < 0;
}
