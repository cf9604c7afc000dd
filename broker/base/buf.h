/* A growing text buffer. Running out of memory is remembered in the buffer and reported once at the end, so that
 * writers need not check every step: buf_failed(). */
#pragma once

#include "base/defs.h"

#include <stdarg.h>
#include <stdbool.h>

struct buf {
        char *data; /* always NUL-terminated once something was added; NULL before */
        size_t size;
        size_t room;
        bool failed;
};

#define BUF_NULL ((struct buf){0})

void buf_deinit(struct buf *buf);
void buf_clear(struct buf *buf);
void buf_add(struct buf *buf, const char *data, size_t size);
void buf_add_string(struct buf *buf, const char *text);
void buf_add_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *buf, const char *format, va_list args) PRINTF_LIKE(2, 0);

/* Adds TEXT for a line that people read: control characters, also those of ISO 8859 and Unicode that end lines or turn
 * text round, and what is not UTF-8 as \xNN, a backslash doubled. */
void buf_add_escaped(struct buf *buf, const char *text);

/* Adds TEXT with U+FFFD for every byte that is not UTF-8. */
void buf_add_valid(struct buf *buf, const char *text);

/* Adds TEXT as a JSON string with its quotes (RFC 8259); bytes that are not UTF-8 become U+FFFD. */
void buf_add_json(struct buf *buf, const char *text);

static inline bool buf_failed(const struct buf *buf) {
        return buf->failed;
}

/* The text so far; "" when there is none. Valid until the next change. */
static inline const char *buf_text(const struct buf *buf) {
        return buf->data ? buf->data : "";
}

/* Gives the text to the caller, who frees it, and leaves the buffer empty. NULL when memory ran out. */
char *buf_take(struct buf *buf);
