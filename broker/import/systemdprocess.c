/* Who the program runs as, where, and with what limits. */
#include "conf/refuse.h"
#include "import/systemd.h"
#include "import/unitvalue.h"
#include "import/unitword.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>

#define NICE_ZERO 20 /* RLIMIT_NICE counts from 1, for a niceness of 19, to 40 */

static void note_privileged(struct conversion *conv, const char *key, const struct unit_entry *entry,
                            const char *privileged) {
        systemd_note(conv, key, entry, "does not count for a program with %s in front", privileged);
}

static void convert_identity(struct conversion *conv, const char *name, const char *key,
                             const char *(*refuse)(const char *), const char *privileged) {
        const struct unit_entry *entry = systemd_last(&conv->service_effective, name);
        const char *value = entry ? systemd_expand(conv, entry, entry->value) : NULL;

        if (!value)
                return;
        if (privileged)
                note_privileged(conv, key, entry, privileged);
        else if (refuse(value))
                sheet_refuse(conv->out, &entry->mark, "%s=%s: %s", entry->name, entry->value, refuse(value));
        else
                sheet_text(conv->out, key, value);
}

/* There is no user that is made up for the time of the program. What it implies of rights holds without it, too. */
static void convert_dynamic_user(struct conversion *conv, const char *privileged) {
        const struct unit_entry *entry = systemd_last(&conv->service_effective, "DynamicUser");

        if (!entry)
                return;
        if (!systemd_read_bool(conv, &conv->service_effective, "DynamicUser", false)) {
                systemd_hold_bool(conv, entry);
                return;
        }
        if (privileged) {
                note_privileged(conv, "user", entry, privileged);
        } else if (sheet_has(conv->out, "user")) {
                systemd_note(conv, "user", entry, "users are not made; this one has to be there");
        } else {
                systemd_note(conv, "user", entry,
                             "users are not made; nobody may be somebody else's, too, so better "
                             "give the service a user of its own");
                sheet_text(conv->out, "user", "nobody");
        }
        if (!privileged || privileged[0] != '+')
                sheet_raw(conv->out, "no_new_privileges", "yes");
}

static const char *home_of(struct conversion *conv) {
        const struct unit_entry *user = systemd_last(&conv->service_effective, "User");
        const struct passwd *passwd = getpwnam(user ? user->value : "root");

        return passwd ? sheet_copy(conv->sheet, passwd->pw_dir) : NULL;
}

static void convert_directory(struct conversion *conv) {
        static char name[] = "WorkingDirectory", home[] = "%h";
        static const struct unit_entry unwritten = {.name = name, .value = home};
        const struct unit_entry *entry = systemd_last(&conv->service_effective, "WorkingDirectory");
        const char *value = entry ? entry->value : "/";
        bool optional = value[0] == '-';

        if (!entry && conv->service->user)
                value = "%h";
        if (entry || conv->service->user)
                value = systemd_expand(conv, entry ? entry : &unwritten, value + optional);
        if (value && strcmp(value, "~") == 0) {
                value = home_of(conv);
                if (!value)
                        systemd_note(conv, "working_dir", entry, "the user's home directory is not known here");
        }
        if (!value)
                return;
        if (refuse_path(value)) {
                systemd_note(conv, "working_dir", entry, "is not an absolute path, so it means nothing");
                value = "/";
        }
        sheet_text(conv->out, "working_dir", value);
        if (optional)
                systemd_note(conv, "working_dir", entry, "a directory that is not there is an error here");
}

void systemd_apply_groups(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry) {
        const char *value = systemd_expand(conv, entry, entry->value);
        AUTO(buf_deinit) struct buf word = BUF_NULL;

        while (value && unitword_next(&value, &word) < UNITWORD_END) {
                if (refuse_group(buf_text(&word)))
                        systemd_note(conv, directive->key, entry, "'%s' %s", buf_text(&word),
                                     refuse_group(buf_text(&word)));
                else
                        sheet_append(conv->out, directive->key, buf_text(&word));
        }
}

/* Numbers and ranges, with blanks or commas between them; those of several lines together. */
void systemd_apply_affinity(struct conversion *conv, const struct directive *directive,
                            const struct unit_entry *entry) {
        struct sheet_node *node = sheet_key(conv->out, directive->key);
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        const char *p = entry->value;

        if (node && node->kind == SHEET_TEXT)
                buf_add_string(&text, node->text);
        while (*p) {
                size_t size = strcspn(p, " \t,");
                unsigned first, last;
                int used = 0;

                if (size > 0 &&
                    (sscanf(p, "%u-%u%n", &first, &last, &used) != 2 || (size_t)used != size || first > last)) {
                        if (sscanf(p, "%u%n", &first, &used) != 1 || (size_t)used != size) {
                                systemd_note(conv, directive->key, entry,
                                             "is not a list of CPUs, or none that is "
                                             "known here");
                                return;
                        }
                        last = first;
                }
                if (size > 0 && last > 1023) {
                        systemd_note(conv, directive->key, entry, "the highest CPU is 1023 here");
                        return;
                }
                if (size > 0)
                        buf_printf(&text, "%s%u", text.size > 0 ? "," : "", first);
                if (size > 0 && last != first)
                        buf_printf(&text, "-%u", last);
                p += size + strspn(p + size, " \t,");
        }
        if (text.size > 0)
                sheet_text(conv->out, directive->key, buf_text(&text));
}

static bool is_plain_number(const char *text) {
        return text[0] && text[strspn(text, "0123456789")] == '\0';
}

/* Limits that are no bytes are numbers alone. */
static bool is_in_bytes(const char *name) {
        static const char *const names[] = {"as", "core", "data", "fsize", "memlock", "msgqueue", "rss", "stack"};

        for (size_t i = 0; i < LENGTH_OF(names); i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        return false;
}

static bool add_seconds(const char *text, usec_t unit, struct buf *out) {
        usec_t time;
        uint64_t plain;

        if (unit == 1 && is_plain_number(text) && unitvalue_size(text, &plain)) {
                buf_printf(out, "%" PRIu64, plain); /* RTTIME: microseconds where nothing is said */
                return true;
        }
        if (!unitvalue_duration(text, &time) || time == USEC_INFINITY)
                return false;
        buf_printf(out, "%" PRIu64, time / unit + (time % unit > 0));
        return true;
}

/* One limit, as the resource has it. */
static bool add_limit(const char *name, const char *text, struct buf *out) {
        uint64_t size;
        int64_t nice;

        if (strcmp(text, "infinity") == 0) {
                buf_add_string(out, "unlimited");
                return true;
        }
        if (strcmp(name, "cpu") == 0)
                return add_seconds(text, USEC_PER_SEC, out);
        if (strcmp(name, "rttime") == 0)
                return add_seconds(text, 1, out);
        if (strcmp(name, "nice") == 0 && (text[0] == '+' || text[0] == '-')) {
                if (!unitvalue_integer(text, -20, 19, &nice))
                        return false;
                buf_printf(out, "%" PRId64, NICE_ZERO - nice);
                return true;
        }
        if (!unitvalue_size(text, &size) || size > INT64_MAX || (!is_in_bytes(name) && !is_plain_number(text)))
                return false;
        buf_printf(out, "%" PRIu64, size);
        return true;
}

void systemd_apply_sigpipe(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry) {
        bool ignored;

        if (unitfile_read_bool(entry->value, &ignored) && !ignored)
                systemd_add_to_group(conv, GROUP_HELD, entry);
        else
                systemd_note(conv, directive->key, entry,
                             "programs start with SIGPIPE as it is by default: it ends them");
}

void systemd_apply_limit(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry) {
        AUTO(buf_deinit) struct buf soft = BUF_NULL, hard = BUF_NULL;
        const char *colon = strchr(entry->value, ':');
        char *first = sheet_printf(conv->sheet, "%.*s", (int)strcspn(entry->value, ":"), entry->value);
        struct sheet_node *node;

        if (!first)
                return;
        if (!add_limit(directive->key, first, &soft) || (colon && !add_limit(directive->key, colon + 1, &hard))) {
                systemd_note(conv, "ulimits", entry, "is no limit, so it means nothing");
                return;
        }
        if (colon && strcmp(buf_text(&hard), "unlimited") != 0 &&
            (strcmp(buf_text(&soft), "unlimited") == 0 ||
             strtoull(buf_text(&soft), NULL, 10) > strtoull(buf_text(&hard), NULL, 10))) {
                systemd_note(conv, "ulimits", entry, "is lower than what it begins with, so it means nothing");
                return;
        }
        node = node_key(sheet_key(conv->out, "ulimits"), directive->key);
        if (!colon) {
                node_raw(node, "%s", buf_text(&soft));
                return;
        }
        node_raw(node_key(node, "soft"), "%s", buf_text(&soft));
        node_raw(node_key(node, "hard"), "%s", buf_text(&hard));
}

static void drop_groups(struct conversion *conv, const char *privileged) {
        if (!sheet_has(conv->out, "group_add"))
                return;
        sheet_clear(conv->out, "group_add");
        note_privileged(conv, "group_add", systemd_last(&conv->service_effective, "SupplementaryGroups"), privileged);
}

/* Limits are left out with + alone. */
static void drop_limits(struct conversion *conv, const char *privileged) {
        const struct effective *service = &conv->service_effective;

        for (size_t i = 0; i < service->count; i++)
                if (service->items[i].directive->apply == systemd_apply_limit)
                        note_privileged(conv, "ulimits", service->items[i].entry, privileged);
        if (sheet_has(conv->out, "ulimits"))
                sheet_clear(conv->out, "ulimits");
}

void systemd_convert_process(struct conversion *conv, const char *privileged) {
        convert_identity(conv, "User", "user", refuse_owner, privileged);
        convert_identity(conv, "Group", "group", refuse_group, privileged);
        convert_dynamic_user(conv, privileged);
        if (privileged)
                drop_groups(conv, privileged);
        if (privileged && privileged[0] == '+')
                drop_limits(conv, privileged);
        convert_directory(conv);
        if (!sheet_has(conv->out, "umask") && !conv->service->user)
                sheet_text(conv->out, "umask", "0022");
}
