#include "core/output.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "handoff/handoff.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_LOGGED 2000 /* longer ones become several */
/* Like listening sockets, see core/port.c. */
#define READ_FD_LOW 128
#define READ_FD_MIN 1024

#define READ_MAX 16384 /* per wake-up, so that one chatty program does not hold the loop */

/* A FIFO would hold the loop until somebody reads it, now or at the first full pipe. */
static int open_append(const char *path) {
        AUTO(fd_closep) int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
        struct stat st;
        int r;

        if (fd < 0 || fstat(fd, &st) < 0)
                return err_raise(-errno);
        if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
                return err_raise(-EINVAL);
        r = fd_set_nonblock(fd, false);
        return r < 0 ? r : take_fd(fd);
}

void output_init_closed(struct output *ret, const struct output_def *def, const char *service, const char *stream) {
        *ret = (struct output){
                .kind = def->kind,
                .service = service,
                .stream = stream,
                .write_fd = -EBADF,
                .read_fd = -EBADF,
        };
}

int output_init(struct output *ret, const struct output_def *def, const char *service, const char *stream,
                struct buf *why) {
        output_init_closed(ret, def, service, stream);
        if (def->kind != OUTPUT_APPEND)
                return 0;
        ret->write_fd = open_append(def->path);
        if (ret->write_fd < 0)
                buf_printf(why, "cannot open %s: %s", def->path, err_text(ret->write_fd));
        return ret->write_fd < 0 ? ret->write_fd : 0;
}

void output_deinit(struct output *output) {
        output_flush(output);
        output->io = sd_event_source_disable_unref(output->io);
        output->read_fd = fd_close(output->read_fd);
        output->write_fd = fd_close(output->write_fd);
        if (output->partial)
                buf_deinit(output->partial);
        free(output->partial);
        output->partial = NULL;
}

static void log_line(const struct output *output, const char *line) {
        log_event(LOG_LEVEL_INFO,
                  LOG_FIELDS(LOG_STRING("service", output->service), LOG_STRING("stream", output->stream)), "%s", line);
}

/* A NUL would end the line in the log before its time. */
static void add_text(struct buf *buf, const char *data, size_t size) {
        size_t from = buf->size;

        buf_add(buf, data, size);
        for (size_t i = from; i < buf->size; i++)
                if (buf->data[i] == '\0')
                        buf->data[i] = '?';
}

static void output_take(struct output *output, const char *data, size_t size) {
        while (size > 0) {
                const char *newline = memchr(data, '\n', size);
                size_t part = newline ? (size_t)(newline - data) : size;
                size_t room = LINE_MAX_LOGGED - MIN_OF(output->partial->size, (size_t)LINE_MAX_LOGGED);
                bool cut = part > room;

                add_text(output->partial, data, cut ? room : part);
                if (cut || newline) {
                        if (output->partial->size > 0)
                                log_line(output, buf_text(output->partial));
                        buf_clear(output->partial);
                }
                part = cut ? room : part + (newline ? 1 : 0);
                data += part;
                size -= part;
        }
}

/* What a pipe holds at most by default (pipe(7)). */
#define PIPE_READS (65536 / READ_MAX)

/* What has been written is read first: the last words of a program come before its end is dealt with. */
void output_flush(struct output *output) {
        char data[READ_MAX];
        ssize_t n;

        for (int i = 0; i < PIPE_READS && output->read_fd >= 0; i++) {
                n = read(output->read_fd, data, sizeof(data));
                if (n <= 0)
                        break;
                output_take(output, data, (size_t)n);
        }
        if (!output->partial || output->partial->size == 0)
                return;
        log_line(output, output->partial->data);
        buf_clear(output->partial);
}

static int output_on_readable(sd_event_source *source UNUSED, int fd, uint32_t events UNUSED, void *userdata) {
        struct output *output = userdata;
        char data[READ_MAX];
        ssize_t n = read(fd, data, sizeof(data));

        if (n > 0)
                output_take(output, data, (size_t)n);
        return 0;
}

int output_open(struct output *output, sd_event *event) {
        int fds[2], r;

        if (output->kind != OUTPUT_LOG || output->write_fd >= 0)
                return 0;
        if (!output->partial && !(output->partial = calloc(1, sizeof(*output->partial))))
                return err_raise(-ENOMEM);
        if (pipe2(fds, O_CLOEXEC) < 0)
                return err_raise(-errno);
        /* Our end alone: a program expects its stderr to block. */
        r = fd_set_nonblock(fds[0], true);
        if (fds[0] >= READ_FD_LOW)
                fds[0] = fd_move_up(fds[0], READ_FD_MIN);
        if (r == 0)
                r = sd_event_add_io(event, &output->io, fds[0], EPOLLIN, output_on_readable, output);
        if (r < 0) {
                fd_close(fds[0]);
                fd_close(fds[1]);
                return err_raise(r);
        }
        output->read_fd = fds[0];
        output->write_fd = fds[1];
        return 0;
}

int output_adopt(struct output *output, sd_event *event, int own_read_fd, int own_write_fd, const struct buf *partial) {
        output->read_fd = own_read_fd;
        output->write_fd = own_write_fd;
        if (own_read_fd < 0)
                return 0;
        output->partial = calloc(1, sizeof(*output->partial));
        if (!output->partial)
                return err_raise(-ENOMEM);
        buf_add(output->partial, buf_text(partial), partial->size);
        return err_raise(sd_event_add_io(event, &output->io, own_read_fd, EPOLLIN, output_on_readable, output));
}

int output_fd(const struct output *output, int null_fd) {
        switch (output->kind) {
        case OUTPUT_INHERIT:
                return HANDOFF_FD_INHERIT;
        case OUTPUT_SOCKET:
                return HANDOFF_FD_SOCKET;
        case OUTPUT_NULL:
                return null_fd;
        default:
                return output->write_fd;
        }
}
