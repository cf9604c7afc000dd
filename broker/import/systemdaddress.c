/* Socket units: the addresses they listen at. */
#include "import/systemd.h"

static bool is_number(const char *text) {
        return text[0] && text[strspn(text, "0123456789")] == '\0';
}

/* The address as our definitions have it. */
static void translate_address(const char *prefix, const char *value, struct buf *out) {
        bool datagram = strcmp(prefix, "udp:") == 0;

        if (datagram && (value[0] == '/' || value[0] == '@'))
                prefix = "unixgram:";
        buf_printf(out, "%s%s", prefix, value);
}

/* Whether VALUE is an address to systemd, which looks up no names. */
static bool is_socket_address(const char *value) {
        const char *colon = strrchr(value, ':');

        return value[0] == '/' || value[0] == '@' || value[0] == '[' || is_number(value) ||
               strncmp(value, "vsock:", strlen("vsock:")) == 0 ||
               (colon && strspn(value, "0123456789.") == (size_t)(colon - value));
}

/* Port 0, by which the kernel chooses here, is an error to systemd. */
static bool is_port_zero(const char *value) {
        const char *colon = strrchr(value, ':'), *port = colon ? colon + 1 : value;

        if (value[0] == '/' || value[0] == '@' || strncmp(value, "vsock:", strlen("vsock:")) == 0)
                return false;
        return port[0] && port[strspn(port, "0")] == '\0';
}

/* Why there is no such address here; NULL where there is. */
static const char *refuse_address(const struct directive *directive, const char *value) {
        bool socket = directive->text && (directive->text[0] == '\0' || strcmp(directive->text, "udp:") == 0 ||
                                          strcmp(directive->text, "seqpacket:") == 0);

        if (!directive->text)
                return "endpoints of USB functions have no equivalent";
        if (socket && !is_socket_address(value))
                return "is no address";
        if (socket && is_port_zero(value))
                return "there is no port 0 in systemd, which does not take the line either";
        if (socket && directive->text[0] && strncmp(value, "vsock:", strlen("vsock:")) == 0)
                return "vsock addresses are stream sockets here";
        return NULL;
}

void systemd_apply_listen(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry) {
        const char *value = systemd_expand(conv, entry, entry->value);
        AUTO(buf_deinit) struct buf address = BUF_NULL, why = BUF_NULL;
        struct listen_item *item;
        const char *problem;

        if (!value)
                return;
        problem = refuse_address(directive, value);
        if (problem && conv->is_template) {
                sheet_append(conv->out, "listen", value);
                return;
        }
        if (problem) {
                sheet_refuse(conv->out, &entry->mark, "%s=%s: %s", entry->name, entry->value, problem);
                return;
        }
        translate_address(directive->text, value, &address);
        item = sheet_alloc(conv->sheet, sizeof(*item));
        if (!item)
                return;
        item->entry = entry;
        item->address = sheet_copy(conv->sheet, buf_text(&address));
        item->node = node_add(sheet_key(conv->out, "listen"));
        if (is_number(buf_text(&address)))
                node_raw(node_key(item->node, "address"), "%s", buf_text(&address));
        else
                node_text(node_key(item->node, "address"), buf_text(&address));
        item->next = conv->items;
        conv->items = item;
        if (!addr_parse(buf_text(&address), SOCK_STREAM, &item->addrs, &why) && !conv->is_template)
                sheet_refuse(conv->out, &entry->mark, "%s=%s: '%s' %s", entry->name, entry->value, buf_text(&address),
                             buf_text(&why));
        else if (conv->accept && item->addrs.count > 0 && !addr_is_connectable(&item->addrs.items[0]))
                sheet_refuse(conv->out, &entry->mark, "%s=%s: with Accept=yes, but a %s has no connections to accept",
                             entry->name, entry->value, addr_noun(&item->addrs.items[0]));
}
