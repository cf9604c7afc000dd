/* `listen`: addresses with their options, and which options go with which addresses. */
#include "base/number.h"
#include "conf/decode.h"
#include "conf/print.h"
#include "conf/servicedef.h"
#include "conf/types.h"

#include <string.h>

static bool is_ipv6(const struct addr *addr) {
        return addr->form == ADDR_SOCKET && addr->sockaddr.sa.sa_family == AF_INET6;
}

static bool is_tcp(const struct addr *addr) {
        return addr_is_ip(addr) && addr->type == SOCK_STREAM && addr->protocol != IPPROTO_SCTP;
}

static bool is_udp(const struct addr *addr) {
        return addr_is_ip(addr) && addr->type == SOCK_DGRAM;
}

static bool is_unix(const struct addr *addr) {
        return addr->form == ADDR_SOCKET && addr->sockaddr.sa.sa_family == AF_UNIX;
}

static bool is_sender_known(const struct addr *addr) {
        return is_unix(addr) || (addr->form == ADDR_SOCKET && addr->sockaddr.sa.sa_family == AF_NETLINK);
}

static bool is_path(const struct addr *addr) {
        return addr->form == ADDR_FIFO || addr_is_unix_path(addr);
}

static bool is_owned(const struct addr *addr) {
        return is_path(addr) || addr->form == ADDR_MQUEUE;
}

static bool is_mqueue(const struct addr *addr) {
        return addr->form == ADDR_MQUEUE;
}

static bool is_special(const struct addr *addr) {
        return addr->form == ADDR_SPECIAL;
}

static bool is_fifo(const struct addr *addr) {
        return addr->form == ADDR_FIFO;
}

static bool is_socket(const struct addr *addr) {
        return addr->form == ADDR_SOCKET;
}

static bool is_listening(const struct addr *addr) {
        return addr->form == ADDR_SOCKET && (addr->type == SOCK_STREAM || addr->type == SOCK_SEQPACKET);
}

/* What an inherited socket can still be told is what net/listen does in listen_adopt(). */
const struct address_class addresses_listening = {"stream and seqpacket addresses", is_listening, false};
const struct address_class addresses_sockets = {"sockets", is_socket, false};
const struct address_class addresses_inherited_sockets = {"sockets", is_socket, true};
const struct address_class addresses_ip = {"IP addresses", addr_is_ip, false};
const struct address_class addresses_inherited_ip = {"IP addresses", addr_is_ip, true};
const struct address_class addresses_ipv6 = {"IPv6 addresses and ports alone", is_ipv6, false};
const struct address_class addresses_tcp = {"TCP addresses", is_tcp, true};
const struct address_class addresses_udp = {"UDP addresses", is_udp, false};
const struct address_class addresses_unix = {"AF_UNIX addresses", is_unix, false};
const struct address_class addresses_senders = {"AF_UNIX and netlink addresses", is_sender_known, false};
const struct address_class addresses_paths = {"AF_UNIX paths and FIFOs", is_path, false};
const struct address_class addresses_owned = {"AF_UNIX paths, FIFOs and message queues", is_owned, false};
const struct address_class addresses_fifo = {"FIFOs", is_fifo, false};
const struct address_class addresses_mqueue = {"message queues", is_mqueue, false};
const struct address_class addresses_special = {"special files", is_special, false};

static bool class_has(const struct address_class *class, const struct addr_list *addrs) {
        for (size_t i = 0; i < addrs->count; i++)
                if (class->has(&addrs->items[i]) || (class->inherited && addrs->items[i].form == ADDR_INHERITED))
                        return true;
        return false;
}

static void describe_listens(const struct key *key UNUSED, struct buf *out) {
        buf_add_string(out, "a port, an address such as \"127.0.0.1:80\", a path, a mapping with address and options, "
                            "or a list of these");
}

static const struct node *find_value(const struct node *mapping, const char *name) {
        for (size_t i = 0; i < mapping->count; i++)
                if (strcmp(mapping->pairs[i].key->text, name) == 0)
                        return mapping->pairs[i].value;
        return NULL;
}

/* Also looks up hosts, and names of ports. */
static bool parse_address(struct decoder *dec, const struct node *node, struct listen_def *listen) {
        const struct kept_answer *kept = kept_find(dec->kept, KEPT_ADDRESS, listen->address);
        AUTO(buf_deinit) struct buf why = BUF_NULL;

        if (kept) {
                listen->addrs.items = copy_items(kept->data, 1, kept->size);
                listen->addrs.count = listen->addrs.items ? kept->size / sizeof(struct addr) : 0;
                return listen->addrs.items || decode_no_memory(dec, node);
        }
        if (addr_parse(listen->address, SOCK_STREAM, &listen->addrs, &why))
                return true;
        decode_error(dec, node, "'%s' %s", quote_text(listen->address).text, buf_text(&why));
        return false;
}

static const struct {
        const char *name;
        int number;
        int type, other_type;
        const char *addresses;
} protocols[] = {
        [LISTEN_MPTCP] = {"mptcp", IPPROTO_MPTCP, SOCK_STREAM, SOCK_STREAM, "TCP addresses"},
        [LISTEN_SCTP] = {"sctp", IPPROTO_SCTP, SOCK_STREAM, SOCK_SEQPACKET, "TCP addresses and seqpacket ones over IP"},
        [LISTEN_UDPLITE] = {"udplite", IPPROTO_UDPLITE, SOCK_DGRAM, SOCK_DGRAM, "UDP addresses"},
};

/* The protocol is part of the address for everybody from here on. */
static bool apply_protocol(struct decoder *dec, const struct node *node, struct listen_def *listen) {
        const struct node *written = find_value(node, "protocol");
        const struct path path = {.up = dec->path, .name = "protocol"};
        const struct addr *first = &listen->addrs.items[0];
        int i = listen->options.protocol;

        if (!addr_is_ip(first))
                return true; /* check_options() says what there is to say */
        if (i == OPTION_UNSET && first->type == SOCK_SEQPACKET && !written) {
                decode_error(dec, node, "'%s' is of a type that SCTP alone has; write protocol: sctp",
                             quote_text(listen->address).text);
                return false;
        }
        if (i == OPTION_UNSET)
                return true;
        if (first->type != protocols[i].type && first->type != protocols[i].other_type) {
                dec->path = &path;
                decode_error(dec, written, "%s is for %s, and %s is none of them", protocols[i].name,
                             protocols[i].addresses, quote_text(listen->address).text);
                dec->path = path.up;
                return false;
        }
        for (size_t k = 0; k < listen->addrs.count; k++)
                listen->addrs.items[k].protocol = protocols[i].number;
        return true;
}

/* Options that mean nothing for this kind of address are slips, not wishes. */
static bool check_options(struct decoder *dec, const struct node *node, const struct listen_def *listen) {
        const struct path *up = dec->path;
        bool ok = true;

        for (size_t i = 0; i < node->count; i++) {
                const struct key *key = section_find(&section_listen, node->pairs[i].key->text);
                const struct path path = {.up = up, .name = node->pairs[i].key->text};

                if (!key || !key->addresses || class_has(key->addresses, &listen->addrs))
                        continue;
                dec->path = &path;
                decode_error(dec, node->pairs[i].value, "is for %s, and %s%s is none of them", key->addresses->text,
                             quote_text(listen->address).text,
                             listen->addrs.items[0].protocol == IPPROTO_SCTP ? " with protocol: sctp" : "");
                ok = false;
        }
        dec->path = up;
        return ok;
}

/* Then that is what was said already, and where the address went. */
static bool has_unknown_key(const struct node *mapping) {
        for (size_t i = 0; i < mapping->count; i++)
                if (!section_find(&section_listen, mapping->pairs[i].key->text))
                        return true;
        return false;
}

static bool decode_entry(struct decoder *dec, const struct node *node, struct listen_def *listen) {
        const struct decode_target target = {.section = &section_listen, .base = listen};
        const struct path path = {.up = dec->path, .name = "address"};
        const struct node *address = find_value(node, "address");
        bool ok = decode_section(dec, &target, node);

        dec->path = &path;
        if (!address && !has_unknown_key(node))
                decode_error(dec, node, "is missing; write where to listen, such as address: 80");
        ok = address && (!listen->address || parse_address(dec, address, listen)) && ok;
        dec->path = path.up;
        if (!listen->addrs.items)
                return false;
        ok = apply_protocol(dec, node, listen) && ok;
        return check_options(dec, node, listen) && ok;
}

static bool decode_listen(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        struct listens_def *list = field;
        struct listen_def *items = reallocarray(list->items, list->count + 1, sizeof(*items));
        struct listen_def *listen;
        const char *text;

        if (!items)
                return decode_no_memory(dec, node);
        list->items = items;
        listen = &items[list->count++];
        *listen = (struct listen_def){.mark = decode_mark(dec, node)};
        if (!section_set_defaults(&section_listen, listen))
                return decode_no_memory(dec, node);
        if (node->kind == NODE_MAPPING)
                return decode_entry(dec, node, listen);
        if (node->kind == NODE_SEQUENCE) {
                decode_error(dec, node, "is a list within the list; write an address");
                return false;
        }
        text = decode_text(dec, key, node);
        if (!text)
                return false;
        listen->address = strdup(text);
        if (!listen->address)
                return decode_no_memory(dec, node);
        return parse_address(dec, node, listen) && apply_protocol(dec, node, listen);
}

static bool decode_listens(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        if (node->kind == NODE_SEQUENCE && node->count == 0) {
                decode_error(dec, node, "is empty; write where to listen");
                return false;
        }
        return decode_items(dec, key, node, decode_listen, field);
}

/* A port is as good a number as a text. */
static void print_address(const char *address, struct buf *out) {
        if (address[0] != '\0' && address[strspn(address, "0123456789")] == '\0' && address[0] != '0')
                buf_add_string(out, address);
        else
                print_text(out, address);
}

static void print_listen(const struct listen_def *listen, struct printer *printer) {
        const char *lead = "  - ";

        section_for_each(key, &section_listen) {
                const void *field = key_const_field(key, listen);

                if (!key_is_set(key, field) || (key->addresses && !class_has(key->addresses, &listen->addrs)))
                        continue;
                buf_printf(printer->out, "%*s%s%s:", (int)printer->indent, "", lead, key->name);
                lead = "    ";
                if (key->offset == offsetof(struct listen_def, address)) {
                        buf_add_char(printer->out, ' ');
                        print_address(listen->address, printer->out);
                        buf_add_char(printer->out, '\n');
                        continue;
                }
                printer->indent += 4;
                key->type->print(key, field, printer);
                printer->indent -= 4;
        }
}

static void print_listens(const struct key *key UNUSED, const void *field, struct printer *printer) {
        const struct listens_def *list = field;

        buf_add_char(printer->out, '\n');
        for (size_t i = 0; i < list->count; i++)
                print_listen(&list->items[i], printer);
}

static bool equal_listens(const struct key *key UNUSED, const void *a, const void *b) {
        const struct listens_def *x = a, *y = b;

        if (x->count != y->count)
                return false;
        for (size_t i = 0; i < x->count; i++)
                if (!section_equal(&section_listen, &x->items[i], &y->items[i]))
                        return false;
        return true;
}

static bool copy_addrs(const struct addr_list *from, struct addr_list *to) {
        if (from->count == 0)
                return true;
        to->items = copy_items(from->items, from->count, sizeof(*from->items));
        if (!to->items)
                return false;
        to->count = from->count;
        return true;
}

static bool copy_listens(const struct key *key UNUSED, const void *from, void *to) {
        const struct listens_def *x = from;
        struct listens_def *y = to;

        if (x->count == 0)
                return true;
        y->items = calloc(x->count, sizeof(*y->items));
        if (!y->items)
                return false;
        for (; y->count < x->count;) {
                const struct listen_def *old = &x->items[y->count];
                struct listen_def *new = &y->items[y->count++];

                new->mark = old->mark;
                if (!section_copy(&section_listen, old, new) || !copy_addrs(&old->addrs, &new->addrs))
                        return false;
        }
        return true;
}

static void clear_listens(const struct key *key UNUSED, void *field) {
        struct listens_def *list = field;

        for (size_t i = 0; i < list->count; i++) {
                section_clear(&section_listen, &list->items[i]);
                addr_list_deinit(&list->items[i].addrs);
        }
        free(list->items);
        *list = (struct listens_def){0};
}

const struct key_type type_listens = {
        .name = "an address",
        .size = sizeof(struct listens_def),
        .describe = describe_listens,
        .decode = decode_listens,
        .print = print_listens,
        .equal = equal_listens,
        .copy = copy_listens,
        .clear = clear_listens,
};

static void describe_keep_alive(const struct key *key UNUSED, struct buf *out) {
        buf_add_string(out, "yes, no, or a mapping such as {time: 60s, interval: 10s, probes: 5}");
}

static bool decode_keep_alive(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const struct decode_target target = {.section = &section_keep_alive, .base = field};
        struct keep_alive_options *options = field;
        bool on;

        if (node->kind == NODE_MAPPING) {
                options->on = 1;
                return decode_section(dec, &target, node);
        }
        if (node->kind != NODE_SCALAR || number_parse_bool(node->text, &on) < 0)
                return decode_refuse(dec, key, node);
        options->on = on;
        return true;
}

static void print_keep_alive(const struct key *key UNUSED, const void *field, struct printer *printer) {
        const struct keep_alive_options *options = field;

        if (options->time == OPTION_UNSET && options->interval == OPTION_UNSET && options->probes == OPTION_UNSET) {
                print_value(printer, options->on == 1 ? "yes" : "no");
                return;
        }
        buf_add_char(printer->out, '\n');
        printer->indent += 2;
        print_section(printer, &section_keep_alive, field);
        printer->indent -= 2;
}

static void clear_keep_alive(const struct key *key UNUSED, void *field) {
        *(struct keep_alive_options *)field = (struct keep_alive_options){
                .on = OPTION_UNSET,
                .time = OPTION_UNSET,
                .interval = OPTION_UNSET,
                .probes = OPTION_UNSET,
        };
}

const struct key_type type_keep_alive = {
        .name = "a keep-alive setting",
        .size = sizeof(struct keep_alive_options),
        .describe = describe_keep_alive,
        .decode = decode_keep_alive,
        .print = print_keep_alive,
        .clear = clear_keep_alive,
};
