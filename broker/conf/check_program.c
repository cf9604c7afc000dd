/* Rules about what a program is told: placeholders in its arguments and environment, and variables that are the
 * broker's to set. */
#include "base/template.h"
#include "conf/check.h"
#include "conf/envfile.h"
#include "conf/textfile.h"

#include <errno.h>
#include <string.h>

struct placeholder_check {
        struct decoder *dec;
        const struct record *record;
        struct check_place place;
};

static void add_socket_names(const struct service_def *def, struct buf *out) {
        for (size_t i = 0; i < def->listen.count; i++)
                buf_printf(out, "%s%s", i == 0 ? "" : ", ", def->listen.items[i].name);
}

static void check_fd(const struct placeholder_check *check, const char *name) {
        const struct record *record = check->record;
        const struct service_def *def = record->def;
        AUTO(buf_deinit) struct buf names = BUF_NULL;
        size_t found = 0;

        if (!check_usable(record, SERVICE_WAIT, SERVICE_HANDOFF) || record->bad[SERVICE_LISTEN])
                return;
        if (def->proxy) {
                check_error(check->dec, record, check->place,
                            "${fd:%s} names no descriptor; a proxy's server gets no socket", name);
                return;
        }
        if (def->handoff == HANDOFF_STDIO) {
                check_error(check->dec, record, check->place,
                            "${fd:%s} needs handoff: fds; here the socket is stdin and stdout", name);
                return;
        }
        if (def->handoff == HANDOFF_REQUEST) {
                check_error(check->dec, record, check->place,
                            "${fd:%s} names no descriptor; a worker that answers requests gets no socket", name);
                return;
        }
        if (def->handoff == HANDOFF_PASS) {
                if (strcmp(name, "queue") != 0)
                        check_error(check->dec, record, check->place,
                                    "${fd:%s} names no descriptor; the queue of connections is ${fd:queue}", name);
                return;
        }
        if (!def->wait) {
                if (strcmp(name, "connection") != 0)
                        check_error(check->dec, record, check->place,
                                    "${fd:%s} names no descriptor; the accepted one is ${fd:connection}", name);
                return;
        }
        for (size_t i = 0; i < def->listen.count; i++)
                if (def->listen.items[i].name && strcmp(def->listen.items[i].name, name) == 0)
                        found += def->listen.items[i].addrs.count;
        if (found == 1)
                return;
        add_socket_names(def, &names);
        if (found == 0)
                check_error(check->dec, record, check->place, "${fd:%s} names no socket; listen has %s", name,
                            buf_text(&names));
        else
                check_error(check->dec, record, check->place,
                            "${fd:%s} could be any of %zu sockets; give each a name of its own", name, found);
}

/* A template_fill_fn. Goes on after an error, so that all of them are found. */
static bool check_placeholder(void *userdata, const struct template_name *name, struct buf *out UNUSED) {
        const struct placeholder_check *check = userdata;
        const struct record *record = check->record;
        bool has_argument = memchr(name->text, ':', name->size) != NULL;

        if (strcmp(name->name, "fd") == 0 && has_argument) {
                check_fd(check, name->argument);
                return true;
        }
        if (strcmp(name->name, "pid") == 0 && !has_argument)
                return true;
        if ((strcmp(name->name, "remote_addr") == 0 || strcmp(name->name, "remote_port") == 0) && !has_argument) {
                if (record->def->proxy)
                        check_error(check->dec, record, check->place,
                                    "${%s} means nothing to a proxy's server, which is there for all clients",
                                    name->name);
                else if (!record->bad[SERVICE_HANDOFF] && service_def_is_pool(record->def))
                        check_error(check->dec, record, check->place,
                                    "${%s} means nothing to a worker, which is there for all clients", name->name);
                else if (!record->bad[SERVICE_WAIT] && record->def->wait)
                        check_error(check->dec, record, check->place,
                                    "${%s} is known with wait: no only, when the broker accepts", name->name);
                return true;
        }
        check_error(check->dec, record, check->place, "unknown placeholder %.*s; write $%.*s for the text itself",
                    (int)name->size, name->text, (int)name->size, name->text);
        return true;
}

static void check_template(struct decoder *dec, const struct record *record, struct check_place place,
                           const char *text) {
        struct placeholder_check check = {.dec = dec, .record = record, .place = place};
        AUTO(buf_deinit) struct buf out = BUF_NULL;

        switch (template_expand(text, check_placeholder, &check, &out)) {
        case TEMPLATE_UNCLOSED:
                check_error(dec, record, place, "'%s' has ${ without }; write $${ for the text itself",
                            quote_text(text).text);
                break;
        case TEMPLATE_TOO_LONG:
                check_error(dec, record, place, "'%s' has a placeholder that is too long to be one",
                            quote_text(text).text);
                break;
        case TEMPLATE_OK:
        case TEMPLATE_REFUSED:
                break;
        }
}

void check_placeholders(struct decoder *dec, struct record *record) {
        const struct strlist *command = &record->def->command, *environment = &record->def->environment;

        if (!record->bad[SERVICE_COMMAND]) {
                if (command->count > 0 && !template_is_plain(command->items[0]))
                        check_error(dec, record, (struct check_place){SERVICE_COMMAND, 0},
                                    "the name of the program cannot have placeholders");
                for (size_t i = 1; i < command->count; i++)
                        check_template(dec, record, (struct check_place){SERVICE_COMMAND, (int)i}, command->items[i]);
        }
        if (!record->bad[SERVICE_ARGV0] && record->def->argv0)
                check_template(dec, record, CHECK_KEY(SERVICE_ARGV0), record->def->argv0);
        for (size_t i = 0; i < environment->count && !record->bad[SERVICE_ENVIRONMENT]; i++) {
                const char *value = strchr(environment->items[i], '=');

                if (value)
                        check_template(dec, record, (struct check_place){SERVICE_ENVIRONMENT, (int)i}, value + 1);
        }
}

static bool has_name(const char *const *names, size_t count, const char *text, size_t size) {
        for (size_t i = 0; i < count; i++)
                if (strlen(names[i]) == size && strncmp(names[i], text, size) == 0)
                        return true;
        return false;
}

/* Whether the first SIZE bytes of TEXT are a variable that the broker sets, or keeps from all programs. */
static bool is_reserved(const struct record *record, const char *text, size_t size) {
        static const char *const always[] = {
                "LISTEN_FDS",    "LISTEN_PID",    "LISTEN_FDNAMES", "LISTEN_PIDFDID",
                "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
        };
        static const char *const connection[] = {
                "REMOTE_ADDR",   "REMOTE_PORT",   "SERVER_ADDR",  "SERVER_PORT",  "PROTO",
                "TCPREMOTEIP",   "TCPREMOTEPORT", "TCPLOCALIP",   "TCPLOCALPORT", "IPCREMOTEPATH",
                "IPCREMOTEEUID", "IPCREMOTEEGID", "IPCLOCALPATH", "SO_COOKIE",
        };

        if (has_name(always, LENGTH_OF(always), text, size))
                return true;
        return !record->bad[SERVICE_WAIT] && !record->def->wait && !record->def->proxy &&
               has_name(connection, LENGTH_OF(connection), text, size);
}

/* Values by name, later ones in place of earlier ones. */
struct values {
        struct strlist *list;
        struct nameset places; /* thing: index + 1 */
};

static int values_set(struct values *values, const struct envfile_entry *entry) {
        const char *value = entry->value ? entry->value : getenv(entry->name);
        const struct nameset_item *found = nameset_find(&values->places, entry->name);
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        struct nameset_item item;
        char *line;

        if (!value)
                return 0;
        buf_printf(&text, "%s=%s", entry->name, value);
        line = buf_take(&text);
        if (!line)
                return -ENOMEM;
        if (found) {
                size_t index = (size_t)(uintptr_t)found->thing - 1;

                free(values->list->items[index]);
                values->list->items[index] = line;
                return 0;
        }
        if (strlist_consume(values->list, line) < 0)
                return -ENOMEM;
        item = (struct nameset_item){.thing = (const void *)(uintptr_t)values->list->count};
        return nameset_put(&values->places, entry->name, &item);
}

static void read_env_file(struct decoder *dec, struct record *record, int index, struct values *values) {
        const struct env_file_def *env_file = &record->def->env_file.items[index];
        const struct check_place place = {SERVICE_ENV_FILE, index};
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        AUTO(envfile_deinit) struct envfile envfile = ENVFILE_NULL;
        int r = textfile_read(env_file->path, ENVFILE_SIZE_MAX, &text, &why);

        if (r == -ENOENT && !env_file->required)
                return;
        if (r < 0) {
                check_error(dec, record, place, "'%s' %s%s", env_file->path, buf_text(&why),
                            r == -ENOENT ? "; write required: no if it need not be there" : "");
                return;
        }
        r = envfile_parse(env_file->path, &text, &envfile, dec->diag);
        for (size_t i = 0; i < envfile.count && r >= 0; i++) {
                const struct envfile_entry *entry = &envfile.items[i];

                if (is_reserved(record, entry->name, strlen(entry->name)))
                        diag_error(dec->diag, &entry->mark, NULL, "%s is set by the broker itself; leave it out",
                                   entry->name);
                else
                        r = values_set(values, entry);
        }
        if (r < 0)
                decode_no_memory(dec, record->name);
}

static void check_names(struct decoder *dec, const struct record *record, enum service_key id,
                        const struct strlist *names) {
        for (size_t i = 0; i < names->count && !record->bad[id]; i++) {
                size_t size = strcspn(names->items[i], "=");

                if (is_reserved(record, names->items[i], size))
                        check_error(dec, record, (struct check_place){id, (int)i},
                                    "%.*s is set by the broker itself; leave it out", (int)size, names->items[i]);
        }
}

void check_variables(struct decoder *dec, struct record *record) {
        struct service_def *def = record->def;
        struct values values = {.list = &def->env_file_values};

        check_names(dec, record, SERVICE_ENVIRONMENT, &def->environment);
        check_names(dec, record, SERVICE_PASS_ENVIRONMENT, &def->pass_environment.names);
        if (record->bad[SERVICE_ENV_FILE] || record->bad[SERVICE_ENABLED] || !def->enabled)
                return;
        if (dec->kept && strlist_copy(&dec->kept->env_file_values, &def->env_file_values) < 0)
                decode_no_memory(dec, record->name);
        for (size_t i = 0; i < def->env_file.count && !dec->kept; i++)
                read_env_file(dec, record, (int)i, &values);
        nameset_deinit(&values.places);
}
