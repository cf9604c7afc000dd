/* The program that a spare runs while it waits for its connection (proc/spareword.h): without a C library, a few pages,
 * nothing of the broker's memory. It has the credentials, limits and environment of the program that it is to become,
 * and the same pid, so that is all there is left to do. */
#include "proc/rawcall.h"
#include "proc/spareword.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* Words with the client's address in them; a start has no more room for words (proc/slot.h). */
#define TEXT_MAX ((size_t)448 * 1024)

struct spare {
        char *path;
        char **argv;
        char **envp;
        long gap_at;
        long gap_count;
        char addr_byte;
        char port_byte;
        long targets[SPARE_TARGETS_MAX];
        size_t target_count;
};

static char message[SPARE_MESSAGE_MAX];
static char text[TEXT_MAX];
static size_t text_size;

static _Noreturn void end(int status) {
        for (;;)
                RAWCALL_1(exit_group, status);
}

/* The compiler may write calls of these. */
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int byte, size_t n);

void *memcpy(void *restrict to, const void *restrict from, size_t n) {
        volatile char *at = to;

        for (size_t i = 0; i < n; i++)
                at[i] = ((const char *)from)[i];
        return to;
}

void *memset(void *to, int byte, size_t n) {
        volatile char *at = to;

        for (size_t i = 0; i < n; i++)
                at[i] = (char)byte;
        return to;
}

static _Noreturn void fail(enum spare_trouble trouble, long error) {
        struct spare_answer answer = {.trouble = trouble, .error = (int)-error};
        struct iovec iov = {.iov_base = &answer, .iov_len = sizeof(answer)};
        const struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

        /* The broker may have become another binary meanwhile: then nobody listens, which is not to be our end. */
        RAWCALL_3(sendmsg, SPARE_LINK_FD, &header, MSG_NOSIGNAL);
        end(trouble == SPARE_TROUBLE_EXEC && error == -ENOENT ? 127 : 126);
}

static long read_number(const char **at) {
        long value = 0;

        while (**at == ' ')
                (*at)++;
        while (**at >= '0' && **at <= '9')
                value = 10 * value + *(*at)++ - '0';
        return value;
}

static void read_settings(struct spare *spare, const char *settings) {
        spare->gap_at = read_number(&settings);
        spare->gap_count = read_number(&settings);
        spare->addr_byte = (char)read_number(&settings);
        spare->port_byte = (char)read_number(&settings);
        while (*settings && spare->target_count < SPARE_TARGETS_MAX)
                spare->targets[spare->target_count++] = read_number(&settings);
}

static char *after(char *at) {
        while (*at)
                at++;
        return at + 1;
}

static void append(char c) {
        if (text_size == TEXT_MAX)
                fail(SPARE_TROUBLE_WORDS, -E2BIG);
        text[text_size++] = c;
}

static void append_text(const char *from) {
        while (*from)
                append(*from++);
}

static bool has_placeholder(const struct spare *spare, const char *word) {
        for (; *word; word++)
                if (*word == spare->addr_byte || *word == spare->port_byte)
                        return true;
        return false;
}

static void fill_words(const struct spare *spare, char **words, const char *addr, const char *port) {
        if (spare->addr_byte == 0)
                return;
        for (; *words; words++) {
                const char *from = *words;
                size_t start = text_size;

                if (!has_placeholder(spare, from))
                        continue;
                for (; *from; from++)
                        if (*from == spare->addr_byte)
                                append_text(addr);
                        else if (*from == spare->port_byte)
                                append_text(port);
                        else
                                append(*from);
                append('\0');
                *words = text + start;
        }
}

/* Puts the entries into the gap, and what is behind it close to them. */
static void fill_gap(struct spare *spare, char *at, const char *stop) {
        char **to = spare->envp + spare->gap_at;
        char **from = to + spare->gap_count;

        for (; at < stop && to < from; at = after(at))
                *to++ = at;
        while (*from)
                *to++ = *from++;
        *to = NULL;
}

/* Returns the size of the message. */
static long wait_for_connection(int *ret) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = {.iov_base = message, .iov_len = sizeof(message) - 1};
        struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
        long size;

        do {
                header.msg_controllen = sizeof(control);
                size = RAWCALL_3(recvmsg, SPARE_LINK_FD, &header, MSG_CMSG_CLOEXEC);
        } while (size == -EINTR);
        if (size <= 0)
                end(0);
        if (header.msg_controllen < CMSG_LEN(sizeof(int)) || header.msg_flags & MSG_CTRUNC)
                fail(SPARE_TROUBLE_FDS, -EMFILE);
        *ret = *(const int *)CMSG_DATA(&control.header);
        return size;
}

/* With the first of the targets free, that is where it arrives. */
static void place_connection(const struct spare *spare, int fd) {
        for (size_t i = 0; i < spare->target_count; i++) {
                long r = spare->targets[i] == fd ? RAWCALL_3(fcntl, fd, F_SETFD, 0)
                                                 : RAWCALL_3(dup3, fd, spare->targets[i], 0);

                if (r < 0)
                        fail(SPARE_TROUBLE_FDS, r);
        }
}

static _Noreturn void spare_main(long *stack) {
        char **argv = (char **)(stack + 1);
        struct spare spare = {.path = argv[2], .argv = argv + 3, .envp = argv + stack[0] + 1};
        char *addr = message, *port, *entries;
        long size;
        int fd = -1;

        read_settings(&spare, argv[1]);
        RAWCALL_2(prctl, PR_SET_NAME, SPARE_NAME);
        RAWCALL_3(fcntl, SPARE_LINK_FD, F_SETFD, FD_CLOEXEC);
        RAWCALL_1(close, SPARE_IMAGE_FD);
        RAWCALL_1(close, spare.targets[0]);
        size = wait_for_connection(&fd);
        place_connection(&spare, fd);
        port = after(addr);
        entries = after(port);
        fill_words(&spare, spare.argv, addr, port);
        fill_words(&spare, spare.envp, addr, port);
        fill_gap(&spare, entries, message + size);
        fail(SPARE_TROUBLE_EXEC, RAWCALL_3(execve, spare.path, spare.argv, spare.envp));
}

void spare_start(long *stack) __attribute__((used));

void spare_start(long *stack) {
        spare_main(stack);
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall spare_start\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tb spare_start\n");
#endif
