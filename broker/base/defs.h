/* Small things every file needs: cleanup attributes, ownership transfer, container_of, time units. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define AUTO(fn) __attribute__((cleanup(fn)))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))
#define LENGTH_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))
#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Gives the pointer to the caller and forgets it, so that the cleanup attribute finds nothing to free. */
#define take_ptr(var)                                                                                                  \
        ({                                                                                                             \
                __typeof__(var) taken_ = (var);                                                                        \
                (var) = NULL;                                                                                          \
                taken_;                                                                                                \
        })

static inline void freep(void *p) {
        free(*(void **)p);
}

/* A copy of COUNT items of SIZE bytes, which the caller frees; or NULL when memory ran out. Of no items it is something
 * to be freed, too. */
static inline void *copy_items(const void *items, size_t count, size_t size) {
        void *copy = reallocarray(NULL, count > 0 ? count : 1, size);

        return copy && count > 0 ? memcpy(copy, items, count * size) : copy;
}

/* Microseconds, on whatever clock the name of the variable says; monotonic unless it says otherwise. */
typedef uint64_t usec_t;
#define USEC_PER_SEC ((usec_t)1000000)
#define USEC_PER_MSEC ((usec_t)1000)
#define USEC_INFINITY UINT64_MAX
