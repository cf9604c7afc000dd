/*
 * spawnhold: how long is a single-threaded parent held by starting one process?
 *
 *     spawnhold [-r ROUNDS] [-k SAMPLES] [-m MEGABYTES] PROGRAM
 *
 * Compares the ways Linux offers to create a process that goes straight to execve, with few and
 * with many other descriptors open in the parent, because a broker holds one descriptor per
 * listener, worker and relayed connection. Two things are measured for each spawn: until the parent
 * has control again and may close the descriptor it handed over ("held"), and until the child has
 * run and is reaped ("to exit"). A third figure is the time per process when many are started in a
 * row and only then reaped.
 *
 * What makes the figures comparable: every round forks a fresh worker for each number of
 * descriptors, so that each has a descriptor table that never was larger; within a round the
 * methods take turns one spawn at a time, beginning with another one each time, so that a
 * disturbance of the machine hits all alike; the first turns are not counted; the medians of all
 * samples are reported. The worker touches some megabytes first, as fork() pays for the pages a
 * parent has.
 *
 * All methods do the same for the child: /dev/null as descriptor 1, then execve. The pool methods
 * run the child on a stack of its own in the parent's memory while the parent goes on, which is why
 * that child makes system calls without the C library: errno and everything else in thread-local
 * storage is the parent's.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
        METHOD_FORK,
        METHOD_VFORK,
        METHOD_POSIX_SPAWN,
        METHOD_VM_VFORK,
        METHOD_VM_VFORK_FILES,
        METHOD_VM,
        METHOD_VM_FILES_WAIT,
        METHOD_VM_FILES,
        METHOD_N
};

static const char *const method_names[METHOD_N] = {
        [METHOD_FORK] = "fork",
        [METHOD_VFORK] = "vfork",
        [METHOD_POSIX_SPAWN] = "posix_spawn",
        [METHOD_VM_VFORK] = "clone VM|VFORK",
        [METHOD_VM_VFORK_FILES] = "clone VM|VFORK|FILES, unshare",
        [METHOD_VM] = "clone VM, pool",
        [METHOD_VM_FILES_WAIT] = "clone VM|FILES, pool, wait unshare",
        [METHOD_VM_FILES] = "clone VM|FILES, pool, no wait",
};

static const int descriptor_counts[] = {10, 1000, 5000};

#define COUNT_N ((int)(sizeof(descriptor_counts) / sizeof(descriptor_counts[0])))
#define STACK_SIZE (32 * 1024)
#define SLOT_N 64
#define BURST_N SLOT_N
#define WARM_UP 3

/* A stack for a child that runs beside us, and the two words it tells us by. */
struct slot {
        char *stack_top;
        int busy;     /* the kernel writes 0 here when the child has left our memory:
                         CLONE_CHILD_CLEARTID */
        int unshared; /* the child writes 1 here once our descriptors are no longer its own */
        bool shares_files;
        bool tells;
};

struct bench {
        const char *program;
        char *const *argv;
        int null_fd;
        int rounds;
        int samples;
        long ballast;
        struct slot slots[SLOT_N];
        int next_slot;
        uint32_t *held;  /* nanoseconds, [COUNT_N][METHOD_N][rounds * samples], shared with the
                            workers */
        uint32_t *total; /* the same */
        uint32_t *burst; /* nanoseconds per process, [COUNT_N][METHOD_N][rounds] */
};

static struct bench bench;

static void die(const char *what) {
        fprintf(stderr, "spawnhold: %s: %s\n", what, strerror(errno));
        exit(1);
}

static uint64_t now_ns(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A system call that touches neither errno nor anything else in thread-local storage. */
static inline long raw_call(long number, long a, long b, long c, long d) {
#if defined(__x86_64__)
        long ret;
        register long r10 __asm__("r10") = d;

        __asm__ volatile("syscall"
                         : "=a"(ret)
                         : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                         : "rcx", "r11", "memory");
        return ret;
#elif defined(__aarch64__)
        register long x8 __asm__("x8") = number;
        register long x0 __asm__("x0") = a;
        register long x1 __asm__("x1") = b;
        register long x2 __asm__("x2") = c;
        register long x3 __asm__("x3") = d;

        __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
        return x0;
#else
#error "spawnhold needs the system call instruction of this architecture"
#endif
}

/* Not FUTEX_PRIVATE: the wake that comes with CLONE_CHILD_CLEARTID is a shared one. */
static void word_wait_while(int *word, int value) {
        while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
                raw_call(SYS_futex, (long)word, FUTEX_WAIT, value, 0);
}

static _Noreturn void child_exec(void) {
        raw_call(SYS_dup3, bench.null_fd, 1, 0, 0);
        raw_call(SYS_execve, (long)bench.program, (long)bench.argv, (long)environ, 0);
        for (;;)
                raw_call(SYS_exit_group, 127, 0, 0, 0);
}

static int child_main(void *arg) {
        struct slot *slot = arg;

        if (slot->shares_files) {
                /* Everything above what the child needs is left out of the copy, not copied and
                 * then closed. Until here the table is the parent's, so this must come before
                 * anything that changes it. */
                if (raw_call(SYS_close_range, bench.null_fd + 1, (long)~0U, CLOSE_RANGE_UNSHARE, 0) < 0)
                        for (;;)
                                raw_call(SYS_exit_group, 126, 0, 0, 0);
                if (slot->tells) {
                        __atomic_store_n(&slot->unshared, 1, __ATOMIC_RELEASE);
                        raw_call(SYS_futex, (long)&slot->unshared, FUTEX_WAKE_PRIVATE, 1, 0);
                }
        }
        child_exec();
}

static pid_t spawn_clone(int flags, bool tells) {
        struct slot *slot = &bench.slots[bench.next_slot];
        pid_t pid;

        bench.next_slot = (bench.next_slot + 1) % SLOT_N;
        word_wait_while(&slot->busy, 1);
        slot->busy = 1;
        slot->unshared = 0;
        slot->shares_files = flags & CLONE_FILES;
        slot->tells = tells;

        pid = clone(child_main, slot->stack_top, flags | CLONE_CHILD_CLEARTID | SIGCHLD, slot, NULL, NULL, &slot->busy);
        if (pid > 0 && tells)
                while (__atomic_load_n(&slot->unshared, __ATOMIC_ACQUIRE) == 0)
                        raw_call(SYS_futex, (long)&slot->unshared, FUTEX_WAIT_PRIVATE, 0, 0);
        return pid;
}

static pid_t spawn_fork(void) {
        pid_t pid = fork();

        if (pid == 0)
                child_exec();
        return pid;
}

static __attribute__((noinline)) pid_t spawn_vfork(void) {
        pid_t pid = vfork();

        if (pid == 0)
                child_exec();
        return pid;
}

static pid_t spawn_posix(void) {
        posix_spawn_file_actions_t actions;
        pid_t pid = -1;
        int r;

        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, bench.null_fd, 1);
        r = posix_spawn(&pid, bench.program, &actions, NULL, bench.argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        if (r != 0) {
                errno = r;
                return -1;
        }
        return pid;
}

static pid_t spawn(int method) {
        switch (method) {
        case METHOD_FORK:
                return spawn_fork();
        case METHOD_VFORK:
                return spawn_vfork();
        case METHOD_POSIX_SPAWN:
                return spawn_posix();
        case METHOD_VM_VFORK:
                return spawn_clone(CLONE_VM | CLONE_VFORK, false);
        case METHOD_VM_VFORK_FILES:
                return spawn_clone(CLONE_VM | CLONE_VFORK | CLONE_FILES, false);
        case METHOD_VM:
                return spawn_clone(CLONE_VM, false);
        case METHOD_VM_FILES_WAIT:
                return spawn_clone(CLONE_VM | CLONE_FILES, true);
        default:
                return spawn_clone(CLONE_VM | CLONE_FILES, false);
        }
}

static void reap(int method) {
        int status;

        if (waitpid(-1, &status, 0) < 0)
                die("waitpid");
        if (status != 0) {
                fprintf(stderr, "spawnhold: %s: the child failed, wait status 0x%x\n", method_names[method], status);
                exit(1);
        }
}

static void measure_one(int method, uint32_t *ret_held, uint32_t *ret_total) {
        uint64_t start = now_ns(), back, end;

        if (spawn(method) < 0)
                die(method_names[method]);
        back = now_ns();
        reap(method);
        end = now_ns();
        *ret_held = (uint32_t)(back - start);
        *ret_total = (uint32_t)(end - start);
}

static uint32_t measure_burst(int method) {
        uint64_t start = now_ns();

        for (int i = 0; i < BURST_N; i++)
                if (spawn(method) < 0)
                        die(method_names[method]);
        for (int i = 0; i < BURST_N; i++)
                reap(method);
        return (uint32_t)((now_ns() - start) / BURST_N);
}

static void open_descriptors(int count) {
        for (int i = 0; i < count; i++)
                if (socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0)
                        die("socket");
}

static void make_slots(void) {
        char *memory = mmap(NULL, (size_t)STACK_SIZE * SLOT_N, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

        if (memory == MAP_FAILED)
                die("mmap");
        for (int i = 0; i < SLOT_N; i++)
                bench.slots[i].stack_top = memory + (size_t)STACK_SIZE * (size_t)(i + 1);
}

static size_t sample_index(int count, int method) {
        return ((size_t)count * METHOD_N + (size_t)method) * (size_t)bench.rounds * (size_t)bench.samples;
}

/* Runs in a process of its own, which leaves its figures in the shared arrays. */
static _Noreturn void worker(int round, int count) {
        char *ballast = malloc((size_t)bench.ballast + 1);

        if (ballast)
                memset(ballast, 1, (size_t)bench.ballast);
        open_descriptors(descriptor_counts[count]);
        make_slots();

        for (int i = -WARM_UP; i < bench.samples; i++)
                for (int m = 0; m < METHOD_N; m++) {
                        int method = (m + i + round + WARM_UP) % METHOD_N;
                        uint32_t held, total;
                        size_t at;

                        measure_one(method, &held, &total);
                        if (i < 0)
                                continue;
                        at = sample_index(count, method) + (size_t)round * (size_t)bench.samples + (size_t)i;
                        bench.held[at] = held;
                        bench.total[at] = total;
                }
        for (int m = 0; m < METHOD_N; m++) {
                int method = (m + round) % METHOD_N;

                bench.burst[(count * METHOD_N + method) * bench.rounds + round] = measure_burst(method);
        }
        free(ballast);
        exit(0);
}

static int compare_samples(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return (x > y) - (x < y);
}

static double quantile_us(uint32_t *values, int n, double q) {
        qsort(values, (size_t)n, sizeof(*values), compare_samples);
        return values[(int)(q * (n - 1) + 0.5)] / 1000.0;
}

static void print_table(void) {
        int n = bench.rounds * bench.samples;

        printf("%d samples each, %ld MB parent, microseconds; in a row: per process, %d at once\n", n,
               bench.ballast >> 20, BURST_N);
        printf("%-36s %11s %9s %9s %9s %9s\n", "method", "descriptors", "held p50", "held p90", "to exit", "in a row");
        for (int count = 0; count < COUNT_N; count++)
                for (int m = 0; m < METHOD_N; m++) {
                        uint32_t *held = bench.held + sample_index(count, m);
                        uint32_t *total = bench.total + sample_index(count, m);
                        uint32_t *burst = bench.burst + (count * METHOD_N + m) * bench.rounds;

                        printf("%-36s %11d %9.1f %9.1f %9.1f %9.1f\n", method_names[m], descriptor_counts[count],
                               quantile_us(held, n, 0.5), quantile_us(held, n, 0.9), quantile_us(total, n, 0.5),
                               quantile_us(burst, bench.rounds, 0.5));
                }
}

static void *shared_array(size_t elements) {
        void *p = mmap(NULL, elements * sizeof(uint32_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                die("mmap");
        return p;
}

static void prepare(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                die("getrlimit");
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                die("setrlimit");

        /* Below all the others, as a broker keeps what it hands over, so that one close_range()
         * cuts off the rest. */
        bench.null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (bench.null_fd < 0)
                die("/dev/null");

        bench.held = shared_array(sample_index(COUNT_N, 0));
        bench.total = shared_array(sample_index(COUNT_N, 0));
        bench.burst = shared_array((size_t)COUNT_N * METHOD_N * (size_t)bench.rounds);
}

static void run_round(int round) {
        for (int c = 0; c < COUNT_N; c++) {
                int count = (c + round) % COUNT_N, status;
                pid_t pid = fork();

                if (pid < 0)
                        die("fork");
                if (pid == 0)
                        worker(round, count);
                if (waitpid(pid, &status, 0) < 0)
                        die("waitpid");
                if (status != 0)
                        exit(1);
        }
}

int main(int argc, char **argv) {
        int opt;

        bench.rounds = 20;
        bench.samples = 50;
        bench.ballast = 8L << 20;
        while ((opt = getopt(argc, argv, "+r:k:m:")) != -1)
                switch (opt) {
                case 'r':
                        bench.rounds = atoi(optarg);
                        break;
                case 'k':
                        bench.samples = atoi(optarg);
                        break;
                case 'm':
                        bench.ballast = atol(optarg) << 20;
                        break;
                default:
                        optind = argc;
                        break;
                }
        if (optind >= argc || bench.rounds < 1 || bench.samples < 1 || bench.ballast < 0) {
                fprintf(stderr, "usage: spawnhold [-r ROUNDS] [-k SAMPLES] [-m MEGABYTES] PROGRAM\n");
                return 2;
        }
        bench.program = argv[optind];
        bench.argv = argv + optind;
        prepare();
        for (int round = 0; round < bench.rounds; round++)
                run_round(round);
        print_table();
        return 0;
}
