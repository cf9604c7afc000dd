/* Texts, lists of texts, and words that stand for something. */
#include "base/number.h"
#include "conf/decode.h"
#include "conf/print.h"
#include "conf/servicedef.h"
#include "conf/types.h"

#include <netinet/ip.h>
#include <string.h>

static void describe_text(const struct key *key, struct buf *out) {
        buf_printf(out, "a text such as %s", key->example);
}

static bool check_text(struct decoder *dec, const struct key *key, const struct node *node, const char *text) {
        const char *problem = key->refuse ? key->refuse(text) : NULL;

        if (!problem)
                return true;
        decode_error(dec, node, "'%s' %s", quote_text(text).text, problem);
        return false;
}

static bool decode_text_value(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const char *text = decode_text(dec, key, node);

        if (!text || !check_text(dec, key, node, text))
                return false;
        *(char **)field = strdup(text);
        return *(char **)field || decode_no_memory(dec, node);
}

static void print_text_field(const struct key *key UNUSED, const void *field, struct printer *printer) {
        print_text_value(printer, *(char *const *)field);
}

static bool equal_text(const struct key *key UNUSED, const void *a, const void *b) {
        const char *x = *(char *const *)a, *y = *(char *const *)b;

        return x && y ? strcmp(x, y) == 0 : x == y;
}

static bool copy_text(const struct key *key UNUSED, const void *from, void *to) {
        const char *text = *(char *const *)from;

        *(char **)to = text ? strdup(text) : NULL;
        return !text || *(char **)to;
}

static void clear_text(const struct key *key UNUSED, void *field) {
        free(*(char **)field);
        *(char **)field = NULL;
}

const struct key_type type_text = {
        .name = "a text",
        .size = sizeof(char *),
        .describe = describe_text,
        .decode = decode_text_value,
        .print = print_text_field,
        .equal = equal_text,
        .copy = copy_text,
        .clear = clear_text,
};

static void add_names(struct buf *out, const char *const *names, size_t count) {
        size_t left = 0, n = 0;

        for (size_t i = 0; i < count; i++)
                left += names[i] != NULL;
        for (size_t i = 0; i < count; i++) {
                if (!names[i])
                        continue;
                buf_printf(out, "%s%s", n == 0 ? "" : n + 1 == left ? " or " : ", ", names[i]);
                n++;
        }
}

static void describe_choice(const struct key *key, struct buf *out) {
        add_names(out, key->choices.names, key->choices.count);
}

/* A choice without a name is a value that cannot be written. */
static int find_choice(const struct key *key, const char *text) {
        for (size_t i = 0; i < key->choices.count; i++)
                if (key->choices.names[i] && strcmp(key->choices.names[i], text) == 0)
                        return (int)i;
        return -1;
}

/* The word alone is taken, also `null` and `no`, which YAML readers would make something else of. */
static bool decode_word(struct decoder *dec, const struct key *key, const struct node *node, int *ret) {
        bool flag;

        if (node->kind != NODE_SCALAR)
                return decode_refuse(dec, key, node);
        *ret = find_choice(key, node->text);
        if (*ret < 0 && number_parse_bool(node->text, &flag) == 0)
                *ret = find_choice(key, flag ? "yes" : "no");
        return *ret >= 0 || decode_refuse(dec, key, node);
}

static bool decode_choice(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        int value = 0;

        if (!decode_word(dec, key, node, &value))
                return false;
        *(unsigned *)field = (unsigned)value;
        return true;
}

static void print_choice(const struct key *key, const void *field, struct printer *printer) {
        print_value(printer, "%s", key->choices.names[*(const unsigned *)field]);
}

const struct key_type type_choice = {
        .name = "one of the choices",
        .size = sizeof(unsigned),
        .describe = describe_choice,
        .decode = decode_choice,
        .print = print_choice,
};

static bool decode_choice_option(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        return decode_word(dec, key, node, field);
}

static void print_choice_option(const struct key *key, const void *field, struct printer *printer) {
        print_value(printer, "%s", key->choices.names[*(const int *)field]);
}

static void clear_option(const struct key *key UNUSED, void *field) {
        *(int *)field = OPTION_UNSET;
}

const struct key_type type_choice_option = {
        .name = "one of the choices",
        .size = sizeof(int),
        .describe = describe_choice,
        .decode = decode_choice_option,
        .print = print_choice_option,
        .clear = clear_option,
};

static const struct {
        const char *name;
        int value;
} tos_names[] = {
        {"low-delay", IPTOS_LOWDELAY},
        {"throughput", IPTOS_THROUGHPUT},
        {"reliability", IPTOS_RELIABILITY},
        {"low-cost", IPTOS_LOWCOST},
};

static void describe_tos(const struct key *key UNUSED, struct buf *out) {
        buf_add_string(out, "0 to 255, low-delay, throughput, reliability or low-cost");
}

static bool decode_tos(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const char *text = decode_text(dec, key, node);
        int64_t value;

        if (!text)
                return false;
        for (size_t i = 0; i < LENGTH_OF(tos_names); i++)
                if (strcmp(text, tos_names[i].name) == 0) {
                        *(int *)field = tos_names[i].value;
                        return true;
                }
        if (number_parse(text, 0, 255, &value) < 0)
                return decode_refuse(dec, key, node);
        *(int *)field = (int)value;
        return true;
}

static void print_tos(const struct key *key UNUSED, const void *field, struct printer *printer) {
        print_value(printer, "%d", *(const int *)field);
}

const struct key_type type_tos = {
        .name = "a type of service",
        .size = sizeof(int),
        .describe = describe_tos,
        .decode = decode_tos,
        .print = print_tos,
        .clear = clear_option,
};

static void describe_texts(const struct key *key, struct buf *out) {
        buf_printf(out, "a list such as %s", key->example);
}

static bool decode_texts_item(struct decoder *dec, const struct key *key, const struct node *node, void *list) {
        const char *text = decode_entry_text(dec, node);

        if (!text || !check_text(dec, key, node, text))
                return false;
        return strlist_add(list, text) == 0 || decode_no_memory(dec, node);
}

static bool decode_texts(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        if (node->kind == NODE_MAPPING || node_is_null(node))
                return decode_refuse(dec, key, node);
        return decode_items(dec, key, node, decode_texts_item, field);
}

static void print_texts(const struct key *key UNUSED, const void *field, struct printer *printer) {
        const struct strlist *list = field;

        print_flow_list(printer, list->items, list->count);
}

static bool equal_texts(const struct key *key UNUSED, const void *a, const void *b) {
        return strlist_equal(a, b);
}

static bool copy_texts(const struct key *key UNUSED, const void *from, void *to) {
        return strlist_copy(from, to) == 0;
}

static void clear_texts(const struct key *key UNUSED, void *field) {
        strlist_deinit(field);
}

const struct key_type type_texts = {
        .name = "a list of texts",
        .size = sizeof(struct strlist),
        .describe = describe_texts,
        .decode = decode_texts,
        .print = print_texts,
        .equal = equal_texts,
        .copy = copy_texts,
        .clear = clear_texts,
};

static const char *const output_names[OUTPUT_N] = {
        [OUTPUT_LOG] = "log",
        [OUTPUT_INHERIT] = "inherit",
        [OUTPUT_SOCKET] = "socket",
        [OUTPUT_NULL] = "null",
};

static void describe_output(const struct key *key UNUSED, struct buf *out) {
        buf_add_string(out, "log, inherit, socket, null or append:/path");
}

static bool decode_output(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        static const char append[] = "append:";
        struct output_def *output = field;

        if (node->kind != NODE_SCALAR || node->text[0] == '\0')
                return decode_refuse(dec, key, node);
        for (unsigned i = 0; i < OUTPUT_N; i++)
                if (output_names[i] && strcmp(output_names[i], node->text) == 0) {
                        output->kind = i;
                        return true;
                }
        if (strncmp(node->text, append, sizeof(append) - 1) != 0)
                return decode_refuse(dec, key, node);
        if (node->text[sizeof(append) - 1] != '/') {
                decode_error(dec, node, "'%s' needs an absolute path after append:", quote_text(node->text).text);
                return false;
        }
        output->kind = OUTPUT_APPEND;
        output->path = strdup(node->text + sizeof(append) - 1);
        return output->path || decode_no_memory(dec, node);
}

static void print_output(const struct key *key UNUSED, const void *field, struct printer *printer) {
        const struct output_def *output = field;
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        if (output->kind != OUTPUT_APPEND) {
                /* Quoted where another reader would take it for nothing at all. */
                print_text_value(printer, output_names[output->kind]);
                return;
        }
        buf_printf(&text, "append:%s", output->path);
        print_text_value(printer, buf_text(&text));
}

static bool equal_output(const struct key *key, const void *a, const void *b) {
        const struct output_def *x = a, *y = b;

        return x->kind == y->kind && equal_text(key, &x->path, &y->path);
}

static bool copy_output(const struct key *key, const void *from, void *to) {
        const struct output_def *x = from;
        struct output_def *y = to;

        y->kind = x->kind;
        return copy_text(key, &x->path, &y->path);
}

static void clear_output(const struct key *key UNUSED, void *field) {
        struct output_def *output = field;

        free(output->path);
        *output = (struct output_def){0};
}

const struct key_type type_output = {
        .name = "a place for output",
        .size = sizeof(struct output_def),
        .describe = describe_output,
        .decode = decode_output,
        .print = print_output,
        .equal = equal_output,
        .copy = copy_output,
        .clear = clear_output,
};
