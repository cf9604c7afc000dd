/* IPAddressAllow= and IPAddressDeny= of a socket unit: who may connect. systemd serves who is in the first list,
 * refuses who is in the second, and serves everybody else; here the most specific network decides. Both say the same
 * once no network is denied that lies in one that is allowed. */
#include "base/number.h"
#include "import/systemd.h"
#include "import/unitword.h"
#include "net/prefix.h"

#include <arpa/inet.h>
#include <string.h>

struct network {
        struct prefix prefix;
        struct network *next;
};

/* ADDRESS or ADDRESS/LENGTH; bits beyond the length do not count. */
static bool read_network(const char *text, struct prefix *ret) {
        AUTO(buf_deinit) struct buf address = BUF_NULL;
        size_t size = strcspn(text, "/");
        int64_t bits;

        buf_add(&address, text, size);
        *ret = (struct prefix){.family = strchr(buf_text(&address), ':') ? AF_INET6 : AF_INET};
        bits = prefix_bits_max(ret->family);
        ret->bits = (uint8_t)bits;
        if (inet_pton(ret->family, buf_text(&address), ret->address) != 1 ||
            (text[size] && number_parse(text + size + 1, 0, bits, &bits) < 0))
                return false;
        prefix_mask(ret, (unsigned)bits);
        return true;
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

static bool is_in(const struct prefix *inner, const struct prefix *outer) {
        struct prefix wider = *inner;

        if (inner->family != outer->family || inner->bits < outer->bits)
                return false;
        prefix_mask(&wider, outer->bits);
        return prefix_equal(&wider, outer);
}

static bool is_in_any(const struct prefix *prefix, const struct network *networks) {
        for (; networks; networks = networks->next)
                if (is_in(prefix, &networks->prefix))
                        return true;
        return false;
}

/* The networks of all lines of NAME, in their order. What is none is noted. */
static struct network *read_list(struct conversion *conv, const struct effective *socket, const char *name,
                                 const char *key) {
        AUTO(buf_deinit) struct buf word = BUF_NULL, one = BUF_NULL;
        struct network *first = NULL, **end = &first;
        const struct unit_entry *entry;

        for (size_t i = 0; (entry = systemd_next(socket, name, &i));) {
                const char *p = entry->value;

                while (unitword_next(&p, &word) < UNITWORD_END) {
                        const char *networks = expand_word(buf_text(&word));

                        while (unitword_next(&networks, &one) < UNITWORD_END) {
                                struct prefix prefix;

                                if (!read_network(buf_text(&one), &prefix)) {
                                        systemd_note(conv, key, entry, "'%s' is not a network", buf_text(&one));
                                        continue;
                                }
                                *end = sheet_alloc(conv->sheet, sizeof(**end));
                                if (!*end)
                                        return first;
                                (*end)->prefix = prefix;
                                end = &(*end)->next;
                        }
                }
        }
        return first;
}

static void append(struct conversion *conv, const char *key, const struct prefix *prefix) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        prefix_format(prefix, &text);
        sheet_append(conv->out, key, buf_text(&text));
}

static void write_only_from(struct conversion *conv, const struct network *allowed) {
        for (; allowed; allowed = allowed->next)
                append(conv, "only_from", &allowed->prefix);
}

/* Takes out of DENIED what lies in a network that is allowed, and so is not. */
static struct network *leave_out_allowed(struct conversion *conv, struct network *denied,
                                         const struct network *allowed) {
        for (struct network **p = &denied; *p;) {
                AUTO(buf_deinit) struct buf text = BUF_NULL;

                if (!is_in_any(&(*p)->prefix, allowed)) {
                        p = &(*p)->next;
                        continue;
                }
                prefix_format(&(*p)->prefix, &text);
                sheet_remark(conv->out, "no_access", "IPAddressDeny= has %s, which IPAddressAllow= allows",
                             buf_text(&text));
                *p = (*p)->next;
        }
        return denied;
}

/* Everybody but those denied, of whom some are allowed. */
static void write_both(struct conversion *conv, const struct network *allowed, const struct network *denied) {
        static const struct prefix everybody[] = {{.family = AF_INET}, {.family = AF_INET6}};
        bool exceptions = false;

        for (const struct network *network = allowed; network; network = network->next)
                exceptions |= is_in_any(&network->prefix, denied);
        for (; denied; denied = denied->next)
                append(conv, "no_access", &denied->prefix);
        if (!exceptions)
                return;
        for (size_t i = 0; i < LENGTH_OF(everybody); i++)
                append(conv, "only_from", &everybody[i]);
        write_only_from(conv, allowed);
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
        struct network *allowed, *denied;
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
        denied = read_list(conv, socket, "IPAddressDeny", "no_access");
        allowed = read_list(conv, socket, "IPAddressAllow", "only_from");
        if (allow && is_in_any(&(struct prefix){.family = AF_INET}, denied) &&
            is_in_any(&(struct prefix){.family = AF_INET6}, denied)) {
                for (size_t i = 0; (entry = systemd_next(socket, names[1], &i));)
                        sheet_remark(conv->out, "only_from", "IPAddressDeny=%s", entry->value);
                write_only_from(conv, allowed);
                if (!allowed)
                        sheet_refuse(conv->out, &allow->mark, "IPAddressAllow=%s: nobody could connect", allow->value);
        } else {
                write_both(conv, allowed, leave_out_allowed(conv, denied, allowed));
        }
}
