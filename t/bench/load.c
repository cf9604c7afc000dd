/*
 * load: connects, reads until the other side closes, and connects again, as fast as it goes.
 *
 *     load [-c CONCURRENCY] [-n CONNECTIONS | -t SECONDS] [-s SEND_TEXT] [-S SOURCES] [-z]
 * ADDRESS:PORT|/unix/path|@name
 *
 * One thread, one epoll set, CONCURRENCY slots that each have one connection at a time. What is
 * measured of a connection is the time from before connect() to end of file. One line of JSON on
 * standard output; exit status 1 when every connection failed. A connection that ends without a
 * byte is an error too, unless -z says that nothing is expected.
 *
 * The server's side closes first, so the TIME_WAIT entries are its own, on a fixed port. To keep
 * the ports of our side from running out all the same, connections to 127.0.0.0/8 come from SOURCES
 * addresses in turn (127.0.0.1 and up), each with its own range of ephemeral ports;
 * IP_BIND_ADDRESS_NO_PORT leaves choosing the port to connect(), which only has to find an unused
 * pair of ends.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SLOTS_MAX 10000
#define SOURCES_MAX 250
#define ERRORS_IN_A_ROW_MAX 10000
#define GRACE_NS UINT64_C(5000000000) /* for what is under way when the time is up */

union address {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
};

struct slot {
        int fd;
        uint64_t started;
        size_t sent;
        uint64_t received;
        bool retry; /* AF_UNIX answers EAGAIN to a connect() that finds the backlog full */
};

struct load {
        union address target;
        socklen_t target_len;
        uint32_t sources, next_source;
        const char *text;
        size_t text_len;
        bool may_be_empty;

        uint64_t limit;    /* connections, 0: no limit */
        uint64_t deadline; /* 0: none */
        uint64_t started, finished, errors, errors_in_a_row;
        bool stopped;

        int epoll_fd;
        struct slot *slots;
        unsigned n_slots, n_open, n_retry;

        uint32_t *samples; /* nanoseconds */
        size_t n_samples, samples_size;
        double sum;
};

static struct load load = {.sources = 32, .n_slots = 1};

static _Noreturn void die(const char *what) {
        fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
        exit(1);
}

static uint64_t now_ns(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int parse_unix(const char *text) {
        size_t len = strlen(text);

        if (len >= sizeof(load.target.un.sun_path))
                return -1;
        load.target.un.sun_family = AF_UNIX;
        memcpy(load.target.un.sun_path, text, len);
        load.target_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (text[0] == '/'));
        if (text[0] == '@')
                load.target.un.sun_path[0] = '\0';
        return 0;
}

static int parse_target(const char *text) {
        const char *colon = strrchr(text, ':');
        char host[INET6_ADDRSTRLEN + 3];
        unsigned long port;
        size_t len;
        char *end;

        if (text[0] == '/' || text[0] == '@')
                return parse_unix(text);
        if (!colon || colon == text || (size_t)(colon - text) >= sizeof(host))
                return -1;
        port = strtoul(colon + 1, &end, 10);
        if (*end != '\0' || end == colon + 1 || port < 1 || port > UINT16_MAX)
                return -1;
        len = (size_t)(colon - text);
        memcpy(host, text, len);
        host[len] = '\0';
        if (host[0] == '[' && host[len - 1] == ']') {
                host[len - 1] = '\0';
                load.target.in6.sin6_family = AF_INET6;
                load.target.in6.sin6_port = htons((uint16_t)port);
                load.target_len = sizeof(load.target.in6);
                return inet_pton(AF_INET6, host + 1, &load.target.in6.sin6_addr) == 1 ? 0 : -1;
        }
        load.target.in.sin_family = AF_INET;
        load.target.in.sin_port = htons((uint16_t)port);
        load.target_len = sizeof(load.target.in);
        return inet_pton(AF_INET, host, &load.target.in.sin_addr) == 1 ? 0 : -1;
}

static void bind_source(int fd) {
        struct sockaddr_in sin = {.sin_family = AF_INET};
        int one = 1;

        if (load.sources == 0 || load.target.sa.sa_family != AF_INET ||
            (ntohl(load.target.in.sin_addr.s_addr) >> 24) != IN_LOOPBACKNET)
                return;
        sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK + load.next_source);
        load.next_source = (load.next_source + 1) % load.sources;
        if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) < 0)
                die("IP_BIND_ADDRESS_NO_PORT");
        if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0)
                die("bind to a source address");
}

static void record(uint64_t ns) {
        if (load.n_samples == load.samples_size) {
                load.samples_size = load.samples_size ? load.samples_size * 2 : 1 << 16;
                load.samples = reallocarray(load.samples, load.samples_size, sizeof(*load.samples));
                if (!load.samples)
                        die("samples");
        }
        load.samples[load.n_samples++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
        load.sum += (double)ns;
}

static void slot_close(struct slot *slot) {
        close(slot->fd);
        slot->fd = -1;
        load.n_open--;
}

static void slot_fail(struct slot *slot, int error) {
        static bool told;

        if (!told)
                fprintf(stderr, "load: first error: %s\n", error ? strerror(error) : "closed without an answer");
        told = true;
        load.errors++;
        if (++load.errors_in_a_row >= ERRORS_IN_A_ROW_MAX)
                load.stopped = true;
        slot_close(slot);
}

/* 0: under way, or to be tried again. -1: failed and closed. */
static int slot_connect(struct slot *slot) {
        struct epoll_event event = {.events = load.text_len ? EPOLLOUT : EPOLLIN, .data.ptr = slot};

        if (connect(slot->fd, &load.target.sa, load.target_len) < 0 && errno != EINPROGRESS) {
                if (errno == EAGAIN && load.target.sa.sa_family == AF_UNIX) {
                        load.n_retry += !slot->retry;
                        slot->retry = true;
                        return 0;
                }
                slot_fail(slot, errno);
                return -1;
        }
        load.n_retry -= slot->retry;
        slot->retry = false;
        if (epoll_ctl(load.epoll_fd, EPOLL_CTL_ADD, slot->fd, &event) < 0)
                die("epoll_ctl");
        return 0;
}

static bool may_start(void) {
        if (load.deadline && now_ns() >= load.deadline)
                load.stopped = true;
        if (load.limit && load.started >= load.limit)
                load.stopped = true;
        return !load.stopped;
}

static void slot_start(struct slot *slot) {
        while (may_start()) {
                load.started++;
                slot->fd = socket(load.target.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                if (slot->fd < 0)
                        die("socket");
                load.n_open++;
                slot->sent = 0;
                slot->received = 0;
                bind_source(slot->fd);
                slot->started = now_ns();
                if (slot_connect(slot) == 0)
                        return;
        }
}

static void slot_finish(struct slot *slot) {
        uint64_t end = now_ns();

        if (slot->received == 0 && !load.may_be_empty)
                slot_fail(slot, 0);
        else {
                record(end - slot->started);
                load.finished++;
                load.errors_in_a_row = 0;
                slot_close(slot);
        }
        slot_start(slot);
}

static void slot_on_writable(struct slot *slot) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = slot};
        ssize_t n = send(slot->fd, load.text + slot->sent, load.text_len - slot->sent, MSG_NOSIGNAL);

        if (n < 0) {
                if (errno == EAGAIN)
                        return;
                slot_fail(slot, errno);
                slot_start(slot);
                return;
        }
        slot->sent += (size_t)n;
        if (slot->sent == load.text_len && epoll_ctl(load.epoll_fd, EPOLL_CTL_MOD, slot->fd, &event) < 0)
                die("epoll_ctl");
}

static void slot_on_readable(struct slot *slot) {
        char buffer[65536];

        for (;;) {
                ssize_t n = read(slot->fd, buffer, sizeof(buffer));

                if (n > 0) {
                        slot->received += (uint64_t)n;
                        continue;
                }
                if (n == 0) {
                        slot_finish(slot);
                        return;
                }
                if (errno == EAGAIN)
                        return;
                slot_fail(slot, errno);
                slot_start(slot);
                return;
        }
}

static void retry_all(void) {
        for (unsigned i = 0; i < load.n_slots && load.n_retry > 0; i++) {
                struct slot *slot = &load.slots[i];

                if (!slot->retry)
                        continue;
                if (slot_connect(slot) < 0) {
                        slot->retry = false;
                        load.n_retry--;
                        slot_start(slot);
                }
        }
}

static void run(void) {
        struct epoll_event events[256];

        for (unsigned i = 0; i < load.n_slots; i++)
                slot_start(&load.slots[i]);
        while (load.n_open > 0) {
                int n = epoll_wait(load.epoll_fd, events, 256, load.n_retry ? 1 : 100);

                if (n < 0 && errno != EINTR)
                        die("epoll_wait");
                for (int i = 0; i < n; i++) {
                        struct slot *slot = events[i].data.ptr;

                        if (slot->sent < load.text_len)
                                slot_on_writable(slot);
                        else
                                slot_on_readable(slot);
                }
                if (load.n_retry)
                        retry_all();
                if (load.deadline && now_ns() > load.deadline + GRACE_NS) {
                        load.errors += load.n_open;
                        return;
                }
        }
}

static int compare_samples(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return (x > y) - (x < y);
}

static double quantile_us(double q) {
        if (load.n_samples == 0)
                return 0;
        return load.samples[(size_t)(q * (double)(load.n_samples - 1) + 0.5)] / 1000.0;
}

static void print_result(double seconds) {
        qsort(load.samples, load.n_samples, sizeof(*load.samples), compare_samples);
        printf("{\"connections\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"seconds\":%.6f,\"per_second\":%.1f,",
               load.finished, load.errors, seconds, seconds > 0 ? (double)load.finished / seconds : 0);
        printf("\"latency_us\":{\"min\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f,"
               "\"mean\":%.1f}}\n",
               quantile_us(0), quantile_us(0.5), quantile_us(0.9), quantile_us(0.99), quantile_us(1),
               load.n_samples ? load.sum / (double)load.n_samples / 1000.0 : 0);
}

static _Noreturn void usage(void) {
        fprintf(stderr, "usage: load [-c CONCURRENCY] [-n CONNECTIONS | -t SECONDS] [-s SEND_TEXT] "
                        "[-S SOURCES] [-z] "
                        "ADDRESS:PORT|/unix/path|@name\n");
        exit(2);
}

static double parse_options(int argc, char **argv) {
        double seconds = 0;
        int opt;

        while ((opt = getopt(argc, argv, "c:n:t:s:S:z")) != -1)
                switch (opt) {
                case 'c':
                        load.n_slots = (unsigned)strtoul(optarg, NULL, 10);
                        break;
                case 'n':
                        load.limit = strtoull(optarg, NULL, 10);
                        break;
                case 't':
                        seconds = strtod(optarg, NULL);
                        break;
                case 's':
                        load.text = optarg;
                        load.text_len = strlen(optarg);
                        break;
                case 'S':
                        load.sources = (uint32_t)strtoul(optarg, NULL, 10);
                        break;
                case 'z':
                        load.may_be_empty = true;
                        break;
                default:
                        usage();
                }
        if (optind != argc - 1 || parse_target(argv[optind]) < 0 || load.n_slots < 1 || load.n_slots > SLOTS_MAX ||
            load.sources > SOURCES_MAX || seconds < 0)
                usage();
        if (load.limit == 0 && seconds == 0)
                seconds = 1;
        return seconds;
}

int main(int argc, char **argv) {
        double seconds = parse_options(argc, argv);
        uint64_t start;

        load.slots = calloc(load.n_slots, sizeof(*load.slots));
        load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (!load.slots || load.epoll_fd < 0)
                die("start");

        start = now_ns();
        if (seconds > 0)
                load.deadline = start + (uint64_t)(seconds * 1e9);
        run();
        print_result((double)(now_ns() - start) / 1e9);
        return load.finished == 0 && load.errors > 0;
}
