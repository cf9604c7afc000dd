/* How a line reaches stderr without ever blocking. A pipe or terminal that we can open again by /proc/self/fd/2 gets an
 * open file description of our own, non-blocking; where that is refused (a socket, a pipe of another user) every write
 * is preceded by poll(2) and is at most PIPE_BUF long, which a writable pipe takes whole (pipe(7)). */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_WAITING_MAX (256 * 1024) /* bytes kept for a reader that is slow */
#define LOG_ROOM_KEPT (32 * 1024)    /* of the memory for them, when all are written */
#define LOG_MESSAGE_MAX 2048

const char *const log_level_names[LOG_LEVEL_N] = {
        [LOG_LEVEL_ERROR] = "error",
        [LOG_LEVEL_WARNING] = "warning",
        [LOG_LEVEL_INFO] = "info",
        [LOG_LEVEL_DEBUG] = "debug",
};

const char *const log_format_names[LOG_FORMAT_N] = {
        [LOG_FORMAT_TEXT] = "text",
        [LOG_FORMAT_JSON] = "json",
        [LOG_FORMAT_JOURNAL] = "journal",
        [LOG_FORMAT_SYSLOG] = "syslog",
};

static struct {
        struct log_settings settings;
        int fd;         /* our own description of stderr, or 2 */
        bool own;       /* fd is ours and non-blocking */
        size_t dropped; /* lines lost since the last one that went out, of whichever sink */
        size_t sent;    /* bytes of waiting already written */
        struct buf waiting;
} sink = {
        .settings = {.level = LOG_LEVEL_INFO},
        .fd = STDERR_FILENO,
};

bool log_is_enabled(enum log_level level) {
        return level <= sink.settings.level;
}

void log_configure(const struct log_settings *settings) {
        sink.settings = *settings;
}

void log_set_style(enum log_format format, enum log_level level) {
        sink.settings.format = format;
        sink.settings.level = level;
}

void log_open(void) {
        struct stat st;
        int fd;

        if (sink.own || fstat(STDERR_FILENO, &st) < 0)
                return;
        /* A regular file opened again would have an offset of its own and overwrite others' lines. */
        if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
                return;
        fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
                return;
        sink.fd = fd;
        sink.own = true;
}

int log_fd(void) {
        return sink.fd;
}

static bool sink_is_writable(int timeout_ms) {
        struct pollfd p = {.fd = sink.fd, .events = POLLOUT};

        return poll(&p, 1, timeout_ms) > 0;
}

/* Writes what is waiting, as far as it is taken; returns what is left. */
static size_t write_waiting(void) {
        ssize_t n;

        while (sink.sent < sink.waiting.size) {
                size_t size = sink.waiting.size - sink.sent;

                if (!sink.own) {
                        if (!sink_is_writable(0))
                                break;
                        size = MIN_OF(size, (size_t)PIPE_BUF);
                }
                n = write(sink.fd, sink.waiting.data + sink.sent, size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                /* Nobody will ever read it: a closed pipe, a full disk. Forget it rather than keep it for ever. */
                sink.sent += n < 0 ? size : (size_t)n;
        }
        if (sink.sent > 0 && sink.sent >= sink.waiting.size / 2) {
                sink.waiting.size -= sink.sent;
                memmove(sink.waiting.data, sink.waiting.data + sink.sent, sink.waiting.size);
                sink.sent = 0;
        }
        if (sink.waiting.size == 0 && sink.waiting.room > LOG_ROOM_KEPT)
                buf_deinit(&sink.waiting);
        return sink.waiting.size - sink.sent;
}

const char *log_waiting(void) {
        return buf_text(&sink.waiting) + sink.sent;
}

size_t log_waiting_size(void) {
        return sink.waiting.size - sink.sent;
}

void log_continue(const char *waiting, size_t size) {
        buf_add(&sink.waiting, waiting, size);
}

/* YYYY-MM-DDThh:mm:ss.mmmZ. The seconds are broken down once a second at most. */
static const char *timestamp(void) {
        static char text[40];
        static time_t second = -1;
        usec_t now = clock_wall();
        time_t current = (time_t)(now / USEC_PER_SEC);
        unsigned ms = (unsigned)(now / 1000 % 1000);
        struct tm tm;

        if (current != second) {
                gmtime_r(&current, &tm);
                strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
                second = current;
        }
        text[20] = (char)('0' + ms / 100);
        text[21] = (char)('0' + ms / 10 % 10);
        text[22] = (char)('0' + ms % 10);
        return text;
}

static void add_number(struct buf *out, const struct log_field *field) {
        if (field->kind == LOG_FIELD_INTEGER)
                buf_printf(out, "%lld", (long long)field->integer);
        else
                buf_printf(out, "%llu.%06u", (unsigned long long)(field->duration / USEC_PER_SEC),
                           (unsigned)(field->duration % USEC_PER_SEC));
}

static bool field_is_absent(const struct log_field *field) {
        return field->kind == LOG_FIELD_STRING && !field->string;
}

static void add_text_value(struct buf *out, const char *value) {
        if (*value && !strpbrk(value, " \"="))
                buf_add_escaped(out, value);
        else
                buf_add_json(out, value);
}

void log_format_body(struct buf *out, const char *message, const struct log_field *fields) {
        for (const struct log_field *f = fields; f && f->key; f++)
                if (strcmp(f->key, "service") == 0 && f->string) {
                        buf_add_escaped(out, f->string);
                        buf_add_string(out, ": ");
                }
        buf_add_escaped(out, message);
        for (const struct log_field *f = fields; f && f->key; f++) {
                if (strcmp(f->key, "service") == 0 || field_is_absent(f))
                        continue;
                buf_printf(out, " %s=", f->key);
                if (f->kind == LOG_FIELD_STRING)
                        add_text_value(out, f->string);
                else
                        add_number(out, f);
        }
}

static void format_text(struct buf *out, enum log_level level, const char *message, const struct log_field *fields) {
        buf_printf(out, "%s %s ", timestamp(), log_level_names[level]);
        log_format_body(out, message, fields);
        buf_add_char(out, '\n');
}

static void format_json(struct buf *out, enum log_level level, const char *message, const struct log_field *fields) {
        buf_printf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":", timestamp(), log_level_names[level]);
        buf_add_json(out, message);
        for (const struct log_field *f = fields; f && f->key; f++) {
                if (field_is_absent(f))
                        continue;
                buf_printf(out, ",\"%s\":", f->key);
                if (f->kind == LOG_FIELD_STRING)
                        buf_add_json(out, f->string);
                else
                        add_number(out, f);
        }
        buf_add_string(out, "}\n");
}

static void sink_add(enum log_level level, const char *message, const struct log_field *fields) {
        if (sink.settings.format == LOG_FORMAT_JSON)
                format_json(&sink.waiting, level, message, fields);
        else
                format_text(&sink.waiting, level, message, fields);
}

static const char lines_are_missing[] = "the log's reader was too slow, lines are missing here";

static void sink_add_dropped(void) {
        size_t n = sink.dropped;

        sink.dropped = 0;
        sink_add(LOG_LEVEL_WARNING, lines_are_missing, LOG_FIELDS(LOG_INTEGER("lines", (int64_t)n)));
}

size_t log_flush(void) {
        size_t left = write_waiting();

        /* A reader who has taken all there was is told now what he has missed, not when something happens next. */
        if (left == 0 && sink.dropped > 0 && !sink.settings.send[sink.settings.format]) {
                sink_add_dropped();
                left = write_waiting();
        }
        return left;
}

/* Hands a line to the sink of the format, where it has one. False: the line is to be text. */
static bool sink_send(enum log_level level, const char *message, const struct log_field *fields) {
        log_send_fn *send = sink.settings.send[sink.settings.format];
        int r = send ? 0 : -ENOTCONN;

        if (send && sink.dropped > 0) {
                r = send(LOG_LEVEL_WARNING, lines_are_missing, LOG_FIELDS(LOG_INTEGER("lines", (int64_t)sink.dropped)));
                if (r == 0)
                        sink.dropped = 0;
        }
        if (r == 0)
                r = send(level, message, fields);
        if (r == -EAGAIN)
                sink.dropped++;
        return r == 0 || r == -EAGAIN;
}

void log_event(enum log_level level, const struct log_field *fields, const char *format, ...) {
        char message[LOG_MESSAGE_MAX];
        va_list args;

        if (!log_is_enabled(level))
                return;
        va_start(args, format);
        vsnprintf(message, sizeof(message), format, args);
        va_end(args);
        if (sink_send(level, message, fields))
                return;
        if (sink.waiting.size - sink.sent > LOG_WAITING_MAX && log_flush() > LOG_WAITING_MAX) {
                sink.dropped++;
                return;
        }
        /* Memory ran out for an earlier line; there may be some again. */
        if (buf_failed(&sink.waiting)) {
                sink.waiting.failed = false;
                sink.dropped++;
        }
        if (sink.dropped > 0)
                sink_add_dropped();
        sink_add(level, message, fields);
        if (!sink.settings.deferred)
                log_flush();
}

void log_finish(usec_t patience, usec_t timeout) {
        usec_t now = clock_monotonic(), deadline = now + timeout, until = now + patience;
        size_t left, before = SIZE_MAX;

        while ((left = log_flush()) > 0) {
                now = clock_monotonic();
                if (left < before)
                        until = now + patience;
                before = left;
                if (now >= MIN_OF(until, deadline))
                        break;
                sink_is_writable(10);
        }
}

void log_err_site(int code) {
        const struct err_site *site = err_site(code);

        if (site)
                log_debug("%s was raised in %s (%s:%d)", err_text(code), site->function, site->file, site->line);
}
