/* ExecStart as a command for a shell, where systemd fills in what nobody knows before the program starts. */
#include "conf/words.h"
#include "import/systemdcommand.h"

void systemd_add_shell_word(struct buf *out, const char *text) {
        static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=,@%+-";

        if (text[0] && text[strspn(text, safe)] == '\0') {
                buf_add_string(out, text);
                return;
        }
        buf_add_char(out, '\'');
        for (; *text; text++)
                if (*text == '\'')
                        buf_add_string(out, "'\\''");
                else
                        buf_add_char(out, *text);
        buf_add_char(out, '\'');
}

/* A word with variables, for a shell: in double quotes, where it has any that are not known yet. */
static void add_quoted_word(struct commands *commands, const struct command *command, const char *word,
                            struct buf *out) {
        AUTO(buf_deinit) struct buf quoted = BUF_NULL, plain = BUF_NULL;
        bool has_later = false;
        struct part part;
        const char *value;

        while (command_next_part(&word, command->is_literal, &part)) {
                const char *piece = command_copy_part(commands->conv, &part);
                enum variable_kind kind = VARIABLE_CONSTANT;

                if (!piece)
                        return;
                value = piece;
                if (part.is_variable)
                        kind = command_find_variable(commands->conv, piece, &value);
                if (kind == VARIABLE_LATER || kind == VARIABLE_PLACEHOLDER) {
                        buf_printf(&quoted, "${%s}", piece);
                        has_later = true;
                } else if (kind == VARIABLE_CONSTANT) {
                        buf_add_string(&plain, value);
                        for (; *value; value++)
                                buf_printf(&quoted, "%s%c", strchr("\"\\$`", *value) ? "\\" : "", *value);
                }
        }
        if (has_later)
                buf_printf(out, "\"%s\"", buf_text(&quoted));
        else
                systemd_add_shell_word(out, buf_text(&plain));
}

static void add_split_word(struct commands *commands, const char *name, struct buf *out) {
        AUTO(strlist_deinit) struct strlist words = STRLIST_NULL;
        const char *value;

        switch (command_find_variable(commands->conv, name, &value)) {
        case VARIABLE_LATER:
        case VARIABLE_PLACEHOLDER:
                buf_printf(out, " $%s", name);
                break;
        case VARIABLE_CONSTANT:
                if (words_split(value, &words) != WORDS_OK)
                        break;
                for (size_t i = 0; i < words.count; i++) {
                        buf_add_char(out, ' ');
                        systemd_add_shell_word(out, words.items[i]);
                }
                break;
        case VARIABLE_EMPTY:
                break;
        }
}

/* NAME=${NAME-VALUE}: in systemd a file wins over the unit. */
static void add_defaults(const struct conversion *conv, struct buf *out) {
        for (size_t i = 0; i < conv->environment.count; i++) {
                const char *variable = conv->environment.items[i], *value = strchr(variable, '=');
                int size = (int)(value - variable);

                if (systemd_is_directory_variable(variable))
                        continue;
                buf_printf(out, "%.*s=${%.*s-", size, variable, size, variable);
                if (value[1])
                        systemd_add_shell_word(out, value + 1);
                buf_printf(out, "}; export %.*s; ", size, variable);
        }
}

/* A command before the last one is a child of the shell, for which LISTEN_PID stands: it gets a shell of its own, which
 * puts that right. The other variable is about the same process (sd_listen_fds(3)). */
static void add_own_pid(const struct conversion *conv, struct buf *out) {
        if (conv->shape.handoff == HANDOFF_FDS)
                buf_add_string(out, "/bin/sh -c 'unset LISTEN_PIDFDID; LISTEN_PID=$$ exec \"$@\"' sh ");
}

static void add_shell_command(struct commands *commands, const struct command *command, struct buf *out) {
        AUTO(strlist_deinit) struct strlist unset = STRLIST_NULL;

        command_find_unset(commands->conv, &unset);
        for (size_t i = 0; i < unset.count; i++)
                buf_printf(out, "%s-u %s ", i == 0 ? "/usr/bin/env " : "", unset.items[i]);
        systemd_add_shell_word(out, command->words.items[0]);
        for (size_t i = 1; i < command->words.count; i++) {
                const char *word = command->words.items[i];

                if (command_is_split_word(command, word)) {
                        add_split_word(commands, word + 1, out);
                } else {
                        buf_add_char(out, ' ');
                        add_quoted_word(commands, command, word, out);
                }
        }
        buf_add_string(out, buf_text(&commands->conv->redirections));
}

void command_write_shell(struct commands *commands) {
        struct conversion *conv = commands->conv;
        AUTO(buf_deinit) struct buf text = BUF_NULL, argument = BUF_NULL;

        if (conv->has_env_files)
                add_defaults(conv, &text);
        if (commands->splits)
                buf_add_string(&text, "set -f; ");
        for (size_t i = 0; i < commands->count; i++) {
                const struct command *command = &commands->items[i];
                bool last = i + 1 == commands->count;

                if (last)
                        buf_add_string(&text, "exec ");
                else
                        add_own_pid(conv, &text);
                add_shell_command(commands, command, &text);
                if (!last)
                        buf_add_string(&text, command->ignores_failure ? "; " : " || exit; ");
                if (command->has_argv0)
                        sheet_refuse(conv->out, &command->entry->mark,
                                     "%s=%s: a shell is needed, and cannot give the "
                                     "program another name",
                                     command->entry->name, command->entry->value);
        }
        systemd_add_literal(&argument, buf_text(&text));
        sheet_append(conv->out, "command", "/bin/sh");
        sheet_append(conv->out, "command", "-c");
        sheet_append(conv->out, "command", buf_text(&argument));
        if (commands->splits)
                sheet_note(conv->out, "command", &commands->items[0].entry->mark,
                           "%s=%s: a shell takes the place of systemd's own variables; it leaves quotes inside of them "
                           "as they are",
                           commands->items[0].entry->name, commands->items[0].entry->value);
        else
                sheet_note(conv->out, "command", &commands->items[0].entry->mark,
                           "%s=%s: this takes a shell, which becomes the program", commands->items[0].entry->name,
                           commands->items[0].entry->value);
        if (buf_failed(&text) || buf_failed(&argument))
                conv->sheet->failed = true;
}
