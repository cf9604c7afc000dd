/* The log: one event, one line, with fields. Lines are put together here and written by log_flush(), which never
 * blocks: on a pipe that nobody reads the oldest unwritten lines stay, new ones are counted and dropped.
 *
 * The sink is one of the two mutable globals of the daemon. */
#pragma once

#include "base/buf.h"
#include "base/defs.h"

#include <stdbool.h>

enum log_level {
        LOG_LEVEL_ERROR,
        LOG_LEVEL_WARNING,
        LOG_LEVEL_INFO,
        LOG_LEVEL_DEBUG,
        LOG_LEVEL_N,
};

enum log_format {
        LOG_FORMAT_TEXT,
        LOG_FORMAT_JSON,
        LOG_FORMAT_JOURNAL,
        LOG_FORMAT_SYSLOG,
        LOG_FORMAT_N,
};

struct log_field {
        const char *key; /* lower-case; NULL ends the list */
        enum {
                LOG_FIELD_STRING,
                LOG_FIELD_INTEGER,
                LOG_FIELD_DURATION, /* microseconds; written as seconds */
        } kind;
        union {
                const char *string;
                int64_t integer;
                usec_t duration;
        };
};

#define LOG_STRING(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_STRING, .string = (v)})
#define LOG_INTEGER(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_INTEGER, .integer = (v)})
#define LOG_DURATION(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_DURATION, .duration = (v)})

/* The fields of one event. A string field that is NULL is left out; the field "service" leads the line in text form. */
#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.key = NULL}})

/* Writes an event, if LEVEL is not above the level set. */
void log_event(enum log_level level, const struct log_field *fields, const char *format, ...) PRINTF_LIKE(3, 4);

/* The same without fields. */
#define log_error(...) log_event(LOG_LEVEL_ERROR, NULL, __VA_ARGS__)
#define log_warning(...) log_event(LOG_LEVEL_WARNING, NULL, __VA_ARGS__)
#define log_info(...) log_event(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_debug(...) log_event(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__)

/* Adds "(file:line)" of the place that raised CODE, at debug level. */
void log_err_site(int code);

bool log_is_enabled(enum log_level level);

/* A sink beside stderr, which gets message and fields as they are. Returns 0; -EAGAIN when it has no room now: the line
 * is lost, and counted; or another negative errno to fall back to text. */
typedef int log_send_fn(enum log_level level, const char *message, const struct log_field *fields);

struct log_settings {
        enum log_format format;
        enum log_level level;
        log_send_fn *send[LOG_FORMAT_N]; /* for formats that are not written to stderr; NULL for the others */
        /* Leave writing to log_flush() (a program with an event loop), or write every line at once. */
        bool deferred;
};

/* Sets where and what to log. May be called again at any time. */
void log_configure(const struct log_settings *settings);

/* Changes the format and the level alone. */
void log_set_style(enum log_format format, enum log_level level);

/* Opens stderr a second time without blocking, where the kernel lets us: the flag then is ours alone. */
void log_open(void);

/* The descriptor that becomes writable when log_flush() can go on; for watching only. */
int log_fd(void);

/* Writes what is waiting without blocking. Returns the number of bytes that still wait. */
size_t log_flush(void);

/* The same but waits: the last words of a program that ends. For as long as the reader has taken something in the last
 * PATIENCE, and for TIMEOUT at most. */
void log_finish(usec_t patience, usec_t timeout);

/* What still waits, for another log that is to go on with it: the rest of a line perhaps, then whole lines. Valid until
 * the next line. */
const char *log_waiting(void);
size_t log_waiting_size(void);

/* Goes on with what another log has left, before anything else is written. */
void log_continue(const char *waiting, size_t size);
/* Adds what text has for an event after time and level: "service: message key=value …". Nothing in the message or a
 * value can end the line, or reach a terminal as anything but text. */
void log_format_body(struct buf *out, const char *message, const struct log_field *fields);

extern const char *const log_level_names[LOG_LEVEL_N];
extern const char *const log_format_names[LOG_FORMAT_N];
