/*
 * access: what asking an access list costs, against accepting the connection that it is asked for.
 *
 *     access [--rounds N] [--check]
 *
 * In turns, so that whatever else the machine does hits all of them alike: 256 connections over
 * loopback are accepted and closed; 16,384 peers are looked up among 3 networks, as many among
 * 10,000, half of them within some network; and one peer among 10,000 after each of 256 accepts,
 * when the kernel has had the caches. Medians over the rounds are printed in nanoseconds each.
 *
 * --check ends with 1 when looking peers up among 10,000 networks, one after the other, costs more
 * than 1 percent of an accept.
 */
#include "base/defs.h"
#include "net/prefixtrie.h"

#include <arpa/inet.h>
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
        CONNECTIONS = 256,
        PEERS = 16384,
        ROUNDS_MAX = 1000,
        FEW = 3,
        MANY = 10000,
};

struct bench {
        int listener;
        union sockaddr_any address;
        struct prefix *networks; /* MANY; the first FEW are the short list too */
        struct prefix_trie few, many;
        union sockaddr_any *peers; /* PEERS */
        uint64_t state;
        uint64_t sum; /* of what was found, so that nothing is optimized away */
};

struct samples {
        double accept[ROUNDS_MAX], few[ROUNDS_MAX], many[ROUNDS_MAX], between[ROUNDS_MAX];
};

static uint32_t random_next(struct bench *bench) {
        bench->state = bench->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t)(bench->state >> 32);
}

static double now_ns(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* An IPv4 address, or one IPv6 address in three, all over the space in use. */
static struct prefix random_address(struct bench *bench) {
        struct prefix prefix = {.family = random_next(bench) % 3 == 0 ? AF_INET6 : AF_INET};

        prefix.bits = (uint8_t)prefix_bits_max(prefix.family);
        for (size_t i = 0; i < prefix.bits / 8u; i++)
                prefix.address[i] = (uint8_t)random_next(bench);
        if (prefix.family == AF_INET6)
                prefix.address[0] = 0x20 | (prefix.address[0] & 0x1f);
        return prefix;
}

static void make_networks(struct bench *bench) {
        bench->networks = calloc(MANY, sizeof(*bench->networks));
        bench->peers = calloc(PEERS, sizeof(*bench->peers));
        if (!bench->networks || !bench->peers)
                errx(2, "out of memory");
        for (uint32_t i = 0; i < MANY;) {
                struct prefix prefix = random_address(bench);
                bool ipv4 = prefix.family == AF_INET;

                prefix_mask(&prefix, ipv4 ? 12 + random_next(bench) % 21 : 28 + random_next(bench) % 37);
                if (prefix_trie_add(&bench->many, &prefix, i) < 0)
                        continue;
                if (i < FEW)
                        prefix_trie_add(&bench->few, &prefix, i);
                bench->networks[i++] = prefix;
        }
        if (prefix_trie_index(&bench->few) < 0 || prefix_trie_index(&bench->many) < 0)
                errx(2, "out of memory");
}

static void open_listener(struct bench *bench) {
        socklen_t size = sizeof(bench->address.in);

        bench->address.in = (struct sockaddr_in){
                .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        bench->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bench->listener < 0 || bind(bench->listener, &bench->address.sa, size) < 0 ||
            listen(bench->listener, CONNECTIONS) < 0 || getsockname(bench->listener, &bench->address.sa, &size) < 0)
                err(2, "listen");
}

static int connect_client(const struct bench *bench) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || connect(fd, &bench->address.sa, sizeof(bench->address.in)) < 0)
                err(2, "connect");
        return fd;
}

static void accept_and_close(const struct bench *bench) {
        union sockaddr_any peer;
        socklen_t size = sizeof(peer);
        int fd = accept4(bench->listener, &peer.sa, &size, SOCK_CLOEXEC);

        if (fd < 0)
                err(2, "accept4");
        close(fd);
}

static double time_accept(const struct bench *bench) {
        int clients[CONNECTIONS];
        double begin, end;

        for (int i = 0; i < CONNECTIONS; i++)
                clients[i] = connect_client(bench);
        begin = now_ns();
        for (int i = 0; i < CONNECTIONS; i++)
                accept_and_close(bench);
        end = now_ns();
        for (int i = 0; i < CONNECTIONS; i++)
                close(clients[i]);
        return (end - begin) / CONNECTIONS;
}

static struct prefix within(struct bench *bench, const struct prefix *network) {
        struct prefix peer = {.family = network->family, .bits = (uint8_t)prefix_bits_max(network->family)};
        struct prefix first;

        for (size_t i = 0; i < peer.bits / 8u; i++)
                peer.address[i] = (uint8_t)random_next(bench);
        first = peer;
        prefix_mask(&first, network->bits);
        for (size_t i = 0; i < sizeof(peer.address); i++)
                peer.address[i] ^= first.address[i] ^ network->address[i];
        return peer;
}

/* Half of them anywhere, half within one of the first COUNT networks. */
static void make_peers(struct bench *bench, uint32_t count) {
        for (size_t i = 0; i < PEERS; i++) {
                struct prefix peer = i % 2 == 0 ? random_address(bench)
                                                : within(bench, &bench->networks[random_next(bench) % count]);

                bench->peers[i] = (union sockaddr_any){.sa.sa_family = peer.family};
                if (peer.family == AF_INET)
                        memcpy(&bench->peers[i].in.sin_addr, peer.address, 4);
                else
                        memcpy(&bench->peers[i].in6.sin6_addr, peer.address, 16);
        }
}

static void look_up(struct bench *bench, const struct prefix_trie *trie, size_t index) {
        uint32_t value = 0;

        bench->sum += prefix_trie_find(trie, &bench->peers[index], &value) ? value : 1;
}

static double time_find(struct bench *bench, const struct prefix_trie *trie, uint32_t count) {
        double begin;

        make_peers(bench, count);
        begin = now_ns();
        for (size_t i = 0; i < PEERS; i++)
                look_up(bench, trie, i);
        return (now_ns() - begin) / PEERS;
}

static int compare(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static double median(double *values, size_t count) {
        qsort(values, count, sizeof(*values), compare);
        return values[count / 2];
}

/* Less what looking at the clock takes. Of the peers that time_find() left. */
static double time_between(struct bench *bench) {
        double found[CONNECTIONS], idle[CONNECTIONS];

        for (size_t i = 0; i < CONNECTIONS; i++) {
                int client = connect_client(bench);
                double begin, middle;

                accept_and_close(bench);
                begin = now_ns();
                look_up(bench, &bench->many, i);
                middle = now_ns();
                idle[i] = now_ns() - middle;
                found[i] = middle - begin;
                close(client);
        }
        return median(found, CONNECTIONS) - median(idle, CONNECTIONS);
}

static void run(struct bench *bench, size_t rounds, struct samples *ret) {
        for (size_t i = 0; i < rounds; i++) {
                ret->accept[i] = time_accept(bench);
                ret->few[i] = time_find(bench, &bench->few, FEW);
                ret->many[i] = time_find(bench, &bench->many, MANY);
                ret->between[i] = time_between(bench);
        }
}

static void print(const char *what, double ns, double accept_ns) {
        printf("%-40s %8.1f ns %7.2f %%\n", what, ns, 100 * ns / accept_ns);
}

int main(int argc, char **argv) {
        static struct samples samples;
        struct bench bench = {.state = 4242, .listener = -1};
        double accept_ns, many_ns;
        size_t rounds = 50;
        bool check = false;

        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--check") == 0)
                        check = true;
                else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc && atoi(argv[i + 1]) > 0 &&
                         atoi(argv[i + 1]) <= ROUNDS_MAX)
                        rounds = (size_t)atoi(argv[++i]);
                else
                        errx(2, "usage: access [--rounds N] [--check]");
        }
        make_networks(&bench);
        open_listener(&bench);
        run(&bench, rounds, &samples);
        accept_ns = median(samples.accept, rounds);
        many_ns = median(samples.many, rounds);
        print("accept4 and close", accept_ns, accept_ns);
        print("3 networks, peers in a row", median(samples.few, rounds), accept_ns);
        print("10000 networks, peers in a row", many_ns, accept_ns);
        print("10000 networks, after an accept each", median(samples.between, rounds), accept_ns);
        if (bench.sum == 0)
                errx(2, "nobody was found");
        return check && many_ns > accept_ns / 100 ? 1 : 0;
}
