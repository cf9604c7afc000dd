/*
 * passworker: the least that a worker of a queue has to do, for t/bench/pass.
 *
 *     passworker                         takes connections out of the queue that is descriptor 3,
 *                                        says "ok" on each and closes it
 *     passworker once                    does the same for the one connection that is its stdout:
 *                                        the program for one process per connection
 *     passworker bare WORKERS ADDRESS    the least that a program can do to feed such workers:
 *                                        listens on ADDRESS:0, prints the port, starts WORKERS of
 *                                        them, then: accept, send, close. No log, no limits, no
 *                                        lines about the client, nothing that waits anywhere else
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE_FD 3
#define BACKLOG 4096

union control {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
};

static _Noreturn void die(const char *what) {
        fprintf(stderr, "passworker: %s: %s\n", what, strerror(errno));
        exit(1);
}

static int work(void) {
        char text[4096];

        for (;;) {
                union control control;
                struct iovec iov = {.iov_base = text, .iov_len = sizeof(text)};
                struct msghdr message = {.msg_iov = &iov,
                                         .msg_iovlen = 1,
                                         .msg_control = control.room,
                                         .msg_controllen = sizeof(control.room)};
                struct cmsghdr *header;
                ssize_t n = recvmsg(QUEUE_FD, &message, MSG_CMSG_CLOEXEC);
                int fd;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0;
                header = CMSG_FIRSTHDR(&message);
                if (!header)
                        continue;
                memcpy(&fd, CMSG_DATA(header), sizeof(fd));
                if (write(fd, "ok\n", 3) < 0 && errno != EPIPE && errno != ECONNRESET)
                        perror("passworker: write");
                close(fd);
        }
}

static int listen_on(const char *address) {
        struct sockaddr_in sin = {.sin_family = AF_INET};
        socklen_t size = sizeof(sin);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || inet_pton(AF_INET, address, &sin.sin_addr) != 1 ||
            bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(fd, BACKLOG) < 0 ||
            getsockname(fd, (struct sockaddr *)&sin, &size) < 0)
                die("listen");
        printf("%d\n", ntohs(sin.sin_port));
        fflush(stdout);
        return fd;
}

static void send_on(int queue, int fd) {
        union control control = {
                .header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
        struct iovec iov = {.iov_base = (char[]){"A=1\n"}, .iov_len = 4};
        const struct msghdr message = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};

        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        if (sendmsg(queue, &message, MSG_NOSIGNAL) < 0)
                die("sendmsg");
}

static _Noreturn void feed(int workers, const char *address) {
        int listener = listen_on(address), ends[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                die("socketpair");
        for (int i = 0; i < workers; i++)
                switch (fork()) {
                case -1:
                        die("fork");
                case 0:
                        prctl(PR_SET_PDEATHSIG, SIGKILL);
                        if (dup2(ends[1], QUEUE_FD) < 0)
                                die("dup2");
                        _exit(work());
                }
        for (;;) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

                if (fd < 0)
                        continue;
                send_on(ends[0], fd);
                close(fd);
        }
}

int main(int argc, char **argv) {
        signal(SIGPIPE, SIG_IGN);
        if (argc == 4 && strcmp(argv[1], "bare") == 0)
                feed(atoi(argv[2]), argv[3]);
        if (argc == 2 && strcmp(argv[1], "once") == 0)
                return write(STDOUT_FILENO, "ok\n", 3) != 3;
        if (argc == 1)
                return work();
        fprintf(stderr, "usage: passworker [once | bare WORKERS ADDRESS]\n");
        return 2;
}
