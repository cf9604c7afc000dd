#include "activate/say.h"

#include "base/buf.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <unistd.h>

static void write_line(struct buf *line) {
        struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

        buf_add_char(line, '\n');
        if (buf_failed(line))
                return;
        /* A pipe that poll(2) calls writable takes PIPE_BUF bytes without blocking. */
        if (line->size > PIPE_BUF) {
                line->size = PIPE_BUF;
                line->data[PIPE_BUF - 1] = '\n';
        }
        if (poll(&p, 1, 0) > 0 && write(STDERR_FILENO, line->data, line->size) < 0)
                return; /* nobody can be told */
}

void say_error(const char *format, ...) {
        AUTO(buf_deinit) struct buf line = BUF_NULL;
        va_list args;

        buf_printf(&line, "%s: ", program_invocation_short_name);
        va_start(args, format);
        buf_vprintf(&line, format, args);
        va_end(args);
        write_line(&line);
}

void say_note(const char *format, ...) {
        AUTO(buf_deinit) struct buf line = BUF_NULL;
        va_list args;

        va_start(args, format);
        buf_vprintf(&line, format, args);
        va_end(args);
        write_line(&line);
}
