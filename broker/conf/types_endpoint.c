/* Where the broker itself listens: one address of a stream socket. */
#include "conf/decode.h"
#include "conf/print.h"
#include "conf/servicedef.h"
#include "conf/types.h"

#include <string.h>

static void describe_endpoint(const struct key *key, struct buf *out) {
        buf_printf(out, "a port, an address or a path such as %s, or fd:NAME", key->example);
}

static bool is_stream(const struct addr_list *addrs) {
        for (size_t i = 0; i < addrs->count; i++)
                if (addrs->items[i].form != ADDR_INHERITED &&
                    (addrs->items[i].form != ADDR_SOCKET || addrs->items[i].type != SOCK_STREAM))
                        return false;
        return true;
}

/* Also looks up hosts. */
static bool parse(struct decoder *dec, const struct node *node, struct endpoint_def *endpoint) {
        const struct kept_answer *kept = kept_find(dec->kept, KEPT_ADDRESS, endpoint->address);
        AUTO(buf_deinit) struct buf why = BUF_NULL;

        if (kept) {
                endpoint->addrs.items = copy_items(kept->data, 1, kept->size);
                endpoint->addrs.count = endpoint->addrs.items ? kept->size / sizeof(struct addr) : 0;
                return endpoint->addrs.items || decode_no_memory(dec, node);
        }
        if (addr_parse(endpoint->address, SOCK_STREAM, &endpoint->addrs, &why))
                return true;
        decode_error(dec, node, "'%s' %s", quote_text(endpoint->address).text, buf_text(&why));
        return false;
}

static bool decode_endpoint(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const char *text = decode_text(dec, key, node);
        struct endpoint_def *endpoint = field;

        if (!text)
                return false;
        endpoint->mark = decode_mark(dec, node);
        endpoint->address = strdup(text);
        if (!endpoint->address)
                return decode_no_memory(dec, node);
        if (!parse(dec, node, endpoint))
                return false;
        if (is_stream(&endpoint->addrs))
                return true;
        decode_error(dec, node, "'%s' is not a stream socket; write an address such as %s", quote_text(text).text,
                     key->example);
        return false;
}

static void print_endpoint(const struct key *key UNUSED, const void *field, struct printer *printer) {
        print_text_value(printer, ((const struct endpoint_def *)field)->address);
}

static bool equal_endpoint(const struct key *key UNUSED, const void *a, const void *b) {
        const struct endpoint_def *x = a, *y = b;

        return x->address && y->address ? strcmp(x->address, y->address) == 0 : x->address == y->address;
}

static bool copy_endpoint(const struct key *key UNUSED, const void *from, void *to) {
        const struct endpoint_def *x = from;
        struct endpoint_def *y = to;

        if (!x->address)
                return true;
        y->mark = x->mark;
        y->address = strdup(x->address);
        y->addrs.items = copy_items(x->addrs.items, x->addrs.count, sizeof(*x->addrs.items));
        y->addrs.count = y->addrs.items ? x->addrs.count : 0;
        return y->address && y->addrs.items;
}

static void clear_endpoint(const struct key *key UNUSED, void *field) {
        struct endpoint_def *endpoint = field;

        free(endpoint->address);
        addr_list_deinit(&endpoint->addrs);
        *endpoint = (struct endpoint_def){0};
}

const struct key_type type_endpoint = {
        .name = "an address",
        .size = sizeof(struct endpoint_def),
        .describe = describe_endpoint,
        .decode = decode_endpoint,
        .print = print_endpoint,
        .equal = equal_endpoint,
        .copy = copy_endpoint,
        .clear = clear_endpoint,
};
