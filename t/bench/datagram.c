/*
 * datagram: how many datagrams an echo at a UDP port of this machine answers.
 *
 *     datagram PORT FLIGHT SECONDS
 *     datagram echo PORT
 *
 * The first keeps FLIGHT of them, of 64 bytes each, on their way: one goes out for each that comes back,
 * those that came together by one system call. What is lost is made up for when nothing has come for two
 * milliseconds. Prints answers per second. The second is such an echo, as simple as can be.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FLIGHT_MAX 64
#define SIZE 64

struct batch {
        struct mmsghdr messages[FLIGHT_MAX];
        struct iovec vectors[FLIGHT_MAX];
        char data[FLIGHT_MAX][SIZE];
};

static double now(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static int open_socket(int port) {
        struct sockaddr_in to = {
                .sin_family = AF_INET,
                .sin_port = htons((unsigned short)port),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        const struct timeval patience = {.tv_usec = 2000};
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0) {
                perror("datagram: socket");
                exit(1);
        }
        return fd;
}

static void prepare(struct batch *batch) {
        memset(batch->data, 'x', sizeof(batch->data));
        for (int i = 0; i < FLIGHT_MAX; i++) {
                batch->vectors[i] = (struct iovec){.iov_base = batch->data[i], .iov_len = SIZE};
                batch->messages[i].msg_hdr = (struct msghdr){.msg_iov = &batch->vectors[i], .msg_iovlen = 1};
        }
}

/* Returns how many came back in that time. */
static unsigned long run(int fd, unsigned flight, double seconds) {
        static struct batch batch;
        double end = now() + seconds;
        unsigned long answered = 0;
        unsigned missing = flight;

        prepare(&batch);
        while (now() < end) {
                int n = sendmmsg(fd, batch.messages, missing, 0);

                if (n < 0 && answered > 0) {
                        perror("datagram: send");
                        exit(1);
                }
                n = recvmmsg(fd, batch.messages, flight, MSG_WAITFORONE, NULL);
                missing = n > 0 ? (unsigned)n : flight;
                answered += n > 0 ? (unsigned)n : 0;
        }
        return answered;
}

static int echo(int port) {
        struct sockaddr_in at = {
                .sin_family = AF_INET,
                .sin_port = htons((unsigned short)port),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        static char data[65536];

        if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
                perror("datagram: socket");
                return 1;
        }
        for (;;) {
                struct sockaddr_in from;
                socklen_t size = sizeof(from);
                ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &size);

                if (n < 0 || sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, size) < 0)
                        perror("datagram: echo");
        }
}

int main(int argc, char *argv[]) {
        int flight = argc == 4 ? atoi(argv[2]) : 0;
        double seconds = argc == 4 ? atof(argv[3]) : 0;
        int fd;

        if (argc == 3 && strcmp(argv[1], "echo") == 0)
                return echo(atoi(argv[2]));
        if (flight < 1 || flight > FLIGHT_MAX || seconds <= 0) {
                fprintf(stderr, "usage: datagram PORT FLIGHT SECONDS, or datagram echo PORT\n");
                return 2;
        }
        fd = open_socket(atoi(argv[1]));
        printf("%.0f\n", (double)run(fd, (unsigned)flight, seconds) / seconds);
        close(fd);
        return 0;
}
