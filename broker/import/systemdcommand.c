/* ExecStart: its commands, prefixes and variables (systemd.service(5), COMMAND LINES). What can be known now is
 * filled in now; for the rest there is a shell, which becomes the program by exec. */
#include "import/systemdcommand.h"
#include "import/unitword.h"

#include <ctype.h>

static bool is_name(const char *text, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (!isalnum((unsigned char)text[i]) && text[i] != '_')
                        return false;
        return size > 0 && !isdigit((unsigned char)text[0]);
}

static void look_at_variable(struct commands *commands, const struct command *command, const char *name) {
        struct conversion *conv = commands->conv;
        const char *value;

        switch (command_find_variable(conv, name, &value)) {
        case VARIABLE_LATER:
                commands->needs_shell = true;
                if (!is_name(name, strlen(name)))
                        sheet_refuse(conv->out, &command->entry->mark, "%s=%s: no shell knows a variable '%s'",
                                     command->entry->name, command->entry->value, name);
                break;
        case VARIABLE_EMPTY:
                if (strlist_has(&commands->empty, name))
                        break;
                if (strlist_add(&commands->empty, name) < 0)
                        conv->sheet->failed = true;
                sheet_note(conv->out, "command", &command->entry->mark, "%s=%s: nothing sets $%s, so it is empty",
                           command->entry->name, command->entry->value, name);
                break;
        case VARIABLE_CONSTANT:
        case VARIABLE_PLACEHOLDER:
                break;
        }
}

/* Finds out whether the command takes a shell. */
static void look_at_words(struct commands *commands, const struct command *command) {
        const char *value;

        for (size_t i = 1; i < command->words.count; i++) {
                const char *word = command->words.items[i];
                struct part part;

                if (command_is_split_word(command, word)) {
                        look_at_variable(commands, command, word + 1);
                        commands->splits = commands->splits ||
                                           command_find_variable(commands->conv, word + 1, &value) == VARIABLE_LATER;
                        continue;
                }
                while (command_next_part(&word, command->is_literal, &part)) {
                        const char *name = part.is_variable ? command_copy_part(commands->conv, &part) : NULL;

                        if (name)
                                look_at_variable(commands, command, name);
                }
        }
}

static const char *read_prefixes(struct command *command, const char *text) {
        for (; *text; text++) {
                bool *flag = *text == '-'   ? &command->ignores_failure
                             : *text == '@' ? &command->has_argv0
                             : *text == ':' ? &command->is_literal
                             : *text == '+' ? &command->is_full
                                            : NULL;

                if (*text == '!')
                        command->keeps_rights = !command->keeps_rights; /* !! is for kernels of long ago */
                else if (flag)
                        *flag = true;
                else
                        break;
        }
        return text;
}

/* The command at *P, up to a lone semicolon. */
static bool read_command(struct commands *commands, const struct unit_entry *entry, const char **p) {
        struct conversion *conv = commands->conv;
        AUTO(buf_deinit) struct buf word = BUF_NULL;
        enum unitword_outcome outcome = UNITWORD_END;
        struct command *command = &commands->items[commands->count];

        *command = (struct command){.entry = entry};
        for (bool first = true; **p; first = false) {
                const char *text;

                if ((*p)[0] == ';' && ((*p)[1] == '\0' || isspace((unsigned char)(*p)[1]))) {
                        *p += 1 + strspn(*p + 1, " \t\n\r");
                        outcome = UNITWORD_OK;
                        break;
                }
                if (strncmp(*p, "\\;", 2) == 0 && ((*p)[2] == '\0' || isspace((unsigned char)(*p)[2]))) {
                        *p += 2 + strspn(*p + 2, " \t\n\r");
                        if (strlist_add(&command->words, ";") < 0)
                                conv->sheet->failed = true;
                        continue;
                }
                outcome = unitword_next(p, &word);
                if (outcome >= UNITWORD_END)
                        break;
                text = first ? read_prefixes(command, buf_text(&word)) : buf_text(&word);
                text = systemd_expand(conv, entry, text);
                if (!text || strlist_add(&command->words, text) < 0)
                        conv->sheet->failed = true;
        }
        if (outcome == UNITWORD_UNCLOSED) {
                sheet_refuse(conv->out, &entry->mark, "%s=%s: a quote is not closed", entry->name, entry->value);
                strlist_deinit(&command->words);
                return false;
        }
        if (command->words.count == 0)
                sheet_refuse(conv->out, &entry->mark, "%s=%s: there is an empty command", entry->name, entry->value);
        return command->words.count > 0;
}

static void read_commands(struct commands *commands) {
        struct conversion *conv = commands->conv;
        const struct unit_entry *entry;

        for (size_t i = 0; (entry = systemd_next(&conv->service_effective, "ExecStart", &i));) {
                const char *p = entry->value;

                while (*p && commands->count < COMMANDS_MAX) {
                        if (read_command(commands, entry, &p))
                                commands->count++;
                        else
                                break;
                }
                if (*p && commands->count == COMMANDS_MAX)
                        sheet_refuse(conv->out, &entry->mark, "%s: there are more than %d commands", entry->name,
                                     COMMANDS_MAX);
        }
}

/* What would not be a program here. */
static void check_program(struct conversion *conv, const struct command *command) {
        const char *program = command->words.items[0];
        const struct unit_entry *entry = command->entry;

        if (command->has_argv0 && command->words.count < 2)
                sheet_refuse(conv->out, &entry->mark, "%s=%s: with @ a second word is needed, the program's argv[0]",
                             entry->name, entry->value);
        if (program[0] == '\0' || (program[0] != '/' && strchr(program, '/')))
                sheet_refuse(conv->out, &entry->mark, "%s=%s: '%s' is neither an absolute path nor a name", entry->name,
                             entry->value, program);
        else if (strstr(program, "$$") || strstr(program, "${"))
                sheet_refuse(conv->out, &entry->mark, "%s=%s: '%s' cannot be the name of a program here", entry->name,
                             entry->value, program);
        if (command->ignores_failure)
                sheet_remark(conv->out, "command",
                             "- in front of ExecStart: a failure, which systemd ignores, is counted "
                             "as one here, and no more");
}

const char *systemd_find_rights(const struct conversion *conv) {
        AUTO(buf_deinit) struct buf word = BUF_NULL;
        const struct unit_entry *entry;
        struct command command = {0};
        const char *p;
        size_t i = 0;

        entry = systemd_next(&conv->service_effective, "ExecStart", &i);
        p = entry ? entry->value : "";
        if (unitword_next(&p, &word) < UNITWORD_END)
                read_prefixes(&command, buf_text(&word));
        return command.is_full ? "+" : command.keeps_rights ? "!" : NULL;
}

void systemd_convert_command(struct conversion *conv) {
        const struct unit_entry *type = systemd_last(&conv->service_effective, "Type");
        const struct mark mark = {.file = conv->service->path};
        struct commands commands = {.conv = conv};

        read_commands(&commands);
        if (commands.count == 0 &&
            (!conv->out->refused || (!conv->service->masked && !systemd_last(&conv->service_effective, "ExecStart"))))
                sheet_refuse(conv->out, &mark, "%s has no ExecStart", conv->service->name);
        if (commands.count > 1 && (!type || strcmp(type->value, "oneshot") != 0))
                sheet_refuse(conv->out, &commands.items[1].entry->mark,
                             "ExecStart: a second command is for Type=oneshot alone");
        commands.needs_shell = commands.count > 1 || conv->redirections.size > 0;
        for (size_t i = 0; i < commands.count; i++) {
                look_at_words(&commands, &commands.items[i]);
                check_program(conv, &commands.items[i]);
        }
        if (commands.count > 0 && commands.needs_shell)
                command_write_shell(&commands);
        else if (commands.count > 0)
                command_write_list(&commands);
        for (size_t i = 0; i < commands.count; i++)
                strlist_deinit(&commands.items[i].words);
        strlist_deinit(&commands.empty);
        systemd_write_environment(conv, commands.needs_shell && conv->has_env_files);
}
