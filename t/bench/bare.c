/*
 * bare: the least a program can do to start one process per connection, as the yardstick for
 * t/bench/run.
 *
 *     bare [--vfork|--fork|--clone-async] PORT|0 COMMAND [ARG]...
 *
 * Listens on 127.0.0.1, prints the port, then: accept, create a process whose descriptors 0 and 1
 * are the connection, close, reap whoever is done. No admission, no log, no environment, no limits:
 * what a broker costs beyond this is its own. COMMAND is a path, PATH is not searched.
 *
 * The process is created with vfork by default. --clone-async lets the child exec on a stack of its
 * own while the loop goes on; it may only make raw system calls there, as it shares our memory and
 * with it errno.
 */

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKLOG 4096
#define SLOT_N 64
#define STACK_SIZE (32 * 1024)

enum spawn_method { SPAWN_VFORK, SPAWN_FORK, SPAWN_CLONE_ASYNC };

struct slot {
        char *stack_top;
        int busy; /* the kernel writes 0 here when the child has left our memory:
                     CLONE_CHILD_CLEARTID */
        int conn;
};

static char **command;
static struct slot slots[SLOT_N];

static void die(const char *what) {
        fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
        exit(1);
}

static inline long raw_call(long number, long a, long b, long c) {
#if defined(__x86_64__)
        long ret;

        __asm__ volatile("syscall" : "=a"(ret) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
        return ret;
#elif defined(__aarch64__)
        register long x8 __asm__("x8") = number;
        register long x0 __asm__("x0") = a;
        register long x1 __asm__("x1") = b;
        register long x2 __asm__("x2") = c;

        __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
        return x0;
#else
        /* Good enough for vfork and fork; --clone-async is refused at start on such an
         * architecture. */
        return syscall(number, a, b, c);
#endif
}

static _Noreturn void child_exec(int conn) {
        raw_call(SYS_dup3, conn, 0, 0);
        raw_call(SYS_dup3, conn, 1, 0);
        raw_call(SYS_execve, (long)command[0], (long)command, (long)environ);
        for (;;)
                raw_call(SYS_exit_group, 127, 0, 0);
}

static int child_main(void *arg) {
        const struct slot *slot = arg;

        child_exec(slot->conn);
}

static __attribute__((noinline)) pid_t spawn_vfork(int conn) {
        pid_t pid = vfork();

        if (pid == 0)
                child_exec(conn);
        return pid;
}

static pid_t spawn_fork(int conn) {
        pid_t pid = fork();

        if (pid == 0)
                child_exec(conn);
        return pid;
}

static pid_t spawn_async(int conn) {
        static int next;
        struct slot *slot = &slots[next];

        /* The oldest child is still on its stack: the machine is behind, waiting for an exec is
         * what vfork does. */
        if (__atomic_load_n(&slot->busy, __ATOMIC_ACQUIRE))
                return spawn_vfork(conn);
        next = (next + 1) % SLOT_N;
        slot->conn = conn;
        slot->busy = 1;
        return clone(child_main, slot->stack_top, CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, slot, NULL, NULL,
                     &slot->busy);
}

static void make_slots(void) {
        char *memory;

#if !defined(__x86_64__) && !defined(__aarch64__)
        fprintf(stderr, "bare: --clone-async is not written for this architecture\n");
        exit(2);
#endif
        memory = mmap(NULL, (size_t)STACK_SIZE * SLOT_N, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (memory == MAP_FAILED)
                die("mmap");
        for (int i = 0; i < SLOT_N; i++)
                slots[i].stack_top = memory + (size_t)STACK_SIZE * (size_t)(i + 1);
}

static int listen_on(uint16_t port) {
        struct sockaddr_in sin = {
                .sin_family = AF_INET,
                .sin_port = htons(port),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        socklen_t len = sizeof(sin);
        int fd, one = 1;

        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                die("socket");
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, (struct sockaddr *)&sin, len) < 0)
                die("bind");
        if (listen(fd, BACKLOG) < 0)
                die("listen");
        if (getsockname(fd, (struct sockaddr *)&sin, &len) < 0)
                die("getsockname");
        printf("%u\n", ntohs(sin.sin_port));
        fflush(stdout);
        return fd;
}

static _Noreturn void serve(int listener, enum spawn_method method) {
        for (;;) {
                int conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                pid_t pid;

                if (conn < 0) {
                        if (errno == ECONNABORTED || errno == EINTR)
                                continue;
                        die("accept");
                }
                if (method == SPAWN_VFORK)
                        pid = spawn_vfork(conn);
                else if (method == SPAWN_FORK)
                        pid = spawn_fork(conn);
                else
                        pid = spawn_async(conn);
                if (pid < 0)
                        die("cannot create a process");
                close(conn);
                while (waitpid(-1, NULL, WNOHANG) > 0)
                        ;
        }
}

static _Noreturn void usage(void) {
        fprintf(stderr, "usage: bare [--vfork|--fork|--clone-async] PORT|0 COMMAND [ARG]...\n");
        exit(2);
}

int main(int argc, char **argv) {
        static const struct option options[] = {
                {"vfork", no_argument, NULL, SPAWN_VFORK},
                {"fork", no_argument, NULL, SPAWN_FORK},
                {"clone-async", no_argument, NULL, SPAWN_CLONE_ASYNC},
                {0},
        };
        enum spawn_method method = SPAWN_VFORK;
        unsigned long port;
        char *end;
        int opt;

        while ((opt = getopt_long(argc, argv, "+", options, NULL)) != -1) {
                if (opt == '?')
                        usage();
                method = (enum spawn_method)opt;
        }
        if (argc - optind < 2)
                usage();
        port = strtoul(argv[optind], &end, 10);
        if (*end != '\0' || end == argv[optind] || port > UINT16_MAX)
                usage();
        command = argv + optind + 1;
        signal(SIGCHLD, SIG_DFL);
        if (method == SPAWN_CLONE_ASYNC)
                make_slots();
        serve(listen_on((uint16_t)port), method);
}
