/* Notify messages: whatever comes in, what comes out is bounded, terminated and can be shown; and line ends in front or
 * behind change nothing. */
#include "fuzz.h"

#include "base/utf8.h"
#include "net/notifymessage.h"

#include <string.h>

static enum notifymessage_outcome parse(const void *data, size_t size, struct notifymessage *ret) {
        AUTO(freep) void *copy = size > 0 ? malloc(size) : NULL; /* for the sanitizer to see its end */

        if (copy)
                memcpy(copy, data, size);
        memset(ret, 0xa5, sizeof(*ret));
        return notifymessage_parse(copy, copy ? size : 0, ret);
}

/* NUL-terminated within MAX bytes, in ASCII without anything that is not printed. */
static void check_ascii(const char *text, size_t max) {
        MUST(strnlen(text, max + 1) <= max, "not terminated");
        for (; *text; text++)
                MUST(*text >= ' ' && *text <= '~', "byte %d", *text);
}

static void check_status(const char *text) {
        const unsigned char *p = (const unsigned char *)text;

        MUST(strnlen(text, NOTIFYMESSAGE_STATUS_MAX + 1) <= NOTIFYMESSAGE_STATUS_MAX, "not terminated");
        while (*p) {
                size_t n = utf8_sequence(p);

                MUST(n > 0, "not UTF-8 at %td", (const char *)p - text);
                MUST(*p >= ' ' && *p != 0x7f && !(p[0] == 0xc2 && p[1] < 0xa0), "a control at %td",
                     (const char *)p - text);
                p += n;
        }
}

static void check_message(const struct notifymessage *message) {
        unsigned all = (NOTIFYMESSAGE_BARRIER << 1) - 1;

        MUST((message->fields | message->bad) <= all, "%x %x", message->fields, message->bad);
        MUST((message->fields & message->bad) == 0, "%x both", message->fields & message->bad);
        MUST(!(message->fields & NOTIFYMESSAGE_WATCHDOG) || !(message->fields & NOTIFYMESSAGE_WATCHDOG_TRIGGER),
             "it lives and it does not");
        MUST(!(message->fields & NOTIFYMESSAGE_BARRIER) || message->fields == NOTIFYMESSAGE_BARRIER, "%x",
             message->fields);
        MUST(!(message->fields & NOTIFYMESSAGE_MAINPID) || message->main_pid > 0, "pid %d", message->main_pid);
        MUST(!(message->fields & NOTIFYMESSAGE_ERRNO) || message->error > 0, "errno %d", message->error);
        check_status(message->status);
        check_ascii(message->fd_name, NOTIFYMESSAGE_NAME_MAX);
        MUST(!strchr(message->fd_name, ':'), "%s", message->fd_name);
        check_ascii(notifymessage_store_name(message), NOTIFYMESSAGE_NAME_MAX);
        check_ascii(message->bus_error, NOTIFYMESSAGE_NAME_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO(buf_deinit) struct buf longer = BUF_NULL;
        struct notifymessage message, again;
        enum notifymessage_outcome outcome = parse(data, size, &message);

        MUST(outcome == NOTIFYMESSAGE_OVERLONG || size <= NOTIFYMESSAGE_SIZE_MAX, "%d of %zu", outcome, size);
        if (outcome != NOTIFYMESSAGE_OK)
                return 0;
        check_message(&message);
        if (size + 2 > NOTIFYMESSAGE_SIZE_MAX || data[size - 1] == '\0')
                return 0;
        buf_add_char(&longer, '\n');
        buf_add(&longer, (const char *)data, size);
        buf_add_char(&longer, '\n');
        MUST(parse(buf_text(&longer), longer.size, &again) == NOTIFYMESSAGE_OK, "with line ends");
        MUST(memcmp(&message, &again, sizeof(message)) == 0, "line ends changed it");
        return 0;
}
