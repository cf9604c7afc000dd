#include "base/syslog.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define SYSLOG_SOCKET "/dev/log"

static const int priorities[LOG_LEVEL_N] = {
        [LOG_LEVEL_ERROR] = LOG_ERR,
        [LOG_LEVEL_WARNING] = LOG_WARNING,
        [LOG_LEVEL_INFO] = LOG_INFO,
        [LOG_LEVEL_DEBUG] = LOG_DEBUG,
};

/* RFC 3164 wants local time, in English. The broker sets no locale. */
void syslog_format(struct buf *out, const struct syslog_head *head, const char *message,
                   const struct log_field *fields) {
        char when[32];
        struct tm tm;

        localtime_r(&head->time, &tm);
        strftime(when, sizeof(when), "%b %e %T", &tm);
        buf_printf(out, "<%d>%s broker[%d]: ", LOG_DAEMON | priorities[head->level], when, (int)head->pid);
        log_format_body(out, message, fields);
        if (out->size > SYSLOG_SIZE_MAX) {
                out->size = SYSLOG_SIZE_MAX - 3;
                /* Not in the middle of a UTF-8 sequence. */
                while (((unsigned char)out->data[out->size] & 0xc0) == 0x80)
                        out->size--;
                out->data[out->size] = '\0';
                buf_add_string(out, "...");
        }
}

static const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SYSLOG_SOCKET};

/* Where the daemon has a stream socket; each line there ends with a NUL. */
static int send_stream(const struct buf *line) {
        AUTO(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
            send(fd, buf_text(line), line->size + 1, MSG_NOSIGNAL) < 0)
                return -errno;
        return 0;
}

/* A socket for each line, as in base/journal.c: no state outlives a daemon that is started anew. */
static int send_line(const struct buf *line) {
        AUTO(fd_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        int r = 0;

        if (fd < 0 || sendto(fd, buf_text(line), line->size, MSG_DONTWAIT | MSG_NOSIGNAL,
                             (const struct sockaddr *)&address, sizeof(address)) < 0)
                r = -errno;
        if (r == -EPROTOTYPE)
                r = send_stream(line);
        return r == -EAGAIN || r == 0 ? r : err_raise(r);
}

int syslog_write(enum log_level level, const char *message, const struct log_field *fields) {
        const struct syslog_head head = {.level = level, .time = time(NULL), .pid = getpid()};
        AUTO(buf_deinit) struct buf line = BUF_NULL;

        syslog_format(&line, &head, message, fields);
        return buf_failed(&line) ? err_raise(-ENOMEM) : send_line(&line);
}
