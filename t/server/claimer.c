/* A program that claims a service by libsockbroker and does what it is told on stdin, for t/72-claim.t:
 *
 *      claimer SERVICE [CONTROL]
 *
 * It says "claimed COUNT", and for each socket "socket NAME nonblock=0|1 cloexec=0|1", or "error NUMBER TEXT" and ends
 * with 1. Then "accept" accepts one connection from the first socket and answers it with "claimer"; "give" gives the
 * sockets back, says "given" and goes on; the end of stdin ends it. When the broker ends the claim it says "over". */
#include "sockbroker/sockbroker.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void say_sockets(const struct broker_claim *claim) {
        printf("claimed %zu\n", broker_claim_count(claim));
        for (size_t i = 0; i < broker_claim_count(claim); i++) {
                int fd = broker_claim_socket(claim, i);

                printf("socket %s nonblock=%d cloexec=%d\n", broker_claim_name(claim, i),
                       (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        }
        fflush(stdout);
}

static void answer_one(const struct broker_claim *claim) {
        static const char text[] = "claimer\n";
        struct pollfd poller = {.fd = broker_claim_socket(claim, 0), .events = POLLIN};
        int fd = poll(&poller, 1, -1) < 0 ? -1 : accept4(broker_claim_socket(claim, 0), NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0 || write(fd, text, sizeof(text) - 1) < 0)
                perror("accept");
        close(fd);
}

/* A line without its end; false at the end of stdin. Byte by byte, since poll(2) does not see what stdio has read. */
static bool read_word(char word[16]) {
        size_t n = 0;
        char c;

        while (read(STDIN_FILENO, &c, 1) == 1) {
                if (c == '\n') {
                        word[n] = '\0';
                        return true;
                }
                if (n < 15)
                        word[n++] = c;
        }
        return false;
}

static int obey(struct broker_claim *claim) {
        struct pollfd polls[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = broker_claim_fd(claim)}};
        char word[16];

        for (;;) {
                if (poll(polls, 2, -1) < 0)
                        return EXIT_FAILURE;
                if (polls[1].revents) {
                        puts("over");
                        fflush(stdout);
                        polls[1].fd = -1;
                }
                if (!polls[0].revents)
                        continue;
                if (!read_word(word)) {
                        broker_claim_free(claim);
                        return 0;
                }
                if (strcmp(word, "accept") == 0 && claim) {
                        answer_one(claim);
                } else if (strcmp(word, "give") == 0) {
                        claim = broker_claim_free(claim);
                        polls[1].fd = -1;
                        puts("given");
                        fflush(stdout);
                }
        }
}

int main(int argc, char **argv) {
        struct broker_claim *claim;
        char *message;
        int r;

        if (argc < 2)
                return 2;
        r = broker_claim(argv[1], argc > 2 ? argv[2] : NULL, &claim, &message);
        if (r < 0) {
                printf("error %d %s\n", -r, message ? message : "");
                free(message);
                return EXIT_FAILURE;
        }
        say_sockets(claim);
        return obey(claim);
}
