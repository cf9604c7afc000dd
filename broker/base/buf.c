#include "base/buf.h"

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

void buf_deinit(struct buf *buf) {
        free(buf->data);
        *buf = BUF_NULL;
}

void buf_clear(struct buf *buf) {
        buf->size = 0;
        buf->failed = false;
        if (buf->data)
                buf->data[0] = '\0';
}

static bool buf_reserve(struct buf *buf, size_t more) {
        size_t want = buf->size + more + 1;
        char *data;

        if (buf->failed || want < more)
                return false;
        if (want <= buf->room)
                return true;
        want = MAX_OF(want, buf->room * 2);
        want = MAX_OF(want, (size_t)64);
        data = realloc(buf->data, want);
        if (!data) {
                buf->failed = true;
                return false;
        }
        buf->data = data;
        buf->room = want;
        return true;
}

void buf_add(struct buf *buf, const char *data, size_t size) {
        if (!buf_reserve(buf, size))
                return;
        if (size > 0)
                memcpy(buf->data + buf->size, data, size);
        buf->size += size;
        buf->data[buf->size] = '\0';
}

void buf_add_string(struct buf *buf, const char *text) {
        buf_add(buf, text, strlen(text));
}

void buf_add_char(struct buf *buf, char c) {
        buf_add(buf, &c, 1);
}

void buf_vprintf(struct buf *buf, const char *format, va_list args) {
        va_list again;
        int n;

        va_copy(again, args);
        n = vsnprintf(NULL, 0, format, args);
        if (n >= 0 && buf_reserve(buf, (size_t)n)) {
                vsnprintf(buf->data + buf->size, (size_t)n + 1, format, again);
                buf->size += (size_t)n;
        }
        va_end(again);
}

void buf_printf(struct buf *buf, const char *format, ...) {
        va_list args;

        va_start(args, format);
        buf_vprintf(buf, format, args);
        va_end(args);
}

void buf_add_escaped(struct buf *buf, const char *text) {
        const unsigned char *p = (const unsigned char *)text;

        while (*p) {
                size_t n = utf8_sequence(p);
                bool odd = n == 0 || utf8_is_control(p, n);

                n = MAX_OF(n, (size_t)1);
                if (*p == '\\')
                        buf_add(buf, "\\\\", 2);
                else if (!odd)
                        buf_add(buf, (const char *)p, n);
                for (size_t i = 0; odd && i < n; i++)
                        buf_printf(buf, "\\x%02x", p[i]);
                p += n;
        }
}

void buf_add_valid(struct buf *buf, const char *text) {
        const unsigned char *p = (const unsigned char *)text;

        while (*p) {
                size_t n = utf8_sequence(p);

                if (n > 0)
                        buf_add(buf, (const char *)p, n);
                else
                        buf_add_string(buf, "\xef\xbf\xbd");
                p += n > 0 ? n : 1;
        }
}

void buf_add_json(struct buf *buf, const char *text) {
        const unsigned char *p = (const unsigned char *)text;

        buf_add_char(buf, '"');
        while (*p) {
                size_t n = utf8_sequence(p);

                if (n == 0) {
                        buf_add_string(buf, "\\ufffd");
                        n = 1;
                } else if (*p == '"' || *p == '\\') {
                        buf_add_char(buf, '\\');
                        buf_add_char(buf, (char)*p);
                } else if (utf8_is_control(p, n)) {
                        buf_printf(buf, "\\u%04x", utf8_character(p, n));
                } else {
                        buf_add(buf, (const char *)p, n);
                }
                p += n;
        }
        buf_add_char(buf, '"');
}

char *buf_take(struct buf *buf) {
        char *text = NULL;

        if (!buf->failed) {
                buf_add(buf, "", 0);
                text = take_ptr(buf->data);
        }
        buf_deinit(buf);
        return text;
}
