/* The variables of a program: systemd gives it next to none of its own. */
#include "conf/refuse.h"
#include "import/systemd.h"
#include "import/unitword.h"

/* As the check of definitions has them. */
static const char *const reserved[] = {"LISTEN_FDS",    "LISTEN_PID",    "LISTEN_FDNAMES", "LISTEN_PIDFDID",
                                       "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"};
static const char *const reserved_of_connections[] = {"REMOTE_ADDR",  "REMOTE_PORT",   "SERVER_ADDR",   "SERVER_PORT",
                                                      "PROTO",        "TCPREMOTEIP",   "TCPREMOTEPORT", "TCPLOCALIP",
                                                      "TCPLOCALPORT", "IPCREMOTEPATH", "IPCREMOTEEUID", "IPCREMOTEEGID",
                                                      "IPCLOCALPATH", "SO_COOKIE"};

static bool is_in(const char *const *items, size_t count, const char *name) {
        for (size_t i = 0; i < count; i++)
                if (strcmp(items[i], name) == 0)
                        return true;
        return false;
}

static bool is_reserved(const struct conversion *conv, const char *name) {
        return is_in(reserved, LENGTH_OF(reserved), name) ||
               (conv->accept && is_in(reserved_of_connections, LENGTH_OF(reserved_of_connections), name));
}

void systemd_add_literal(struct buf *out, const char *text) {
        for (; *text; text++) {
                buf_add_char(out, *text);
                if (text[0] == '$' && (text[1] == '$' || text[1] == '{'))
                        buf_add_char(out, '$');
        }
}

/* As systemd has it, and a shell, in which some of them stand. */
static bool is_variable_name(const char *name) {
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_", digits[] = "0123456789";
        const char *p = name + strspn(name, letters);

        while (p > name && *p && (strchr(letters, *p) || strchr(digits, *p)))
                p++;
        return p > name && *p == '\0';
}

static void memory(struct conversion *conv, int r) {
        if (r < 0)
                conv->sheet->failed = true;
}

/* NAME=VALUE, which takes the place of what NAME was. */
static void set_variable(struct conversion *conv, const struct unit_entry *entry, const char *assignment) {
        AUTO(freep) char *name = strndup(assignment, strcspn(assignment, "="));
        const char *value = strchr(assignment, '='), *before;

        if (!name || !value || !is_variable_name(name)) {
                systemd_note(conv, "environment", entry, "'%s' is not NAME=VALUE", assignment);
                return;
        }
        if (is_reserved(conv, name)) {
                systemd_note(conv, "environment", entry, "%s is set by the broker itself", name);
                return;
        }
        before = strlist_get_env(&conv->environment, name);
        if (before)
                sheet_remark(conv->out, "environment", "%s=%s does not count, something later takes its place", name,
                             before);
        memory(conv, strlist_set_env(&conv->environment, name, value + 1));
}

static void read_variables(struct conversion *conv, const struct effective *service) {
        AUTO(buf_deinit) struct buf word = BUF_NULL;
        const struct unit_entry *entry;

        for (size_t i = 0; (entry = systemd_next(service, "Environment", &i));) {
                enum unitword_outcome outcome;
                const char *p = entry->value;

                while ((outcome = unitword_next(&p, &word)) < UNITWORD_END) {
                        const char *assignment = systemd_expand(conv, entry, buf_text(&word));

                        if (assignment)
                                set_variable(conv, entry, assignment);
                }
                if (outcome == UNITWORD_UNCLOSED)
                        systemd_note(conv, "environment", entry, "has a quote that is not closed");
        }
}

/* systemd makes these directories, and says where they are. */
static void read_directories(struct conversion *conv, const struct effective *service) {
        static const char *const kinds[][3] = {{"RuntimeDirectory", "RUNTIME_DIRECTORY", "%t"},
                                               {"StateDirectory", "STATE_DIRECTORY", "%S"},
                                               {"CacheDirectory", "CACHE_DIRECTORY", "%C"},
                                               {"LogsDirectory", "LOGS_DIRECTORY", "%L"},
                                               {"ConfigurationDirectory", "CONFIGURATION_DIRECTORY", "%E"}};
        AUTO(buf_deinit) struct buf word = BUF_NULL;
        const struct unit_entry *entry;

        for (size_t kind = 0; kind < LENGTH_OF(kinds); kind++) {
                AUTO(buf_deinit) struct buf paths = BUF_NULL;

                for (size_t i = 0; (entry = systemd_next(service, kinds[kind][0], &i));) {
                        const char *base = systemd_expand(conv, entry, kinds[kind][2]);
                        const char *p = systemd_expand(conv, entry, entry->value);

                        systemd_add_to_group(conv, GROUP_DIRECTORIES, entry);
                        while (p && base && unitword_next(&p, &word) < UNITWORD_END)
                                buf_printf(&paths, "%s%s/%.*s", paths.size > 0 ? ":" : "", base,
                                           (int)strcspn(buf_text(&word), ":"), buf_text(&word));
                }
                if (paths.size > 0)
                        memory(conv, strlist_set_env(&conv->environment, kinds[kind][1], buf_text(&paths)));
        }
}

static void read_names(struct conversion *conv, const struct effective *service, const char *directive,
                       struct strlist *names) {
        AUTO(buf_deinit) struct buf word = BUF_NULL;
        const struct unit_entry *entry;

        for (size_t i = 0; (entry = systemd_next(service, directive, &i));) {
                const char *p = systemd_expand(conv, entry, entry->value);

                while (p && unitword_next(&p, &word) < UNITWORD_END) {
                        if (names == &conv->unset && strchr(buf_text(&word), '='))
                                continue; /* see unset_assignments() */
                        if (!is_variable_name(buf_text(&word)))
                                systemd_note(conv, "environment", entry, "'%s' is not the name of a variable",
                                             buf_text(&word));
                        else if (names == &conv->passed && is_reserved(conv, buf_text(&word)))
                                systemd_note(conv, "pass_environment", entry, "%s is set by the broker itself",
                                             buf_text(&word));
                        else if (strlist_has(names, buf_text(&word)))
                                systemd_add_to_group(conv, GROUP_HELD, entry);
                        else
                                memory(conv, strlist_add(names, buf_text(&word)));
                }
        }
}

/* One file. A pattern stands for any number of them, which only systemd knows when it starts the program. */
static void read_file(struct conversion *conv, const struct unit_entry *entry) {
        bool required = entry->value[0] != '-';
        const char *path = systemd_expand(conv, entry, entry->value + !required);
        struct sheet_node *node;

        if (!path)
                return;
        if (refuse_path(path)) {
                systemd_note(conv, "env_file", entry, "is not an absolute path, so it means nothing");
                return;
        }
        if (strpbrk(path, "*?[")) {
                systemd_note(conv, "env_file", entry, "patterns have no equivalent; write the files themselves");
                return;
        }
        conv->has_env_files = true;
        node = node_add(sheet_key(conv->out, "env_file"));
        if (required) {
                node_text(node, path);
                return;
        }
        node_text(node_key(node, "path"), path);
        node_raw(node_key(node, "required"), "no");
}

/* Whether somebody else than the lines of the unit may give the variable its value. */
static bool is_known_later(const struct conversion *conv, const char *name) {
        static const char *const of_user[] = {"USER", "LOGNAME", "HOME", "SHELL"};
        bool known = strlist_get_env(&conv->environment, name);

        return conv->has_env_files || is_reserved(conv, name) ||
               (!known && (conv->service->user || strlist_has(&conv->passed, name) ||
                           (is_in(of_user, LENGTH_OF(of_user), name) && sheet_has(conv->out, "user"))));
}

/* NAME=VALUE takes the variable away where it has that very value in the end. */
static void unset_assignment(struct conversion *conv, const struct unit_entry *entry, const char *assignment) {
        AUTO(freep) char *name = strndup(assignment, strcspn(assignment, "="));
        const char *value = strchr(assignment, '=') + 1, *known;

        if (!name || !is_variable_name(name)) {
                systemd_note(conv, "environment", entry, "'%s' is not the name of a variable", name ? name : "");
                return;
        }
        known = strlist_get_env(&conv->environment, name);
        if (is_known_later(conv, name))
                systemd_note(conv, "environment", entry,
                             "whether %s is that shows when the program starts; here it stays as it is", name);
        else if (known && strcmp(known, value) == 0 && !strlist_has(&conv->unset, name))
                memory(conv, strlist_add(&conv->unset, name));
        else
                systemd_add_to_group(conv, GROUP_HELD, entry);
}

static void unset_assignments(struct conversion *conv, const struct effective *service) {
        AUTO(buf_deinit) struct buf word = BUF_NULL;
        const struct unit_entry *entry;

        for (size_t i = 0; (entry = systemd_next(service, "UnsetEnvironment", &i));) {
                const char *p = systemd_expand(conv, entry, entry->value);

                while (p && unitword_next(&p, &word) < UNITWORD_END)
                        if (strchr(buf_text(&word), '='))
                                unset_assignment(conv, entry, buf_text(&word));
        }
}

void systemd_read_environment(struct conversion *conv) {
        const struct effective *service = &conv->service_effective;
        const struct unit_entry *entry;

        if (!conv->service->user) {
                memory(conv, strlist_add(&conv->passed, "PATH"));
                memory(conv, strlist_add(&conv->passed, "LANG"));
        }
        read_directories(conv, service);
        read_variables(conv, service);
        read_names(conv, service, "PassEnvironment", &conv->passed);
        read_names(conv, service, "UnsetEnvironment", &conv->unset);
        for (size_t i = 0; (entry = systemd_next(service, "EnvironmentFile", &i));)
                read_file(conv, entry);
        unset_assignments(conv, service);
        for (size_t i = 0; i < conv->unset.count; i++)
                strlist_unset_env(&conv->environment, conv->unset.items[i]);
}

/* In systemd the files win over what stands in the unit, here they lose. */
static void note_order(struct conversion *conv) {
        const struct unit_entry *entry = systemd_last(&conv->service_effective, "Environment");

        if (entry && conv->has_env_files)
                systemd_note(conv, "environment", entry,
                             "where a file of env_file sets one of these, too, systemd takes the file's; here "
                             "environment wins: take it out below");
}

bool systemd_is_directory_variable(const char *variable) {
        static const char *const names[] = {"RUNTIME_DIRECTORY=", "STATE_DIRECTORY=", "CACHE_DIRECTORY=",
                                            "LOGS_DIRECTORY=", "CONFIGURATION_DIRECTORY="};

        for (size_t i = 0; i < LENGTH_OF(names); i++)
                if (strncmp(variable, names[i], strlen(names[i])) == 0)
                        return true;
        return false;
}

void systemd_write_environment(struct conversion *conv, bool defaulted) {
        for (size_t i = 0; i < conv->environment.count; i++) {
                const char *variable = conv->environment.items[i], *value = strchr(variable, '=');
                char *name = sheet_printf(conv->sheet, "%.*s", (int)(value - variable), variable);
                AUTO(buf_deinit) struct buf text = BUF_NULL;

                if (defaulted && !systemd_is_directory_variable(variable))
                        continue;
                systemd_add_literal(&text, value + 1);
                if (name)
                        node_text(node_key(sheet_key(conv->out, "environment"), name), buf_text(&text));
        }
        if (!defaulted)
                note_order(conv);
        if (conv->service->user)
                return;
        for (size_t i = 0; i < conv->passed.count; i++)
                if (!strlist_has(&conv->unset, conv->passed.items[i]))
                        sheet_append(conv->out, "pass_environment", conv->passed.items[i]);
        if (!sheet_has(conv->out, "pass_environment"))
                sheet_raw(conv->out, "pass_environment", "no");
}
