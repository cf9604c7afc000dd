/* Both ends of a relay, for t/bench/relay.
 *
 *     stream target                           prints its port; throws away what follows a 'B', echoes other bytes
 *     stream bulk PORT CONNECTIONS SECONDS    sends as fast as it goes; prints bytes per second
 *     stream rate PORT CONNECTIONS SECONDS    connects, one byte to and fro, closes; prints connections per second
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (256 << 10)
#define CONNECTIONS_MAX 1024

static char block[BLOCK];

static double now(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void fail(const char *what) {
        perror(what);
        exit(1);
}

static void watch(int epoll, int op, int fd, uint32_t events, uint64_t data) {
        struct epoll_event event = {.events = events, .data.u64 = data};

        if (epoll_ctl(epoll, op, fd, &event) < 0)
                fail("epoll_ctl");
}

static int listen_somewhere(void) {
        struct sockaddr_in address = {.sin_family = AF_INET};
        socklen_t size = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

        if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 4096) < 0 ||
            getsockname(fd, (struct sockaddr *)&address, &size) < 0)
                fail("listen");
        printf("%u\n", ntohs(address.sin_port));
        fflush(stdout);
        return fd;
}

/* The high half of an event's data says what its descriptor is. */
#define SINK ((uint64_t)1 << 32)

static void serve(int epoll, uint64_t data) {
        int fd = (int)(uint32_t)data;
        char first;
        ssize_t n = data & SINK ? recv(fd, block, sizeof(block), MSG_DONTWAIT | MSG_TRUNC)
                                : recv(fd, &first, 1, MSG_DONTWAIT);

        if (n == 0 || (n < 0 && errno != EAGAIN)) {
                close(fd);
                return;
        }
        if (n <= 0 || data & SINK)
                return;
        if (first == 'B')
                watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN, SINK | (uint32_t)fd);
        else if (send(fd, &first, 1, MSG_NOSIGNAL) < 0)
                close(fd);
}

static void run_target(void) {
        int listener = listen_somewhere(), epoll = epoll_create1(0);
        struct epoll_event events[64];

        watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, (uint32_t)listener);
        for (;;) {
                int n = epoll_wait(epoll, events, 64, -1);

                for (int i = 0; i < n; i++) {
                        int fd;

                        if (events[i].data.u64 != (uint32_t)listener) {
                                serve(epoll, events[i].data.u64);
                                continue;
                        }
                        while ((fd = accept4(listener, NULL, NULL, 0)) >= 0)
                                watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, (uint32_t)fd);
                }
        }
}

static int connect_to(unsigned port) {
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                fail("connect");
        return fd;
}

static double run_bulk(unsigned port, unsigned connections, double seconds) {
        int epoll = epoll_create1(0);
        struct epoll_event events[64];
        double sent = 0, began, ended;

        for (unsigned i = 0; i < connections; i++) {
                int fd = connect_to(port);

                if (send(fd, "B", 1, 0) != 1)
                        fail("send");
                watch(epoll, EPOLL_CTL_ADD, fd, EPOLLOUT, (uint32_t)fd);
        }
        /* What a proxy takes to get going, the first buffers included, is not what is measured. */
        began = now() + 0.2;
        do {
                int n = epoll_wait(epoll, events, 64, 1000);

                ended = now();
                for (int i = 0; i < n; i++) {
                        ssize_t r = send((int)events[i].data.u64, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL);

                        if (r < 0 && errno != EAGAIN)
                                fail("send");
                        if (r > 0 && ended >= began)
                                sent += (double)r;
                }
        } while (ended < began + seconds);
        return sent / (ended - began);
}

static double run_rate(unsigned port, unsigned connections, double seconds) {
        int epoll = epoll_create1(0);
        struct epoll_event events[64];
        double done = 0, began = now(), ended;

        for (unsigned i = 0; i < connections; i++) {
                int fd = connect_to(port);

                if (send(fd, "x", 1, 0) != 1)
                        fail("send");
                watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, (uint32_t)fd);
        }
        do {
                int n = epoll_wait(epoll, events, 64, 1000);

                for (int i = 0; i < n; i++) {
                        int fd = (int)events[i].data.u64;
                        char byte;

                        if (recv(fd, &byte, 1, 0) != 1)
                                fail("recv");
                        close(fd);
                        done++;
                        fd = connect_to(port);
                        if (send(fd, "x", 1, 0) != 1)
                                fail("send");
                        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, (uint32_t)fd);
                }
                ended = now();
        } while (ended < began + seconds);
        return done / (ended - began);
}

int main(int argc, char **argv) {
        unsigned port, connections;

        if (argc == 2 && strcmp(argv[1], "target") == 0)
                run_target();
        if (argc != 5 || (strcmp(argv[1], "bulk") != 0 && strcmp(argv[1], "rate") != 0)) {
                fprintf(stderr, "usage: stream target | stream bulk|rate PORT CONNECTIONS SECONDS\n");
                return 2;
        }
        port = (unsigned)atoi(argv[2]);
        connections = (unsigned)atoi(argv[3]);
        if (connections == 0 || connections > CONNECTIONS_MAX)
                return 2;
        printf("%.0f\n", (argv[1][0] == 'b' ? run_bulk : run_rate)(port, connections, atof(argv[4])));
        return 0;
}
