#include "net/notifymessage.h"

#include "base/utf8.h"

#include <limits.h>
#include <string.h>

#define ERRNO_MAX 4095 /* the kernel's */

#define BAD (-1)

/* Which of the fields a line is about it says, given its value; 0: none, which is fine; or BAD. */
typedef int read_fn(const char *value, struct notifymessage *message);

static bool read_number(const char *value, uint64_t max, uint64_t *ret) {
        uint64_t number = 0;

        if (*value == '\0')
                return false;
        for (; *value; value++) {
                unsigned digit = (unsigned)(unsigned char)*value - '0';

                if (digit > 9 || number > (max - digit) / 10)
                        return false;
                number = number * 10 + digit;
        }
        *ret = number;
        return true;
}

static int read_monotonic(const char *value, struct notifymessage *message) {
        return read_number(value, UINT64_MAX, &message->monotonic) ? NOTIFYMESSAGE_MONOTONIC_USEC : BAD;
}

static int read_watchdog_usec(const char *value, struct notifymessage *message) {
        return read_number(value, UINT64_MAX, &message->watchdog) ? NOTIFYMESSAGE_WATCHDOG_USEC : BAD;
}

static int read_extend_timeout(const char *value, struct notifymessage *message) {
        return read_number(value, UINT64_MAX, &message->extend_timeout) ? NOTIFYMESSAGE_EXTEND_TIMEOUT_USEC : BAD;
}

static int read_main_pid(const char *value, struct notifymessage *message) {
        uint64_t number;

        if (!read_number(value, INT_MAX, &number) || number == 0)
                return BAD;
        message->main_pid = (pid_t)number;
        return NOTIFYMESSAGE_MAINPID;
}

static int read_errno(const char *value, struct notifymessage *message) {
        uint64_t number;

        if (!read_number(value, ERRNO_MAX, &number) || number == 0)
                return BAD;
        message->error = (int)number;
        return NOTIFYMESSAGE_ERRNO;
}

static bool is_printable(const char *text) {
        for (; *text; text++)
                if (*text < ' ' || *text > '~')
                        return false;
        return true;
}

static int read_bus_error(const char *value, struct notifymessage *message) {
        size_t n = strlen(value);

        if (n == 0 || n > NOTIFYMESSAGE_NAME_MAX || !is_printable(value))
                return BAD;
        memcpy(message->bus_error, value, n + 1);
        return NOTIFYMESSAGE_BUSERROR;
}

static int read_fd_name(const char *value, struct notifymessage *message) {
        size_t n = strlen(value);

        if (n > NOTIFYMESSAGE_NAME_MAX || !is_printable(value) || strchr(value, ':'))
                return BAD;
        memcpy(message->fd_name, value, n + 1);
        return NOTIFYMESSAGE_FDNAME;
}

/* FDPOLL=1 is what holds anyway. */
static int read_fd_poll(const char *value, struct notifymessage *message UNUSED) {
        if (strcmp(value, "1") == 0)
                return 0;
        return strcmp(value, "0") == 0 ? NOTIFYMESSAGE_FDPOLL : BAD;
}

static int read_watchdog(const char *value, struct notifymessage *message UNUSED) {
        if (strcmp(value, "trigger") == 0)
                return NOTIFYMESSAGE_WATCHDOG_TRIGGER;
        return strcmp(value, "1") == 0 ? NOTIFYMESSAGE_WATCHDOG : BAD;
}

static int read_status(const char *value, struct notifymessage *message) {
        const unsigned char *p = (const unsigned char *)value;
        size_t used = 0, n;

        for (; *p; p += MAX_OF(n, 1)) {
                n = utf8_sequence(p);
                if (used + MAX_OF(n, 1) > NOTIFYMESSAGE_STATUS_MAX)
                        break;
                if (n > 0 && !utf8_is_control(p, n)) {
                        memcpy(message->status + used, p, n);
                        used += n;
                } else {
                        message->status[used++] = '?';
                }
        }
        message->status[used] = '\0';
        return NOTIFYMESSAGE_STATUS;
}

/* What is there by name. EXIT_STATUS, which service managers for users send, says nothing to us: unknown. */
static const struct {
        const char *name;
        unsigned fields; /* that are its to say */
        read_fn *read;   /* NULL: there when it is 1 */
} readers[] = {
        {"READY", NOTIFYMESSAGE_READY, NULL},
        {"RELOADING", NOTIFYMESSAGE_RELOADING, NULL},
        {"STOPPING", NOTIFYMESSAGE_STOPPING, NULL},
        {"STATUS", NOTIFYMESSAGE_STATUS, read_status},
        {"MONOTONIC_USEC", NOTIFYMESSAGE_MONOTONIC_USEC, read_monotonic},
        {"MAINPID", NOTIFYMESSAGE_MAINPID, read_main_pid},
        {"WATCHDOG", NOTIFYMESSAGE_WATCHDOG | NOTIFYMESSAGE_WATCHDOG_TRIGGER, read_watchdog},
        {"WATCHDOG_USEC", NOTIFYMESSAGE_WATCHDOG_USEC, read_watchdog_usec},
        {"EXTEND_TIMEOUT_USEC", NOTIFYMESSAGE_EXTEND_TIMEOUT_USEC, read_extend_timeout},
        {"FDSTORE", NOTIFYMESSAGE_FDSTORE, NULL},
        {"FDSTOREREMOVE", NOTIFYMESSAGE_FDSTOREREMOVE, NULL},
        {"FDNAME", NOTIFYMESSAGE_FDNAME, read_fd_name},
        {"FDPOLL", NOTIFYMESSAGE_FDPOLL, read_fd_poll},
        {"ERRNO", NOTIFYMESSAGE_ERRNO, read_errno},
        {"BUSERROR", NOTIFYMESSAGE_BUSERROR, read_bus_error},
        {"BARRIER", NOTIFYMESSAGE_BARRIER, NULL},
};

const char *notifymessage_field_name(enum notifymessage_field field) {
        for (size_t i = 0; i < LENGTH_OF(readers); i++)
                if (readers[i].fields & field)
                        return readers[i].name;
        return "?";
}

/* The last line about a field is the one that counts, so one that makes no sense takes back what was said before. */
static void read_line(char *line, struct notifymessage *message) {
        char *value = strchr(line, '=');

        if (!value)
                return;
        *value++ = '\0';
        for (size_t i = 0; i < LENGTH_OF(readers); i++) {
                unsigned fields = readers[i].fields;
                int said;

                if (strcmp(readers[i].name, line) != 0)
                        continue;
                message->fields &= ~fields;
                message->bad &= ~fields;
                if (readers[i].read)
                        said = readers[i].read(value, message);
                else
                        said = strcmp(value, "1") == 0 ? (int)fields : BAD;
                if (said == BAD)
                        message->bad |= fields;
                else
                        message->fields |= (unsigned)said;
        }
}

enum notifymessage_outcome notifymessage_parse(const char *data, size_t size, struct notifymessage *ret) {
        struct notifymessage message = {0};
        char text[NOTIFYMESSAGE_SIZE_MAX + 1], *rest = NULL;
        size_t lines = 0;

        if (size > NOTIFYMESSAGE_SIZE_MAX)
                return NOTIFYMESSAGE_OVERLONG;
        if (size > 0 && data[size - 1] == '\0')
                size--;
        if (size == 0)
                return NOTIFYMESSAGE_EMPTY;
        if (memchr(data, '\0', size))
                return NOTIFYMESSAGE_NUL;
        memcpy(text, data, size);
        text[size] = '\0';
        for (char *line = strtok_r(text, "\n\r", &rest); line; line = strtok_r(NULL, "\n\r", &rest)) {
                read_line(line, &message);
                lines++;
        }
        if (lines == 0)
                return NOTIFYMESSAGE_EMPTY;
        if (message.fields & NOTIFYMESSAGE_BARRIER && lines > 1)
                return NOTIFYMESSAGE_BARRIER_MIXED;
        if (!(message.fields & NOTIFYMESSAGE_FDNAME))
                message.fd_name[0] = '\0';
        *ret = message;
        return NOTIFYMESSAGE_OK;
}
