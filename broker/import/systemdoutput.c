/* stdin, stdout and stderr: where they lead when a unit says so, and when it does not (systemd.exec(5)). */
#include "conf/refuse.h"
#include "import/systemd.h"

const struct unit_entry *systemd_find_stdio(const struct effective *service) {
        static const char *const names[] = {"StandardInput", "StandardOutput", "StandardError"};

        for (size_t i = 0; i < LENGTH_OF(names); i++) {
                const struct unit_entry *entry = systemd_last(service, names[i]);

                if (entry && strcmp(entry->value, "socket") == 0)
                        return entry;
        }
        return NULL;
}

enum destination_kind {
        TO_DEFAULT, /* or inherit */
        TO_SOCKET,
        TO_NULL,
        TO_LOG,
        TO_FILE,
        TO_UNKNOWN,
};

struct destination {
        enum destination_kind kind;
        const char *path; /* of a file */
        bool truncate;
        bool is_odd; /* it is said that something of it has no equivalent */
};

static const char *skip_prefix(const char *text, const char *prefix) {
        return strncmp(text, prefix, strlen(prefix)) == 0 ? text + strlen(prefix) : NULL;
}

static struct destination read_file(struct conversion *conv, const struct unit_entry *entry) {
        static const char *const prefixes[] = {"file:", "append:", "truncate:"};
        struct destination output = {.kind = TO_UNKNOWN};

        for (size_t i = 0; i < LENGTH_OF(prefixes); i++) {
                const char *path = skip_prefix(entry->value, prefixes[i]);

                path = path ? systemd_expand(conv, entry, path) : NULL;
                if (!path || refuse_path(path))
                        continue;
                output = (struct destination){.kind = TO_FILE, .path = path, .truncate = i == 2, .is_odd = i != 1};
        }
        return output;
}

static struct destination read_output(struct conversion *conv, const struct unit_entry *entry) {
        static const char *const logs[] = {"journal",        "syslog",       "kmsg", "journal+console",
                                           "syslog+console", "kmsg+console", "tty"};

        if (!entry || strcmp(entry->value, "inherit") == 0)
                return (struct destination){.kind = TO_DEFAULT};
        if (strcmp(entry->value, "socket") == 0)
                return (struct destination){.kind = TO_SOCKET};
        if (strcmp(entry->value, "null") == 0)
                return (struct destination){.kind = TO_NULL};
        for (size_t i = 0; i < LENGTH_OF(logs); i++)
                if (strcmp(entry->value, logs[i]) == 0)
                        return (struct destination){.kind = TO_LOG, .is_odd = i > 1};
        return read_file(conv, entry);
}

/* Writes KEY, stdout or stderr. */
static void write_output(struct conversion *conv, const char *key, const struct unit_entry *entry,
                         const struct destination *output) {
        switch (output->kind) {
        case TO_DEFAULT:
        case TO_UNKNOWN:
                break;
        case TO_SOCKET:
                sheet_raw(conv->out, key, "socket");
                break;
        case TO_NULL:
                sheet_raw(conv->out, key, "null");
                break;
        case TO_LOG:
                sheet_raw(conv->out, key, "log");
                break;
        case TO_FILE:
                sheet_text(conv->out, key, sheet_printf(conv->sheet, "append:%s", output->path));
                break;
        }
        if (entry && output->kind == TO_UNKNOWN)
                systemd_note(conv, key, entry, "has no equivalent, or means nothing");
        else if (entry && output->is_odd && output->kind == TO_LOG)
                systemd_note(conv, key, entry, "goes to the broker's log alone");
        else if (entry && output->is_odd)
                systemd_note(conv, key, entry, "what is in the file stays there, and the rest comes behind it");
}

/* stdout of a program whose stdin is the socket is that too, here; only a shell can lead it elsewhere. */
static void redirect_output(struct conversion *conv, const struct unit_entry *entry, const struct destination *output) {
        switch (output->kind) {
        case TO_NULL:
                buf_add_string(&conv->redirections, " >/dev/null");
                break;
        case TO_LOG:
                buf_add_string(&conv->redirections, " >&2");
                break;
        case TO_FILE:
                buf_add_string(&conv->redirections, output->truncate ? " >" : " >>");
                systemd_add_shell_word(&conv->redirections, output->path);
                break;
        case TO_UNKNOWN:
                systemd_note(conv, "command", entry, "has no equivalent, or means nothing");
                break;
        case TO_DEFAULT:
        case TO_SOCKET:
                break;
        }
}

static void convert_input(struct conversion *conv, const struct unit_entry *entry, bool socket) {
        const char *path;

        if (!entry || strcmp(entry->value, "null") == 0) {
                if (socket)
                        systemd_note(conv, "handoff", systemd_find_stdio(&conv->service_effective),
                                     "here stdin is the socket, too");
                else if (entry)
                        systemd_add_to_group(conv, GROUP_HELD, entry);
                return;
        }
        if (strcmp(entry->value, "socket") == 0)
                return;
        path = skip_prefix(entry->value, "file:");
        path = path ? systemd_expand(conv, entry, path) : NULL;
        if (path && !refuse_path(path) && !socket) {
                buf_add_string(&conv->redirections, " <");
                systemd_add_shell_word(&conv->redirections, path);
        } else {
                systemd_note(conv, "command", entry, "stdin is %s here", socket ? "the socket" : "/dev/null");
        }
}

void systemd_convert_output(struct conversion *conv) {
        const struct effective *service = &conv->service_effective;
        const struct unit_entry *out_entry = systemd_last(service, "StandardOutput");
        const struct unit_entry *err_entry = systemd_last(service, "StandardError");
        bool socket = conv->shape.handoff == HANDOFF_STDIO;
        struct destination out = read_output(conv, out_entry), err = read_output(conv, err_entry);

        convert_input(conv, systemd_last(service, "StandardInput"), socket);
        if (out.kind == TO_DEFAULT && socket)
                out.kind = TO_SOCKET;
        if (socket)
                redirect_output(conv, out_entry, &out);
        else
                write_output(conv, "stdout", out_entry, &out);
        if (err.kind == TO_DEFAULT) {
                err = out; /* it goes where stdout does */
                if (socket || err.kind != TO_LOG)
                        write_output(conv, "stderr", NULL, &err);
                if (err_entry)
                        systemd_add_to_group(conv, GROUP_HELD, err_entry);
        } else {
                write_output(conv, "stderr", err_entry, &err);
        }
        if (out_entry && strcmp(out_entry->value, "inherit") == 0)
                systemd_add_to_group(conv, GROUP_HELD, out_entry);
        if (socket && out.kind == TO_LOG && err.kind != TO_LOG)
                sheet_refuse(conv->out, &out_entry->mark, "StandardOutput=%s: stdout could only go where stderr does",
                             out_entry->value);
        if (socket && out_entry && strcmp(out_entry->value, "socket") == 0)
                systemd_add_to_group(conv, GROUP_HELD, out_entry);
}
