#include "base/journal.h"

#include "base/buf.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#define JOURNAL_FIELDS_MAX 24

static const int priorities[LOG_LEVEL_N] = {
        [LOG_LEVEL_ERROR] = LOG_ERR,
        [LOG_LEVEL_WARNING] = LOG_WARNING,
        [LOG_LEVEL_INFO] = LOG_INFO,
        [LOG_LEVEL_DEBUG] = LOG_DEBUG,
};

struct journal_entry {
        struct buf buf[JOURNAL_FIELDS_MAX];
        struct iovec iov[JOURNAL_FIELDS_MAX];
        size_t count;
};

static void journal_entry_deinit(struct journal_entry *entry) {
        for (size_t i = 0; i < entry->count; i++)
                buf_deinit(&entry->buf[i]);
}

static void journal_entry_end_field(struct journal_entry *entry) {
        struct buf *buf = &entry->buf[entry->count];

        entry->iov[entry->count++] = (struct iovec){.iov_base = buf->data, .iov_len = buf->size};
}

static void add_field(struct journal_entry *entry, const struct log_field *field) {
        struct buf *buf = &entry->buf[entry->count];

        buf_add_string(buf, "BROKER_");
        for (const char *p = field->key; *p; p++)
                buf_add_char(buf, (char)toupper((unsigned char)*p));
        buf_add_char(buf, '=');
        if (field->kind == LOG_FIELD_STRING)
                buf_add_string(buf, field->string);
        else
                buf_printf(buf, "%lld",
                           (long long)(field->kind == LOG_FIELD_INTEGER ? field->integer : (int64_t)field->duration));
        journal_entry_end_field(entry);
}

/* Without a journal sd_journal_sendv(3) succeeds and the line is nowhere; then the caller's text form is better. */
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

int journal_write(enum log_level level, const char *message, const struct log_field *fields) {
        AUTO(journal_entry_deinit) struct journal_entry entry = {.count = 0};

        if (access(JOURNAL_SOCKET, W_OK) < 0)
                return -errno;
        buf_printf(&entry.buf[0], "MESSAGE=%s", message);
        journal_entry_end_field(&entry);
        buf_printf(&entry.buf[1], "PRIORITY=%d", priorities[level]);
        journal_entry_end_field(&entry);
        buf_add_string(&entry.buf[2], "SYSLOG_IDENTIFIER=broker");
        journal_entry_end_field(&entry);
        for (const struct log_field *f = fields; f && f->key && entry.count < JOURNAL_FIELDS_MAX; f++)
                if (f->kind != LOG_FIELD_STRING || f->string)
                        add_field(&entry, f);
        return sd_journal_sendv(entry.iov, (int)entry.count);
}
