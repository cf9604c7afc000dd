/* Mappings whose keys have a table of their own, and those that the reader of a file takes apart himself. */
#include "conf/decode.h"
#include "conf/print.h"
#include "conf/types.h"

static void describe_mapping(const struct key *key, struct buf *out) {
        const char *names[SECTION_NAMES_MAX];
        size_t count;

        if (!key->section) {
                buf_add_string(out, "a mapping");
                return;
        }
        count = section_names(key->section, names, LENGTH_OF(names));
        buf_add_string(out, "a mapping of ");
        for (size_t i = 0; i < count; i++)
                buf_printf(out, "%s%s", i == 0 ? "" : i + 1 == count ? " and " : ", ", names[i]);
}

/* A mapping of which everything was commented out says nothing, and that is fine. What `defaults:` said is gone, as it
 * is with a key of any other type. */
static bool decode_mapping(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const struct decode_target target = {.section = key->section, .base = field};

        if (!section_set_defaults(key->section, field))
                return decode_no_memory(dec, node);
        return node_is_null(node) || decode_section(dec, &target, node);
}

static void print_mapping(const struct key *key, const void *field, struct printer *printer) {
        buf_add_char(printer->out, '\n');
        printer->indent += 2;
        print_section(printer, key->section, field);
        printer->indent -= 2;
}

static bool equal_mapping(const struct key *key, const void *a, const void *b) {
        return section_equal(key->section, a, b);
}

static bool copy_mapping(const struct key *key, const void *from, void *to) {
        return section_copy(key->section, from, to);
}

static void clear_mapping(const struct key *key, void *field) {
        section_clear(key->section, field);
}

const struct key_type type_mapping = {
        .name = "a mapping",
        .describe = describe_mapping,
        .decode = decode_mapping,
        .print = print_mapping,
        .equal = equal_mapping,
        .copy = copy_mapping,
        .clear = clear_mapping,
};

static void describe_node(const struct key *key, struct buf *out) {
        buf_printf(out, "a mapping such as %s", key->example);
}

static bool decode_node(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        if (node_is_null(node))
                return true;
        if (node->kind != NODE_MAPPING)
                return decode_refuse(dec, key, node);
        *(const struct node **)field = node;
        return true;
}

static void print_node(const struct key *key UNUSED, const void *field UNUSED, struct printer *printer) {
        print_value(printer, "{}");
}

const struct key_type type_node = {
        .name = "a mapping",
        .size = sizeof(const struct node *),
        .describe = describe_node,
        .decode = decode_node,
        .print = print_node,
};
