/* IPAddressAllow= and IPAddressDeny= of a socket unit: who may connect. systemd serves who is in the first list,
 * refuses who is in the second, and serves everybody else; here the most specific network decides. */
#include "import/systemd.h"
#include "import/unitword.h"

#include <arpa/inet.h>
#include <sys/socket.h>

struct network {
        int family;
        unsigned char bytes[16];
        unsigned length;
};

/* ADDRESS or ADDRESS/LENGTH; bits beyond the length do not count. */
static bool read_network(const char *text, struct network *ret) {
        char address[64];
        size_t size = strcspn(text, "/");
        unsigned bits;
        char *end;

        if (size >= sizeof(address))
                return false;
        memcpy(address, text, size);
        address[size] = '\0';
        *ret = (struct network){.family = strchr(address, ':') ? AF_INET6 : AF_INET};
        if (inet_pton(ret->family, address, ret->bytes) != 1)
                return false;
        bits = ret->family == AF_INET ? 32 : 128;
        ret->length = text[size] ? (unsigned)strtoul(text + size + 1, &end, 10) : bits;
        if (text[size] && (end == text + size + 1 || *end || ret->length > bits))
                return false;
        for (unsigned bit = ret->length; bit < bits; bit++)
                ret->bytes[bit / 8] &= (unsigned char)~(0x80 >> bit % 8);
        return true;
}

static void append_network(struct conversion *conv, const char *key, const struct network *network) {
        char address[INET6_ADDRSTRLEN];
        unsigned bits = network->family == AF_INET ? 32 : 128;

        inet_ntop(network->family, network->bytes, address, sizeof(address));
        if (network->length == bits)
                sheet_append(conv->out, key, address);
        else
                sheet_append(conv->out, key, sheet_printf(conv->sheet, "%s/%u", address, network->length));
}

/* What a word stands for; the word itself where it is an address. */
static const char *expand_word(const char *word) {
        static const char *const words[][2] = {{"any", "0.0.0.0/0 ::/0"},
                                               {"localhost", "127.0.0.0/8 ::1"},
                                               {"link-local", "169.254.0.0/16 fe80::/64"},
                                               {"multicast", "224.0.0.0/4 ff00::/8"}};

        for (size_t i = 0; i < LENGTH_OF(words); i++)
                if (strcmp(words[i][0], word) == 0)
                        return words[i][1];
        return word;
}

/* Appends the networks of all lines of NAME to KEY, where there is a KEY. Returns whether they hold everybody. */
static bool convert_list(struct conversion *conv, const struct effective *socket, const char *name, const char *key) {
        AUTO(buf_deinit) struct buf word = BUF_NULL, one = BUF_NULL;
        bool everybody[2] = {false, false};
        const struct unit_entry *entry;

        for (size_t i = 0; (entry = systemd_next(socket, name, &i));) {
                const char *p = entry->value;

                while (unitword_next(&p, &word) < UNITWORD_END) {
                        const char *networks = expand_word(buf_text(&word));

                        while (unitword_next(&networks, &one) < UNITWORD_END) {
                                struct network network;

                                if (!read_network(buf_text(&one), &network)) {
                                        if (key)
                                                systemd_note(conv, key, entry, "'%s' is not a network", buf_text(&one));
                                        continue;
                                }
                                everybody[network.family == AF_INET6] |= network.length == 0;
                                if (key)
                                        append_network(conv, key, &network);
                        }
                }
        }
        return everybody[0] && everybody[1];
}

/* Whether any client of the socket unit has an IP address. */
static bool has_internet(const struct conversion *conv) {
        bool has = false;

        for (const struct listen_item *item = conv->items; item && !has; item = item->next) {
                AUTO(addr_list_deinit) struct addr_list addrs = ADDR_LIST_NULL;
                AUTO(buf_deinit) struct buf why = BUF_NULL;

                has = item->address && addr_parse(item->address, SOCK_STREAM, &addrs, &why) && addrs.count > 0 &&
                      addr_is_ip(&addrs.items[0]);
        }
        return has;
}

void systemd_convert_access(struct conversion *conv, const struct effective *socket) {
        const struct unit_entry *allow = systemd_last(socket, "IPAddressAllow");
        const struct unit_entry *deny = systemd_last(socket, "IPAddressDeny");
        const char *const names[] = {"IPAddressAllow", "IPAddressDeny"};
        const struct unit_entry *entry;

        if (!conv->accept) {
                for (size_t n = 0; n < LENGTH_OF(names); n++)
                        for (size_t i = 0; (entry = systemd_next(socket, names[n], &i));)
                                systemd_note(conv, "only_from", entry, "only_from and no_access are for %s",
                                             key_scope_text(SCOPE_CONNECTION));
                return;
        }
        if (!allow && !deny)
                return;
        if (!has_internet(conv)) {
                for (size_t n = 0; n < LENGTH_OF(names); n++)
                        for (size_t i = 0; (entry = systemd_next(socket, names[n], &i));)
                                sheet_remark(conv->out, "only_from", "%s=%s: there are no clients with IP addresses",
                                             names[n], entry->value);
                return;
        }
        if (!deny) {
                for (size_t i = 0; (entry = systemd_next(socket, names[0], &i));)
                        systemd_note(conv, "only_from", entry, "nobody is denied, so it means nothing");
                return;
        }
        if (convert_list(conv, socket, "IPAddressDeny", NULL) && allow) {
                convert_list(conv, socket, "IPAddressAllow", "only_from");
                for (size_t i = 0; (entry = systemd_next(socket, names[1], &i));)
                        sheet_remark(conv->out, "only_from", "IPAddressDeny=%s", entry->value);
                if (!sheet_has(conv->out, "only_from"))
                        sheet_refuse(conv->out, &allow->mark, "IPAddressAllow=%s: nobody could connect", allow->value);
                return;
        }
        convert_list(conv, socket, "IPAddressDeny", "no_access");
        if (!allow)
                return;
        sheet_append(conv->out, "only_from", "0.0.0.0/0");
        sheet_append(conv->out, "only_from", "::/0");
        convert_list(conv, socket, "IPAddressAllow", "only_from");
        systemd_note(
                conv, "only_from", allow,
                "a network that is allowed there although it is in one that is denied has to be smaller than that one");
}
