#include "activate/requestoptions.h"

#include "activate/say.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/number.h"

#include <errno.h>
#include <string.h>

#define END_SIZE_MAX 16
#define SIZE_MIN 16
#define SIZE_LIMIT (16 << 20)
#define BUSY_TIMEOUT_MIN (10 * USEC_PER_MSEC)
#define QUEUE_MAX (1 << 20)

#define END_DEFAULT "\n"
#define ERROR_DEFAULT "ERR\n"
#define SIZE_DEFAULT (64 << 10)
#define BUSY_TIMEOUT_DEFAULT (15 * USEC_PER_SEC)
#define QUEUE_DEFAULT 1024

/* Longer ones would overflow when added to a clock, and mean infinity anyway. */
#define DURATION_MAX ((usec_t)36500 * 86400 * USEC_PER_SEC)

void requestoptions_deinit(struct requestoptions *options) {
        free(options->end);
        free(options->reply_end);
        free(options->error);
        *options = REQUESTOPTIONS_NULL;
}

static bool refuse(const char *name, const char *text, const char *problem, const char *write) {
        say_error("--%s: '%s' %s; write %s", name, text, problem, write);
        return false;
}

/* What number_parse() and the like return, in words. */
static bool refuse_value(const char *name, const char *text, const char *what, const char *write) {
        AUTO(buf_deinit) struct buf problem = BUF_NULL;

        buf_printf(&problem, "is not %s", what);
        return refuse(name, text, buf_text(&problem), write);
}

static int hex_value(char c) {
        static const char digits[] = "0123456789abcdef";
        const char *found = c ? strchr(digits, c | ('A' <= c && c <= 'F' ? 0x20 : 0)) : NULL;

        return found ? (int)(found - digits) : -1;
}

/* The character that the escape at **TEXT, behind its backslash, stands for; advances. -1: there is no such. */
static int take_escape(const char **text) {
        static const char escapes[][2] = {{'n', '\n'}, {'r', '\r'}, {'t', '\t'}, {'\\', '\\'}};
        char c = *(*text)++;

        for (size_t i = 0; i < LENGTH_OF(escapes); i++)
                if (escapes[i][0] == c)
                        return escapes[i][1];
        if (c == 'x') {
                int high = hex_value((*text)[0]), low = high < 0 ? -1 : hex_value((*text)[1]);

                *text += 2;
                /* Ends are texts, which have no NUL. */
                return low < 0 || high + low == 0 ? -1 : high * 16 + low;
        }
        return -1;
}

/* A shell leaves a backslash where it is: \n, \r, \t, \xNN and \\ are what they are in C. */
static bool take_text(const char *name, const char *text, char **ret) {
        AUTO(buf_deinit) struct buf out = BUF_NULL;
        char *taken;

        for (const char *c = text; *c;) {
                int value = (unsigned char)*c++;

                if (value == '\\')
                        value = take_escape(&c);
                if (value < 0)
                        return refuse(name, text, "has a backslash that begins nothing",
                                      "\\n, \\r, \\t, \\xNN (not 00), or \\\\ for a backslash");
                buf_add_char(&out, (char)value);
        }
        taken = buf_take(&out);
        if (!taken) {
                say_error("out of memory");
                return false;
        }
        free(*ret);
        *ret = taken;
        return true;
}

static bool take_end(const char *name, const char *text, char **ret) {
        AUTO(freep) char *end = NULL;

        if (!take_text(name, text, &end))
                return false;
        if (end[0] == '\0' || strlen(end) > END_SIZE_MAX)
                return refuse(name, text, "is nothing that a request could end with", "1 to 16 characters");
        free(*ret);
        *ret = take_ptr(end);
        return true;
}

static bool take_size(struct requestoptions *options, const char *text) {
        static const char write[] = "a size such as 65536, 64K or 1M, from 16 to 16M";
        uint64_t size;
        int r = number_parse_size(text, &size);

        if (r == -EINVAL)
                return refuse_value("max-size", text, "a size", write);
        if (r < 0 || size < SIZE_MIN || size > SIZE_LIMIT)
                return refuse("max-size", text, "is out of range", write);
        options->max_size = (size_t)size;
        return true;
}

static bool take_busy_timeout(struct requestoptions *options, const char *text) {
        static const char write[] = "a duration such as 500ms, 30s, 5min or 1h, at least 10ms, or infinity";
        usec_t time;
        int r = number_parse_duration(text, &time);

        if (r == -EINVAL)
                return refuse_value("busy-timeout", text, "a duration", write);
        if (r == 0 && time > DURATION_MAX && time != USEC_INFINITY) {
                say_error("--busy-timeout: '%s' is longer than a hundred years", text);
                return false;
        }
        if (r < 0 || time < BUSY_TIMEOUT_MIN)
                return refuse("busy-timeout", text, "is out of range", write);
        options->busy_timeout = time;
        return true;
}

static bool take_queue(struct requestoptions *options, const char *text) {
        int64_t n;
        int r = number_parse(text, 0, QUEUE_MAX, &n);

        if (r == -EINVAL)
                return refuse_value("queue", text, "a number", "0 to 1048576");
        if (r < 0)
                return refuse("queue", text, "is out of range", "0 to 1048576");
        options->queue = (int)n;
        return true;
}

static bool take_keep_alive(struct requestoptions *options, const char *text) {
        options->keep_alive = true;
        if (text && number_parse_bool(text, &options->keep_alive) < 0)
                return refuse_value("keep-alive", text, "a boolean", "yes or no");
        return true;
}

bool requestoptions_take(struct requestoptions *options, int c, const char *argument) {
        switch ((enum requestoption)c) {
        case REQUESTOPTION_REQUEST:
                options->is_on = true;
                return true;
        case REQUESTOPTION_END:
                options->given = "--end";
                return take_end("end", argument, &options->end);
        case REQUESTOPTION_REPLY_END:
                options->given = "--reply-end";
                return take_end("reply-end", argument, &options->reply_end);
        case REQUESTOPTION_MAX_SIZE:
                options->given = "--max-size";
                return take_size(options, argument);
        case REQUESTOPTION_KEEP_ALIVE:
                options->given = "--keep-alive";
                return take_keep_alive(options, argument);
        case REQUESTOPTION_BUSY_TIMEOUT:
                options->given = "--busy-timeout";
                return take_busy_timeout(options, argument);
        case REQUESTOPTION_QUEUE:
                options->given = "--queue";
                return take_queue(options, argument);
        case REQUESTOPTION_ERROR:
                options->given = "--error";
                return take_text("error", argument, &options->error);
        case REQUESTOPTION_LAST:
                break;
        }
        return false;
}

static int complete_text(char **text, const char *fallback) {
        if (!*text)
                *text = strdup(fallback);
        return *text ? 0 : err_raise(-ENOMEM);
}

int requestoptions_complete(struct requestoptions *options) {
        int r = complete_text(&options->end, END_DEFAULT);

        if (r == 0)
                r = complete_text(&options->reply_end, END_DEFAULT);
        if (r == 0)
                r = complete_text(&options->error, ERROR_DEFAULT);
        if (options->max_size == 0)
                options->max_size = SIZE_DEFAULT;
        if (options->queue < 0)
                options->queue = QUEUE_DEFAULT;
        if (options->busy_timeout == 0)
                options->busy_timeout = BUSY_TIMEOUT_DEFAULT;
        return r;
}
