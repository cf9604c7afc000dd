/* Values that shape a process: its command, the variables it inherits, its resource limits. */
#include "base/number.h"
#include "conf/decode.h"
#include "conf/print.h"
#include "conf/refuse.h"
#include "conf/servicedef.h"
#include "conf/types.h"
#include "conf/words.h"

#include <inttypes.h>
#include <string.h>

static void describe_command(const struct key *key UNUSED, struct buf *out) {
        buf_add_string(out, "a list such as [/usr/bin/server, --verbose], or a text that is split into words");
}

static bool decode_argument(struct decoder *dec, const struct key *key UNUSED, const struct node *node, void *list) {
        /* An argument may be empty, in quotes; nothing at all is a slip. */
        const char *text = decode_entry_text(dec, node);

        return text && (strlist_add(list, text) == 0 || decode_no_memory(dec, node));
}

/* A text looks like a line for a shell, but there is none. */
static void warn_of_shell(struct decoder *dec, const struct node *node, const struct strlist *command) {
        static const char *const operators[] = {"|", "||", "&", "&&", ";", "<", ">", ">>", "2>", "2>&1", "1>&2"};

        for (size_t i = 1; i < command->count; i++)
                for (size_t j = 0; j < LENGTH_OF(operators); j++)
                        if (strcmp(command->items[i], operators[j]) == 0) {
                                decode_warning(dec, node,
                                               "the program gets '%s' as an argument, since there is no shell; write "
                                               "a list, with /bin/sh and -c in it if one is meant",
                                               operators[j]);
                                return;
                        }
}

static bool decode_command(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        static const char *const problems[] = {
                [WORDS_UNCLOSED_SINGLE] = "has a ' that is not closed",
                [WORDS_UNCLOSED_DOUBLE] = "has a \" that is not closed",
                [WORDS_LONE_BACKSLASH] = "ends in a backslash; double it for the character itself",
        };
        struct strlist *command = field;
        enum words_outcome outcome;

        if (node->kind == NODE_SEQUENCE) {
                if (!decode_items(dec, key, node, decode_argument, command))
                        return false;
        } else {
                const char *text = decode_text(dec, key, node);

                if (!text)
                        return false;
                outcome = words_split(text, command);
                if (outcome == WORDS_NO_MEMORY)
                        return decode_no_memory(dec, node);
                if (outcome != WORDS_OK) {
                        decode_error(dec, node, "'%s' %s", quote_text(text).text, problems[outcome]);
                        return false;
                }
                warn_of_shell(dec, node, command);
        }
        if (command->count > 0 && command->items[0][0] != '\0')
                return true;
        decode_error(dec, node, "is empty; write the program to start");
        return false;
}

static void print_command(const struct key *key UNUSED, const void *field, struct printer *printer) {
        const struct strlist *command = field;

        print_flow_list(printer, command->items, command->count);
}

static bool equal_command(const struct key *key UNUSED, const void *a, const void *b) {
        return strlist_equal(a, b);
}

static bool copy_command(const struct key *key UNUSED, const void *from, void *to) {
        return strlist_copy(from, to) == 0;
}

static void clear_command(const struct key *key UNUSED, void *field) {
        strlist_deinit(field);
}

const struct key_type type_command = {
        .name = "a command",
        .size = sizeof(struct strlist),
        .describe = describe_command,
        .decode = decode_command,
        .print = print_command,
        .equal = equal_command,
        .copy = copy_command,
        .clear = clear_command,
};

static void describe_pass(const struct key *key UNUSED, struct buf *out) {
        buf_add_string(out, "yes, no, or a list of names such as [PATH, LANG]");
}

static bool decode_pass_name(struct decoder *dec, const struct key *key UNUSED, const struct node *node, void *field) {
        const char *text = decode_entry_text(dec, node);
        const char *problem = text ? refuse_env_name(text) : NULL;

        if (problem)
                decode_error(dec, node, "'%s' %s", quote_text(text).text, problem);
        if (!text || problem)
                return false;
        return strlist_add(field, text) == 0 || decode_no_memory(dec, node);
}

static bool decode_pass(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        struct pass_environment_def *pass = field;
        bool all;

        if (node->kind == NODE_SCALAR && number_parse_bool(node->text, &all) == 0) {
                pass->all = all;
                return true;
        }
        if (node->kind == NODE_MAPPING)
                return decode_refuse(dec, key, node);
        return decode_items(dec, key, node, decode_pass_name, &pass->names);
}

static void print_pass(const struct key *key UNUSED, const void *field, struct printer *printer) {
        const struct pass_environment_def *pass = field;

        if (pass->all || pass->names.count == 0)
                print_value(printer, pass->all ? "yes" : "no");
        else
                print_flow_list(printer, pass->names.items, pass->names.count);
}

static bool equal_pass(const struct key *key UNUSED, const void *a, const void *b) {
        const struct pass_environment_def *x = a, *y = b;

        return x->all == y->all && strlist_equal(&x->names, &y->names);
}

static bool copy_pass(const struct key *key UNUSED, const void *from, void *to) {
        const struct pass_environment_def *x = from;
        struct pass_environment_def *y = to;

        y->all = x->all;
        return strlist_copy(&x->names, &y->names) == 0;
}

static void clear_pass(const struct key *key UNUSED, void *field) {
        struct pass_environment_def *pass = field;

        strlist_deinit(&pass->names);
        pass->all = false;
}

const struct key_type type_pass_environment = {
        .name = "a choice of variables",
        .size = sizeof(struct pass_environment_def),
        .describe = describe_pass,
        .decode = decode_pass,
        .print = print_pass,
        .equal = equal_pass,
        .copy = copy_pass,
        .clear = clear_pass,
};

static const struct {
        const char *name;
        int resource;
} ulimit_names[] = {
        {"as", RLIMIT_AS},           {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
        {"data", RLIMIT_DATA},       {"fsize", RLIMIT_FSIZE},       {"locks", RLIMIT_LOCKS},
        {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
        {"nofile", RLIMIT_NOFILE},   {"nproc", RLIMIT_NPROC},       {"rss", RLIMIT_RSS},
        {"rtprio", RLIMIT_RTPRIO},   {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
        {"stack", RLIMIT_STACK},
};

static void describe_ulimits(const struct key *key UNUSED, struct buf *out) {
        buf_add_string(out, "a mapping such as {nofile: 1024, core: {soft: 0, hard: unlimited}}");
}

static const char *resource_name(int resource) {
        for (size_t i = 0; i < LENGTH_OF(ulimit_names); i++)
                if (ulimit_names[i].resource == resource)
                        return ulimit_names[i].name;
        return NULL;
}

static bool find_resource(struct decoder *dec, const struct node *node, int *ret) {
        AUTO(buf_deinit) struct buf names = BUF_NULL;

        for (size_t i = 0; i < LENGTH_OF(ulimit_names); i++) {
                if (strcmp(ulimit_names[i].name, node->text) == 0) {
                        *ret = ulimit_names[i].resource;
                        return true;
                }
                buf_printf(&names, "%s%s", i == 0 ? "" : ", ", ulimit_names[i].name);
        }
        decode_error(dec, node, "unknown limit '%s'; known are %s", quote_text(node->text).text, buf_text(&names));
        return false;
}

static bool decode_limit(struct decoder *dec, const struct node *node, rlim_t *ret) {
        uint64_t value;

        if (node->kind == NODE_BROKEN)
                return false;
        if (node->kind == NODE_SCALAR && (strcmp(node->text, "unlimited") == 0 || strcmp(node->text, "-1") == 0)) {
                *ret = RLIM_INFINITY;
                return true;
        }
        if (node->kind == NODE_SCALAR && number_parse_size(node->text, &value) == 0 && value <= INT64_MAX) {
                *ret = value;
                return true;
        }
        if (node->kind == NODE_SCALAR && !node_is_null(node))
                decode_error(dec, node, "'%s' is not a limit; write a number, or unlimited",
                             quote_text(node->text).text);
        else
                decode_error(dec, node, "is not a limit; write a number, unlimited, or {soft: N, hard: N}");
        return false;
}

/* {soft, hard}; both, as compose wants it. */
static bool decode_limits(struct decoder *dec, const struct node *node, struct rlimit *ret) {
        const struct path *up = dec->path;
        bool soft = false, hard = false, ok = true;

        if (node->kind != NODE_MAPPING) {
                if (!decode_limit(dec, node, &ret->rlim_cur))
                        return false;
                ret->rlim_max = ret->rlim_cur;
                return true;
        }
        for (size_t i = 0; i < node->count; i++) {
                const char *name = node->pairs[i].key->text;
                const struct path path = {.up = up, .name = name};
                bool is_soft = strcmp(name, "soft") == 0;

                dec->path = &path;
                if (!is_soft && strcmp(name, "hard") != 0) {
                        decode_error(dec, node->pairs[i].key, "unknown key '%s'; write soft and hard",
                                     quote_text(name).text);
                        ok = false;
                        continue;
                }
                *(is_soft ? &soft : &hard) = true;
                ok = decode_limit(dec, node->pairs[i].value, is_soft ? &ret->rlim_cur : &ret->rlim_max) && ok;
        }
        dec->path = up;
        if (ok && (!soft || !hard))
                decode_error(dec, node, "has no %s limit; write {soft: N, hard: N}", soft ? "hard" : "soft");
        else if (ok && ret->rlim_cur > ret->rlim_max)
                decode_error(dec, node, "has a soft limit above the hard one");
        return ok && soft && hard && ret->rlim_cur <= ret->rlim_max;
}

static bool add_ulimit(struct decoder *dec, const struct node *node, struct ulimits_def *list,
                       const struct ulimit_def *ulimit) {
        struct ulimit_def *items = reallocarray(list->items, list->count + 1, sizeof(*items));

        if (!items)
                return decode_no_memory(dec, node);
        list->items = items;
        list->items[list->count++] = *ulimit;
        return true;
}

static bool decode_ulimits(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const struct path *up = dec->path;
        bool ok = true;

        if (node->kind != NODE_MAPPING)
                return decode_refuse(dec, key, node);
        for (size_t i = 0; i < node->count; i++) {
                const struct path path = {.up = up, .name = node->pairs[i].key->text};
                struct ulimit_def ulimit;

                dec->path = &path;
                ok = find_resource(dec, node->pairs[i].key, &ulimit.resource) &&
                     decode_limits(dec, node->pairs[i].value, &ulimit.limit) && add_ulimit(dec, node, field, &ulimit) &&
                     ok;
        }
        dec->path = up;
        return ok;
}

static void add_limit(struct buf *out, rlim_t value) {
        if (value == RLIM_INFINITY)
                buf_add_string(out, "unlimited");
        else
                buf_printf(out, "%" PRIu64, (uint64_t)value);
}

static void print_ulimits(const struct key *key UNUSED, const void *field, struct printer *printer) {
        const struct ulimits_def *list = field;

        buf_add_char(printer->out, '\n');
        for (size_t i = 0; i < list->count; i++) {
                const struct rlimit *limit = &list->items[i].limit;

                print_indent(printer, 1);
                buf_printf(printer->out, "%s: {soft: ", resource_name(list->items[i].resource));
                add_limit(printer->out, limit->rlim_cur);
                buf_add_string(printer->out, ", hard: ");
                add_limit(printer->out, limit->rlim_max);
                buf_add_string(printer->out, "}\n");
        }
}

static bool equal_ulimits(const struct key *key UNUSED, const void *a, const void *b) {
        const struct ulimits_def *x = a, *y = b;

        if (x->count != y->count)
                return false;
        for (size_t i = 0; i < x->count; i++)
                if (x->items[i].resource != y->items[i].resource ||
                    x->items[i].limit.rlim_cur != y->items[i].limit.rlim_cur ||
                    x->items[i].limit.rlim_max != y->items[i].limit.rlim_max)
                        return false;
        return true;
}

static bool copy_ulimits(const struct key *key UNUSED, const void *from, void *to) {
        const struct ulimits_def *x = from;
        struct ulimits_def *y = to;

        if (x->count == 0)
                return true;
        y->items = copy_items(x->items, x->count, sizeof(*x->items));
        if (!y->items)
                return false;
        y->count = x->count;
        return true;
}

static void clear_ulimits(const struct key *key UNUSED, void *field) {
        struct ulimits_def *list = field;

        free(list->items);
        *list = (struct ulimits_def){0};
}

const struct key_type type_ulimits = {
        .name = "a set of limits",
        .size = sizeof(struct ulimits_def),
        .describe = describe_ulimits,
        .decode = decode_ulimits,
        .print = print_ulimits,
        .equal = equal_ulimits,
        .copy = copy_ulimits,
        .clear = clear_ulimits,
};
