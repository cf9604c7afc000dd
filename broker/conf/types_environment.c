/* Environment variables and the files they come from. */
#include "conf/decode.h"
#include "conf/nameset.h"
#include "conf/print.h"
#include "conf/refuse.h"
#include "conf/servicedef.h"
#include "conf/textfile.h"
#include "conf/types.h"

#include <stdio.h>
#include <string.h>

static void describe_environment(const struct key *key UNUSED, struct buf *out) {
        buf_add_string(out, "a mapping such as {LANG: C}, or a list such as [LANG=C, HOME]");
}

static bool check_name(struct decoder *dec, const struct node *node, const char *name) {
        const char *problem = refuse_env_name(name);

        if (problem)
                decode_error(dec, node, "'%s' %s", quote_text(name).text, problem);
        return !problem;
}

/* NAME: VALUE. Whatever a YAML reader would make of the value, its text is meant; nothing means the broker's own. */
static bool decode_variable(struct decoder *dec, const struct node_pair *pair, struct strlist *list) {
        const char *name = pair->key->text;
        char *entry;

        if (pair->value->kind == NODE_BROKEN || !check_name(dec, pair->key, name))
                return false;
        if (pair->value->kind != NODE_SCALAR) {
                decode_error(dec, pair->value, "is a %s; write a text",
                             pair->value->kind == NODE_MAPPING ? "mapping" : "list");
                return false;
        }
        if (node_is_null(pair->value))
                return strlist_add(list, name) == 0 || decode_no_memory(dec, pair->value);
        if (asprintf(&entry, "%s=%s", name, pair->value->text) < 0)
                return decode_no_memory(dec, pair->value);
        return strlist_consume(list, entry) == 0 || decode_no_memory(dec, pair->value);
}

static bool decode_mapping(struct decoder *dec, const struct node *node, struct strlist *list) {
        const struct path *up = dec->path;
        bool ok = true;

        for (size_t i = 0; i < node->count; i++) {
                const struct path path = {.up = up, .name = node->pairs[i].key->text};

                dec->path = &path;
                ok = decode_variable(dec, &node->pairs[i], list) && ok;
        }
        dec->path = up;
        return ok;
}

struct environment_items {
        struct strlist *list;
        struct nameset seen;
};

/* NAME=VALUE, or NAME alone. */
static bool decode_item(struct decoder *dec, const struct key *key UNUSED, const struct node *node, void *userdata) {
        struct environment_items *items = userdata;
        struct nameset_item item = {.mark = decode_mark(dec, node)};
        const struct nameset_item *first;
        AUTO(freep) char *name = NULL;

        if (node->kind == NODE_BROKEN)
                return false;
        if (node->kind != NODE_SCALAR || node_is_null(node)) {
                decode_error(dec, node, "is not a variable; write NAME=VALUE, or NAME for the broker's own value");
                return false;
        }
        name = strndup(node->text, strcspn(node->text, "="));
        if (!name)
                return decode_no_memory(dec, node);
        if (!check_name(dec, node, name))
                return false;
        first = nameset_find(&items->seen, name);
        if (first) {
                decode_error(dec, node, "sets %s again, which line %u does already", quote_text(name).text,
                             first->mark.line);
                return false;
        }
        if (nameset_put(&items->seen, name, &item) < 0 || strlist_add(items->list, node->text) < 0)
                return decode_no_memory(dec, node);
        return true;
}

static bool decode_environment(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        struct environment_items items = {.list = field};
        bool ok;

        if (node->kind == NODE_MAPPING)
                return decode_mapping(dec, node, field);
        if (node->kind != NODE_SEQUENCE)
                return decode_refuse(dec, key, node);
        ok = decode_items(dec, key, node, decode_item, &items);
        nameset_deinit(&items.seen);
        return ok;
}

static void print_environment(const struct key *key UNUSED, const void *field, struct printer *printer) {
        const struct strlist *list = field;

        buf_add_char(printer->out, '\n');
        for (size_t i = 0; i < list->count; i++) {
                const char *entry = list->items[i];
                const char *value = strchr(entry, '=');
                AUTO(freep) char *name = strndup(entry, strcspn(entry, "="));

                print_indent(printer, 1);
                print_text(printer->out, name ? name : "");
                buf_add_string(printer->out, value ? ": " : ":\n");
                if (value) {
                        print_text(printer->out, value + 1);
                        buf_add_char(printer->out, '\n');
                }
        }
}

static bool equal_environment(const struct key *key UNUSED, const void *a, const void *b) {
        return strlist_equal(a, b);
}

static bool copy_environment(const struct key *key UNUSED, const void *from, void *to) {
        return strlist_copy(from, to) == 0;
}

static void clear_environment(const struct key *key UNUSED, void *field) {
        strlist_deinit(field);
}

const struct key_type type_environment = {
        .name = "a set of variables",
        .size = sizeof(struct strlist),
        .describe = describe_environment,
        .decode = decode_environment,
        .print = print_environment,
        .equal = equal_environment,
        .copy = copy_environment,
        .clear = clear_environment,
};

static void describe_env_files(const struct key *key UNUSED, struct buf *out) {
        buf_add_string(out, "a path, or a list of paths or {path: PATH, required: no}");
}

static bool finish_env_file(struct decoder *dec, const struct node *node, struct env_file_def *env_file) {
        char *resolved;

        if (!env_file->path || env_file->path[0] == '\0') {
                decode_error(dec, node, "has no path; write the path of a file");
                return false;
        }
        resolved = textfile_resolve(dec->file, env_file->path);
        if (!resolved)
                return decode_no_memory(dec, node);
        free(env_file->path);
        env_file->path = resolved;
        return true;
}

static bool decode_env_file(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        struct decode_target target = {.section = &section_env_file};
        struct env_files_def *list = field;
        struct env_file_def *items = reallocarray(list->items, list->count + 1, sizeof(*items));
        struct env_file_def *env_file;
        const char *text;

        if (!items)
                return decode_no_memory(dec, node);
        list->items = items;
        env_file = &items[list->count++];
        *env_file = (struct env_file_def){.mark = decode_mark(dec, node)};
        if (!section_set_defaults(&section_env_file, env_file))
                return decode_no_memory(dec, node);
        if (node->kind == NODE_MAPPING) {
                target.base = env_file;
                return decode_section(dec, &target, node) && finish_env_file(dec, node, env_file);
        }
        text = decode_text(dec, key, node);
        if (!text)
                return false;
        env_file->path = strdup(text);
        return env_file->path ? finish_env_file(dec, node, env_file) : decode_no_memory(dec, node);
}

static bool decode_env_files(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        return decode_items(dec, key, node, decode_env_file, field);
}

static void print_env_files(const struct key *key UNUSED, const void *field, struct printer *printer) {
        const struct env_files_def *list = field;

        buf_add_char(printer->out, '\n');
        for (size_t i = 0; i < list->count; i++) {
                print_indent(printer, 1);
                buf_add_string(printer->out, "- {path: ");
                print_text(printer->out, list->items[i].path);
                buf_printf(printer->out, ", required: %s}\n", list->items[i].required ? "yes" : "no");
        }
}

static bool equal_env_files(const struct key *key UNUSED, const void *a, const void *b) {
        const struct env_files_def *x = a, *y = b;

        if (x->count != y->count)
                return false;
        for (size_t i = 0; i < x->count; i++)
                if (!section_equal(&section_env_file, &x->items[i], &y->items[i]))
                        return false;
        return true;
}

static bool copy_env_files(const struct key *key UNUSED, const void *from, void *to) {
        const struct env_files_def *x = from;
        struct env_files_def *y = to;

        if (x->count == 0)
                return true;
        y->items = calloc(x->count, sizeof(*y->items));
        if (!y->items)
                return false;
        for (; y->count < x->count; y->count++) {
                y->items[y->count].mark = x->items[y->count].mark;
                if (!section_copy(&section_env_file, &x->items[y->count], &y->items[y->count]))
                        return false;
        }
        return true;
}

static void clear_env_files(const struct key *key UNUSED, void *field) {
        struct env_files_def *list = field;

        for (size_t i = 0; i < list->count; i++)
                section_clear(&section_env_file, &list->items[i]);
        free(list->items);
        *list = (struct env_files_def){0};
}

const struct key_type type_env_files = {
        .name = "a list of files",
        .size = sizeof(struct env_files_def),
        .describe = describe_env_files,
        .decode = decode_env_files,
        .print = print_env_files,
        .equal = equal_env_files,
        .copy = copy_env_files,
        .clear = clear_env_files,
};
