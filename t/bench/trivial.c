/*
 * trivial: the cheapest program there is, started once per connection by everything t/bench/run
 * compares.
 *
 * It says "ok" on descriptor 1 and is gone. Built with TRIVIAL_BARE it has its own entry point and
 * neither a C library nor a dynamic loader, so what a benchmark sees is the kernel's cost of
 * creating a process and that of the program which creates it, nothing else. Without TRIVIAL_BARE
 * (an architecture whose system call instruction is not written below) it is an ordinary program
 * that does the same.
 */

#ifdef TRIVIAL_BARE

#include <sys/syscall.h>

static long system_call(long number, long a, long b, long c) {
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
#error "TRIVIAL_BARE needs the system call instruction of this architecture"
#endif
}

void _start(void);

void _start(void) {
        long written = system_call(SYS_write, 1, (long)"ok\n", 3);

        for (;;)
                system_call(SYS_exit_group, written == 3 ? 0 : 1, 0, 0);
}

#else

#include <unistd.h>

int main(void) {
        _exit(write(1, "ok\n", 3) == 3 ? 0 : 1);
}

#endif
