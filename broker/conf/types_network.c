/* Lists of clients, and limits with exceptions for some of them. */
#include "conf/decode.h"
#include "conf/print.h"
#include "conf/refuse.h"
#include "conf/servicedef.h"
#include "conf/types.h"
#include "net/prefixtrie.h"

#include <errno.h>
#include <string.h>

static void describe_networks(const struct key *key, struct buf *out) {
        buf_printf(out, "an address, a network, the name of a host%s, or a list of these such as %s",
                   key->id == SERVICE_PROXY_PROTOCOL_FROM ? ", unix:" : "", key->example);
}

/* What is neither an address nor a host, and what other programs have for many clients at once. */
static const char *refuse_clients(const struct key *key, const char *text) {
        const char *problem;

        if (strncmp(text, "country:", 8) == 0)
                return "takes libmaxminddb, which this build does not have; write networks";
        if (key->id == SERVICE_PROXY_PROTOCOL_FROM && (strcmp(text, "unix") == 0 || strncmp(text, "unix:", 5) == 0))
                return "is not a client; write \"unix:\" for all of AF_UNIX sockets";
        if (strncmp(text, "unix:", 5) == 0)
                return "has no address to go by; write uid or gid for clients of AF_UNIX sockets";
        if (text[0] == '.' || strncmp(text, "*.", 2) == 0)
                return "is a domain, and clients are known by their addresses; write networks";
        problem = refuse_network(text);
        if (!problem && strpbrk(text, "{}, \t\n"))
                return "is several in one; write each on its own, in a list";
        return problem || prefix_looks_numeric(text) ? problem : refuse_host(text);
}

static bool set_unix(struct network_def *network) {
        network->prefixes = calloc(1, sizeof(*network->prefixes));
        if (!network->prefixes)
                return false;
        network->prefixes[0] = (struct prefix){.family = AF_UNIX};
        network->count = 1;
        return true;
}

/* xinetd takes 10.0.0.0 for a network. */
static void warn_zeros(struct decoder *dec, const struct node *node, const struct prefix *prefix) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        struct prefix network = *prefix;
        unsigned bits = 32;

        if (prefix->family != AF_INET || prefix->bits != 32 || strchr(node->text, '/'))
                return;
        while (bits > 8 && prefix->address[bits / 8 - 1] == 0)
                bits -= 8;
        if (bits == 32)
                return;
        prefix_mask(&network, bits);
        prefix_format(&network, &text);
        decode_warning(dec, node, "'%s' means this one address; write %s for the network", node->text, buf_text(&text));
}

static bool decode_prefix(struct decoder *dec, const struct node *node, struct prefix *ret) {
        AUTO(buf_deinit) struct buf why = BUF_NULL;

        if (prefix_parse(node->text, ret, &why)) {
                warn_zeros(dec, node, ret);
                return true;
        }
        decode_error(dec, node, "'%s' %s", quote_text(node->text).text, buf_text(&why));
        return false;
}

static bool resolve_host(struct decoder *dec, const struct node *node, struct network_def *network) {
        const struct kept_answer *kept = kept_find(dec->kept, KEPT_HOST, node->text);
        AUTO(buf_deinit) struct buf why = BUF_NULL;

        if (kept) {
                network->prefixes = copy_items(kept->data, 1, kept->size);
                network->count = network->prefixes ? kept->size / sizeof(struct prefix) : 0;
                return network->prefixes || decode_no_memory(dec, node);
        }
        if (prefix_resolve(node->text, &network->prefixes, &network->count, &why))
                return true;
        decode_error(dec, node, "'%s' %s", quote_text(node->text).text, buf_text(&why));
        return false;
}

static bool decode_clients(struct decoder *dec, const struct key *key, const struct node *node,
                           struct network_def *network) {
        const char *problem;

        if (key->id == SERVICE_PROXY_PROTOCOL_FROM && strcmp(node->text, "unix:") == 0)
                return set_unix(network) || decode_no_memory(dec, node);
        problem = refuse_clients(key, node->text);
        if (problem) {
                decode_error(dec, node, "'%s' %s", quote_text(node->text).text, problem);
                return false;
        }
        if (!prefix_looks_numeric(node->text))
                return resolve_host(dec, node, network);
        network->prefixes = calloc(1, sizeof(*network->prefixes));
        if (!network->prefixes)
                return decode_no_memory(dec, node);
        network->count = 1;
        return decode_prefix(dec, node, network->prefixes);
}

static void network_deinit(struct network_def *network) {
        free(network->text);
        free(network->prefixes);
}

struct network_items {
        struct networks_def *list;
        struct prefix_trie seen;
        size_t room;
};

/* Whether any of its prefixes is new. */
static int note_prefixes(struct prefix_trie *seen, const struct network_def *network) {
        int fresh = 0;

        for (size_t i = 0; i < network->count; i++) {
                int r = prefix_trie_add(seen, &network->prefixes[i], 0);

                if (r == -ENOMEM)
                        return r;
                fresh |= r == 0;
        }
        return fresh;
}

static bool add_network(struct network_items *items, const struct network_def *network) {
        struct networks_def *list = items->list;

        if (list->count == items->room) {
                size_t room = MAX_OF(2 * items->room, 8);
                struct network_def *grown = reallocarray(list->items, room, sizeof(*grown));

                if (!grown)
                        return false;
                list->items = grown;
                items->room = room;
        }
        list->items[list->count++] = *network;
        return true;
}

static bool decode_network(struct decoder *dec, const struct key *key, const struct node *node, void *userdata) {
        struct network_items *items = userdata;
        AUTO(network_deinit) struct network_def network = {.mark = decode_mark(dec, node)};
        const char *text = decode_entry_text(dec, node);
        int fresh;

        if (!text || !decode_clients(dec, key, node, &network))
                return false;
        network.text = strdup(text);
        fresh = note_prefixes(&items->seen, &network);
        if (!network.text || fresh < 0 || (fresh > 0 && !add_network(items, &network)))
                return decode_no_memory(dec, node);
        if (fresh > 0)
                network = (struct network_def){0};
        return true;
}

static bool decode_networks(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        struct network_items items = {.list = field};
        bool ok;

        if (node->kind == NODE_MAPPING || node_is_null(node))
                return decode_refuse(dec, key, node);
        if (node->kind == NODE_SEQUENCE && node->count == 0) {
                decode_error(dec, node, "is empty; write somebody, or leave %s out", key->name);
                return false;
        }
        ok = decode_items(dec, key, node, decode_network, &items);
        prefix_trie_deinit(&items.seen);
        return ok;
}

static void print_networks(const struct key *key UNUSED, const void *field, struct printer *printer) {
        const struct networks_def *list = field;

        buf_add_char(printer->out, '\n');
        for (size_t i = 0; i < list->count; i++) {
                print_indent(printer, 1);
                buf_add_char(printer->out, '-');
                print_text_value(printer, list->items[i].text);
        }
}

static bool equal_prefixes(const struct network_def *x, const struct network_def *y) {
        if (x->count != y->count)
                return false;
        for (size_t i = 0; i < x->count; i++)
                if (!prefix_equal(&x->prefixes[i], &y->prefixes[i]))
                        return false;
        return true;
}

/* A host that has moved makes a difference. */
static bool equal_networks(const struct key *key UNUSED, const void *a, const void *b) {
        const struct networks_def *x = a, *y = b;

        if (x->count != y->count)
                return false;
        for (size_t i = 0; i < x->count; i++)
                if (strcmp(x->items[i].text, y->items[i].text) != 0 || !equal_prefixes(&x->items[i], &y->items[i]))
                        return false;
        return true;
}

static bool copy_network(const struct network_def *from, struct network_def *to) {
        *to = (struct network_def){.mark = from->mark, .count = from->count};
        to->text = strdup(from->text);
        to->prefixes = copy_items(from->prefixes, from->count, sizeof(*from->prefixes));
        return to->text && to->prefixes;
}

static bool copy_networks(const struct key *key UNUSED, const void *from, void *to) {
        const struct networks_def *x = from;
        struct networks_def *y = to;

        if (x->count == 0)
                return true;
        y->items = calloc(x->count, sizeof(*y->items));
        if (!y->items)
                return false;
        while (y->count < x->count) {
                struct network_def *item = &y->items[y->count++];

                if (!copy_network(&x->items[y->count - 1], item))
                        return false;
        }
        return true;
}

static void clear_networks(const struct key *key UNUSED, void *field) {
        struct networks_def *list = field;

        for (size_t i = 0; i < list->count; i++)
                network_deinit(&list->items[i]);
        free(list->items);
        *list = (struct networks_def){0};
}

const struct key_type type_networks = {
        .name = "a list of clients",
        .size = sizeof(struct networks_def),
        .describe = describe_networks,
        .decode = decode_networks,
        .print = print_networks,
        .equal = equal_networks,
        .copy = copy_networks,
        .clear = clear_networks,
};

static void describe_per_source(const struct key *key, struct buf *out) {
        type_count.describe(key, out);
        buf_printf(out, "; or a mapping such as %s", key->example);
}

struct source_items {
        struct per_source_def *def;
        struct prefix_trie seen; /* value: the line */
};

static bool check_source(struct decoder *dec, const struct node *node, const struct prefix *prefix,
                         struct source_items *items) {
        uint32_t line = 0;

        switch (prefix_trie_add(&items->seen, prefix, node->line)) {
        case 0:
                return true;
        case -EEXIST:
                prefix_trie_get(&items->seen, prefix, &line);
                decode_error(dec, node, "'%s' has a limit already, in line %u", quote_text(node->text).text, line);
                return false;
        default:
                return decode_no_memory(dec, node);
        }
}

static bool decode_source(struct decoder *dec, const struct key *key, const struct node_pair *pair,
                          struct source_items *items) {
        const struct key count_key = {.type = &type_count, .min = key->min, .max = key->max};
        struct per_source_def *def = items->def;
        const char *text = pair->key->text;
        struct source_limit_def item = {0}, *grown;

        if (strcmp(text, "default") == 0)
                return type_count.decode(dec, &count_key, pair->value, &def->limit);
        if (!prefix_looks_numeric(text)) {
                decode_error(dec, pair->key, "'%s' is not an address or a network; write those, and default",
                             quote_text(text).text);
                return false;
        }
        if (!decode_prefix(dec, pair->key, &item.prefix) || !check_source(dec, pair->key, &item.prefix, items) ||
            !type_count.decode(dec, &count_key, pair->value, &item.limit))
                return false;
        grown = reallocarray(def->items, def->count + 1, sizeof(*grown));
        if (!grown)
                return decode_no_memory(dec, pair->key);
        def->items = grown;
        item.text = strdup(text);
        def->items[def->count++] = item;
        return item.text || decode_no_memory(dec, pair->key);
}

static bool decode_per_source(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        struct per_source_def *def = field;
        struct source_items items = {.def = def};
        const struct path *up = dec->path;
        bool ok = true;

        if (node->kind != NODE_MAPPING)
                return type_count.decode(dec, key, node, &def->limit);
        def->limit = COUNT_UNLIMITED;
        if (node->count == 0) {
                decode_error(dec, node, "is empty; write limits such as %s", key->example);
                return false;
        }
        for (size_t i = 0; i < node->count; i++) {
                const struct path path = {.up = up, .name = node->pairs[i].key->text};

                dec->path = &path;
                ok = decode_source(dec, key, &node->pairs[i], &items) && ok;
        }
        dec->path = up;
        prefix_trie_deinit(&items.seen);
        return ok;
}

static void print_per_source(const struct key *key, const void *field, struct printer *printer) {
        const struct per_source_def *def = field;

        if (def->count == 0) {
                type_count.print(key, &def->limit, printer);
                return;
        }
        buf_add_char(printer->out, '\n');
        print_indent(printer, 1);
        buf_add_string(printer->out, "default:");
        type_count.print(key, &def->limit, printer);
        for (size_t i = 0; i < def->count; i++) {
                print_indent(printer, 1);
                print_text(printer->out, def->items[i].text);
                buf_add_char(printer->out, ':');
                type_count.print(key, &def->items[i].limit, printer);
        }
}

static bool equal_per_source(const struct key *key UNUSED, const void *a, const void *b) {
        const struct per_source_def *x = a, *y = b;

        if (x->limit != y->limit || x->count != y->count)
                return false;
        for (size_t i = 0; i < x->count; i++)
                if (!prefix_equal(&x->items[i].prefix, &y->items[i].prefix) || x->items[i].limit != y->items[i].limit)
                        return false;
        return true;
}

static bool copy_per_source(const struct key *key UNUSED, const void *from, void *to) {
        const struct per_source_def *x = from;
        struct per_source_def *y = to;

        y->limit = x->limit;
        if (x->count == 0)
                return true;
        y->items = calloc(x->count, sizeof(*y->items));
        if (!y->items)
                return false;
        for (; y->count < x->count; y->count++) {
                y->items[y->count] = x->items[y->count];
                y->items[y->count].text = strdup(x->items[y->count].text);
                if (!y->items[y->count].text)
                        return false;
        }
        return true;
}

static void clear_per_source(const struct key *key UNUSED, void *field) {
        struct per_source_def *def = field;

        for (size_t i = 0; i < def->count; i++)
                free(def->items[i].text);
        free(def->items);
        *def = (struct per_source_def){0};
}

const struct key_type type_per_source = {
        .name = "a number",
        .size = sizeof(struct per_source_def),
        .describe = describe_per_source,
        .decode = decode_per_source,
        .print = print_per_source,
        .equal = equal_per_source,
        .copy = copy_per_source,
        .clear = clear_per_source,
};
