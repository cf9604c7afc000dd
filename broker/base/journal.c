#include "base/journal.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"

#include <ctype.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

static const int priorities[LOG_LEVEL_N] = {
        [LOG_LEVEL_ERROR] = LOG_ERR,
        [LOG_LEVEL_WARNING] = LOG_WARNING,
        [LOG_LEVEL_INFO] = LOG_INFO,
        [LOG_LEVEL_DEBUG] = LOG_DEBUG,
};

/* Nothing that is escaped holds a newline, so that the protocol's other form for values is not needed. */
static void add_value(struct buf *out, const char *value) {
        buf_add_char(out, '=');
        buf_add_escaped(out, value);
        buf_add_char(out, '\n');
}

static void add_field(struct buf *out, const struct log_field *field) {
        buf_add_string(out, "BROKER_");
        for (const char *p = field->key; *p; p++)
                buf_add_char(out, (char)toupper((unsigned char)*p));
        if (field->kind == LOG_FIELD_STRING)
                add_value(out, field->string);
        else
                buf_printf(out, "=%lld\n",
                           (long long)(field->kind == LOG_FIELD_INTEGER ? field->integer : (int64_t)field->duration));
}

/* A socket for each line: this sink is not the default, and no state outlives a journal that is started anew. */
static int send_entry(const struct buf *entry) {
        const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};
        AUTO(fd_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || sendto(fd, buf_text(entry), entry->size, MSG_DONTWAIT | MSG_NOSIGNAL,
                             (const struct sockaddr *)&address, sizeof(address)) < 0)
                return errno == EAGAIN || errno == EMSGSIZE ? -EAGAIN : err_raise(-errno);
        return 0;
}

int journal_write(enum log_level level, const char *message, const struct log_field *fields) {
        AUTO(buf_deinit) struct buf entry = BUF_NULL;

        buf_add_string(&entry, "MESSAGE");
        add_value(&entry, message);
        buf_printf(&entry, "PRIORITY=%d\nSYSLOG_IDENTIFIER=broker\n", priorities[level]);
        for (const struct log_field *f = fields; f && f->key; f++)
                if (f->kind != LOG_FIELD_STRING || f->string)
                        add_field(&entry, f);
        return buf_failed(&entry) ? err_raise(-ENOMEM) : send_entry(&entry);
}
