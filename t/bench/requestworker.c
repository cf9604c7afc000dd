/*
 * requestworker: what t/bench/request measures the broker with.
 *
 *     requestworker                        a worker: answers each line with that line
 *     requestworker bare WORKERS ADDRESS   the least that can be done with such workers: accepts at a port of ADDRESS,
 *                                          which it writes to standard output, reads a line, gives it to a worker that
 *                                          is free, or when one is, and sends back what that says
 *
 * One thread and one epoll set; whole lines in one read are relied on, and what fails ends it.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FDS_MAX 4096
#define LINE_MAX_SIZE 1024

struct worker {
        int in, out;
        int client; /* -1: it is free */
};

static struct {
        char line[LINE_MAX_SIZE];
        ssize_t size;
} waiting[FDS_MAX];

static struct worker *worker_of[FDS_MAX]; /* by its stdout */
static int queue[FDS_MAX];
static size_t queue_first, queue_count;
static struct worker workers[64];
static struct worker *idle[64];
static size_t idle_count;

static void die(const char *what) {
        perror(what);
        exit(1);
}

static int answer_lines(void) {
        char data[LINE_MAX_SIZE];
        ssize_t n;

        while ((n = read(STDIN_FILENO, data, sizeof(data))) > 0)
                if (write(STDOUT_FILENO, data, (size_t)n) != n)
                        return 1;
        return n < 0;
}

static void start_worker(struct worker *worker) {
        int in[2], out[2];

        if (pipe(in) < 0 || pipe(out) < 0)
                die("pipe");
        switch (fork()) {
        case -1:
                die("fork");
                break;
        case 0:
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                setsid(); /* as programs of the broker do: the scheduler may go by sessions */
                dup2(in[0], STDIN_FILENO);
                dup2(out[1], STDOUT_FILENO);
                for (int fd = 3; fd < FDS_MAX; fd++)
                        close(fd);
                execl("/proc/self/exe", "requestworker", NULL);
                _exit(127);
        }
        close(in[0]);
        close(out[1]);
        *worker = (struct worker){.in = in[1], .out = out[0], .client = -1};
}

static int listen_at(const char *address) {
        struct sockaddr_in sin = {.sin_family = AF_INET};
        socklen_t size = sizeof(sin);
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        if (fd < 0 || inet_pton(AF_INET, address, &sin.sin_addr) != 1 ||
            bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(fd, 4096) < 0 ||
            getsockname(fd, (struct sockaddr *)&sin, &size) < 0)
                die("listen");
        printf("%d\n", ntohs(sin.sin_port));
        fflush(stdout);
        return fd;
}

static void watch(int epoll, int fd) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
                die("epoll_ctl");
}

static void give(struct worker *worker, int client, const char *line, ssize_t size) {
        worker->client = client;
        if (write(worker->in, line, (size_t)size) != size)
                die("write");
}

static void on_worker(struct worker *worker) {
        char reply[LINE_MAX_SIZE];
        ssize_t n = read(worker->out, reply, sizeof(reply));
        int client = worker->client;

        if (n <= 0)
                die("read");
        if (queue_count > 0) {
                int next = queue[queue_first];

                queue_first = (queue_first + 1) % FDS_MAX;
                queue_count--;
                give(worker, next, waiting[next].line, waiting[next].size);
        } else {
                worker->client = -1;
                idle[idle_count++] = worker;
        }
        send(client, reply, (size_t)n, MSG_NOSIGNAL);
        close(client);
}

static void on_client(int fd) {
        waiting[fd].size = recv(fd, waiting[fd].line, LINE_MAX_SIZE, 0);
        if (waiting[fd].size <= 0) {
                close(fd);
                return;
        }
        if (idle_count > 0) {
                give(idle[--idle_count], fd, waiting[fd].line, waiting[fd].size);
                return;
        }
        queue[(queue_first + queue_count++) % FDS_MAX] = fd;
}

static void serve(size_t count, const char *address) {
        int epoll = epoll_create1(0), listener = listen_at(address);
        struct epoll_event events[64];

        watch(epoll, listener);
        for (size_t i = 0; i < count; i++) {
                start_worker(&workers[i]);
                worker_of[workers[i].out] = idle[idle_count++] = &workers[i];
                watch(epoll, workers[i].out);
        }
        for (;;) {
                int n = epoll_wait(epoll, events, 64, -1);

                for (int i = 0; i < n; i++) {
                        int fd = events[i].data.fd;

                        if (fd == listener) {
                                int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

                                if (client >= FDS_MAX)
                                        die("too many");
                                if (client >= 0)
                                        watch(epoll, client);
                        } else if (worker_of[fd]) {
                                on_worker(worker_of[fd]);
                        } else {
                                on_client(fd);
                        }
                }
        }
}

int main(int argc, char **argv) {
        if (argc == 4 && strcmp(argv[1], "bare") == 0)
                serve((size_t)atoi(argv[2]), argv[3]);
        return answer_lines();
}
