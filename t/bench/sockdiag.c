/*
 * sockdiag: what one question of idle_stop costs (broker/net/sockdiag.h), beside other people's
 * connections.
 *
 *     sockdiag [--rounds N]
 *
 * With 10 and with 10,000 connections of others: nobody is connected, so that the kernel goes through
 * all its sockets; and somebody is, whom it was asked about before. TCP and AF_UNIX. Medians in
 * microseconds, and the bytes that came from the kernel.
 */
#include "net/sockdiag.h"
#include "base/defs.h"
#include "net/addr.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
        ROUNDS = 201,
        ROUNDS_MAX = 10001,
        FEW = 10,
        MANY = 10000,
        LISTENERS = 8, /* of others; what they hold in their queues takes no descriptor */
        BACKLOG = 4096,
};

static double now_us(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static socklen_t size_of(const union sockaddr_any *sa) {
        return sa->sa.sa_family == AF_UNIX ? (socklen_t)sizeof(sa_family_t) : (socklen_t)sizeof(sa->in);
}

/* At a port, or an abstract name, of the kernel's choice. */
static int listen_any(int family) {
        union sockaddr_any sa = {.sa.sa_family = (sa_family_t)family};
        int fd = socket(family, SOCK_STREAM, 0);

        if (family == AF_INET)
                sa.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (fd < 0 || bind(fd, &sa.sa, size_of(&sa)) < 0 || listen(fd, BACKLOG) < 0)
                err(1, "listen");
        return fd;
}

static int connect_to(int listener) {
        union sockaddr_any sa;
        socklen_t size = sizeof(sa);
        int fd;

        if (getsockname(listener, &sa.sa, &size) < 0)
                err(1, "getsockname");
        fd = socket(sa.sa.sa_family, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, &sa.sa, size) < 0)
                err(1, "connect");
        return fd;
}

static void measure(const char *what, int listener, int rounds, int expected) {
        static double samples[ROUNDS_MAX];
        struct sockdiag diag = {.dumps = 0};
        uint64_t bytes;

        sockdiag_ask(&diag, &listener, 1);
        bytes = diag.bytes;
        for (int i = 0; i < rounds; i++) {
                double start = now_us();

                if (sockdiag_ask(&diag, &listener, 1) != expected)
                        errx(1, "%s: the wrong answer", what);
                samples[i] = now_us() - start;
        }
        qsort(samples, (size_t)rounds, sizeof(*samples), by_value);
        printf("  %-24s %8.1f us %8llu bytes\n", what, samples[rounds / 2],
               (unsigned long long)((diag.bytes - bytes) / (uint64_t)rounds));
}

static void run(int family, int foreign, int rounds) {
        int ours = listen_any(family), others[LISTENERS], client, server;
        int *clients = calloc((size_t)foreign, sizeof(*clients));

        if (!clients)
                err(1, "calloc");
        for (int i = 0; i < LISTENERS; i++)
                others[i] = listen_any(family);
        for (int i = 0; i < foreign; i++)
                clients[i] = connect_to(others[i % LISTENERS]);
        printf("%s, %d connections of others\n", family == AF_UNIX ? "AF_UNIX" : "TCP", foreign);
        measure("nobody is connected", ours, rounds, SOCKDIAG_QUIET);
        client = connect_to(ours);
        server = accept(ours, NULL, NULL);
        measure("one that is known is", ours, rounds, SOCKDIAG_ALIVE);
        close(server);
        close(client);
        for (int i = 0; i < foreign; i++)
                close(clients[i]);
        for (int i = 0; i < LISTENERS; i++)
                close(others[i]);
        close(ours);
        free(clients);
}

int main(int argc, char **argv) {
        int rounds = argc == 3 && strcmp(argv[1], "--rounds") == 0 ? atoi(argv[2]) : ROUNDS;
        struct rlimit limit;

        if (rounds < 1 || rounds > ROUNDS_MAX)
                errx(2, "--rounds: 1 to %d", ROUNDS_MAX);
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        if (limit.rlim_max < MANY + 100)
                errx(1, "needs %d descriptors, and there may be %llu", MANY + 100, (unsigned long long)limit.rlim_max);
        for (int i = 0; i < 2; i++) {
                run(i ? AF_UNIX : AF_INET, FEW, rounds);
                run(i ? AF_UNIX : AF_INET, MANY, rounds);
        }
        return 0;
}
