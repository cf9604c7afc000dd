/* The words of ExecStart and their variables, as a list of arguments. */
#include "conf/words.h"
#include "import/systemdcommand.h"

static bool is_one_of(const char *name, const char *const *names, size_t count) {
        for (size_t i = 0; i < count; i++)
                if (strcmp(names[i], name) == 0)
                        return true;
        return false;
}

enum variable_kind command_find_variable(const struct conversion *conv, const char *name, const char **ret) {
        static const char *const of_broker[] = {"PATH",           "LANG",          "LISTEN_FDS",   "LISTEN_PID",
                                                "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC"};
        static const char *const of_user[] = {"USER", "LOGNAME", "HOME", "SHELL"};
        const char *constant = strlist_get_env(&conv->environment, name);

        if (strlist_has(&conv->unset, name))
                return VARIABLE_EMPTY;
        if (conv->accept && (strcmp(name, "REMOTE_ADDR") == 0 || strcmp(name, "REMOTE_PORT") == 0)) {
                *ret = strcmp(name, "REMOTE_ADDR") == 0 ? "${remote_addr}" : "${remote_port}";
                return VARIABLE_PLACEHOLDER;
        }
        if (conv->has_env_files || strlist_has(&conv->passed, name) || is_one_of(name, of_broker, LENGTH_OF(of_broker)))
                return VARIABLE_LATER;
        if (constant) {
                *ret = constant;
                return VARIABLE_CONSTANT;
        }
        if (conv->service->user || (is_one_of(name, of_user, LENGTH_OF(of_user)) && sheet_has(conv->out, "user")))
                return VARIABLE_LATER;
        return VARIABLE_EMPTY;
}

bool command_next_part(const char **p, bool literal, struct part *ret) {
        const char *at = *p;

        if (!*at)
                return false;
        if (!literal && at[0] == '$' && at[1] == '$') {
                *ret = (struct part){at, 1, false};
                *p = at + 2;
                return true;
        }
        if (!literal && at[0] == '$' && at[1] == '{') {
                size_t size = strcspn(at + 2, "}:");

                if (at[2 + size] == '}') {
                        *ret = (struct part){at + 2, size, true};
                        *p = at + 3 + size;
                        return true;
                }
        }
        for (at++; *at && (literal || at[0] != '$' || (at[1] != '$' && at[1] != '{')); at++)
                ;
        *ret = (struct part){*p, (size_t)(at - *p), false};
        *p = at;
        return true;
}

bool command_is_split_word(const struct command *command, const char *word) {
        return !command->is_literal && word[0] == '$' && word[1] != '$' && word[1] != '{';
}

char *command_copy_part(struct conversion *conv, const struct part *part) {
        return sheet_printf(conv->sheet, "%.*s", (int)part->size, part->text);
}

/* A dollar sign at the end would take the meaning of the placeholder's. */
static void add_before_placeholder(struct buf *out, const char *text) {
        for (; *text; text++)
                buf_printf(out, "%s%c", *text == '$' ? "$" : "", *text);
}

/* What goes to a list of arguments: constants and placeholders. */
static void add_argument(struct commands *commands, const struct command *command, const char *word) {
        struct conversion *conv = commands->conv;
        AUTO(buf_deinit) struct buf text = BUF_NULL, constant = BUF_NULL;
        struct part part;
        const char *value;

        while (command_next_part(&word, command->is_literal, &part)) {
                char *piece = command_copy_part(conv, &part);

                if (!piece)
                        return;
                if (!part.is_variable) {
                        buf_add_string(&constant, piece);
                        continue;
                }
                switch (command_find_variable(conv, piece, &value)) {
                case VARIABLE_CONSTANT:
                        buf_add_string(&constant, value);
                        break;
                case VARIABLE_PLACEHOLDER:
                        add_before_placeholder(&text, buf_text(&constant));
                        buf_clear(&constant);
                        buf_add_string(&text, value);
                        break;
                case VARIABLE_EMPTY:
                case VARIABLE_LATER:
                        break;
                }
        }
        systemd_add_literal(&text, buf_text(&constant));
        sheet_append(conv->out, "command", buf_text(&text));
}

static void add_split_argument(struct commands *commands, const char *name) {
        struct conversion *conv = commands->conv;
        AUTO(strlist_deinit) struct strlist words = STRLIST_NULL;
        const char *value;

        switch (command_find_variable(conv, name, &value)) {
        case VARIABLE_PLACEHOLDER:
                sheet_append(conv->out, "command", value);
                break;
        case VARIABLE_CONSTANT:
                if (words_split(value, &words) != WORDS_OK) {
                        strlist_deinit(&words);
                        if (strlist_add(&words, value) < 0)
                                conv->sheet->failed = true;
                }
                for (size_t i = 0; i < words.count; i++) {
                        AUTO(buf_deinit) struct buf text = BUF_NULL;

                        systemd_add_literal(&text, words.items[i]);
                        sheet_append(conv->out, "command", buf_text(&text));
                }
                break;
        case VARIABLE_EMPTY:
        case VARIABLE_LATER:
                break;
        }
}

void command_find_unset(const struct conversion *conv, struct strlist *ret) {
        for (size_t i = 0; i < conv->unset.count; i++) {
                const char *name = conv->unset.items[i];
                bool own = strncmp(name, "LISTEN_", strlen("LISTEN_")) == 0 || strcmp(name, "NOTIFY_SOCKET") == 0 ||
                           strncmp(name, "WATCHDOG_", strlen("WATCHDOG_")) == 0 || conv->accept;

                if ((own || conv->has_env_files || conv->service->user || sheet_has(conv->out, "user")) &&
                    strlist_add(ret, name) < 0)
                        conv->sheet->failed = true;
        }
}

void command_write_list(struct commands *commands) {
        struct conversion *conv = commands->conv;
        AUTO(strlist_deinit) struct strlist unset = STRLIST_NULL;
        const struct command *command = &commands->items[0];
        size_t first = 0;

        command_find_unset(conv, &unset);
        if (unset.count > 0)
                sheet_append(conv->out, "command", "/usr/bin/env");
        for (size_t i = 0; i < unset.count; i++) {
                sheet_append(conv->out, "command", "-u");
                sheet_append(conv->out, "command", unset.items[i]);
        }
        if (unset.count > 0)
                sheet_append(conv->out, "command", sheet_dollars(conv->sheet, command->words.items[first++]));
        else
                sheet_program(conv->out, &command->entry->mark, command->words.items[first++]);
        if (command->has_argv0 && command->words.count > 1) {
                AUTO(buf_deinit) struct buf text = BUF_NULL;

                systemd_add_literal(&text, command->words.items[first++]);
                if (unset.count > 0)
                        sheet_refuse(conv->out, &command->entry->mark,
                                     "UnsetEnvironment takes env in front of the "
                                     "program, which could not be called '%s' then",
                                     command->words.items[1]);
                else
                        sheet_text(conv->out, "argv0", buf_text(&text));
        }
        for (size_t i = first; i < command->words.count; i++) {
                const char *word = command->words.items[i];

                if (command_is_split_word(command, word))
                        add_split_argument(commands, word + 1);
                else
                        add_argument(commands, command, word);
        }
}
