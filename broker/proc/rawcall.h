/* System calls without the C library. A child that shares our memory and runs beside us (proc/launch.c) also shares our
 * thread's storage, errno in it; the C library's wrappers would write to it under our feet. These return the kernel's
 * value: -errno on failure. */
#pragma once

#include <sys/syscall.h>

/* On 32-bit processors several of these calls have an older variant with 16-bit ids under the plain name. */
_Static_assert(sizeof(long) == 8, "64-bit processors only");

#if defined(__x86_64__)
#define RAWCALL_NATIVE 1

static inline long rawcall(long number, long a, long b, long c, long d, long e) {
        register long r10 __asm__("r10") = d;
        register long r8 __asm__("r8") = e;
        long result;

        __asm__ volatile("syscall"
                         : "=a"(result)
                         : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                         : "rcx", "r11", "memory");
        return result;
}

#elif defined(__aarch64__)
#define RAWCALL_NATIVE 1

static inline long rawcall(long number, long a, long b, long c, long d, long e) {
        register long x8 __asm__("x8") = number;
        register long x0 __asm__("x0") = a;
        register long x1 __asm__("x1") = b;
        register long x2 __asm__("x2") = c;
        register long x3 __asm__("x3") = d;
        register long x4 __asm__("x4") = e;

        __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
        return x0;
}

#else
/* Elsewhere children never run beside us: launch.c holds the parent until they have exec'ed, as vfork(2) does. */
#define RAWCALL_NATIVE 0

#include <errno.h>
#include <unistd.h>

static inline long rawcall(long number, long a, long b, long c, long d, long e) {
        long result = syscall(number, a, b, c, d, e);

        return result < 0 ? -errno : result;
}
#endif

#define RAWCALL_0(name) rawcall(SYS_##name, 0, 0, 0, 0, 0)
#define RAWCALL_1(name, a) rawcall(SYS_##name, (long)(a), 0, 0, 0, 0)
#define RAWCALL_2(name, a, b) rawcall(SYS_##name, (long)(a), (long)(b), 0, 0, 0)
#define RAWCALL_3(name, a, b, c) rawcall(SYS_##name, (long)(a), (long)(b), (long)(c), 0, 0)
#define RAWCALL_4(name, a, b, c, d) rawcall(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), 0)
#define RAWCALL_5(name, a, b, c, d, e) rawcall(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))
