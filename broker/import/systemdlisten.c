/* Socket units: the options of their addresses. */
#include "conf/refuse.h"
#include "conf/types.h"
#include "import/systemd.h"
#include "import/unitvalue.h"
#include "import/unitword.h"

#include <grp.h>
#include <pwd.h>

static bool is_number(const char *text) {
        return text[0] && text[strspn(text, "0123456789")] == '\0';
}

static bool option_applies(const struct key *key, const struct listen_item *item) {
        return item->addrs.count > 0 && (!key->addresses || key->addresses->has(&item->addrs.items[0]));
}

static bool protocol_fits(const char *protocol, const struct addr *addr) {
        if (strcmp(protocol, "udplite") == 0)
                return addr->type == SOCK_DGRAM;
        return addr->type == SOCK_STREAM || (addr->type == SOCK_SEQPACKET && strcmp(protocol, "sctp") == 0);
}

/* Gives the option to all addresses of the unit that it means something for. False where there is none. */
static bool set_option(struct conversion *conv, const struct key *key, const char *text) {
        bool any = false;

        for (struct listen_item *item = conv->items; item; item = item->next) {
                struct sheet_node *node;

                if (!option_applies(key, item))
                        continue;
                if (strcmp(key->name, "protocol") == 0 && !protocol_fits(text, &item->addrs.items[0]))
                        continue;
                any = true;
                node = node_key(item->node, key->name);
                if (key->type == &type_text)
                        node_text(node, text);
                else
                        node_raw(node, "%s", text);
        }
        return any;
}

/* What has words of its own in systemd. NULL: the value as it is. */
static const char *translate_word(const char *key, const char *value) {
        static const char *const words[][3] = {
                {"timestamping", "usec", "us"},
                {"timestamping", "\xc2\xb5s", "us"},
                {"timestamping", "nsec", "ns"},
        };

        bool flag;

        for (size_t i = 0; i < LENGTH_OF(words); i++)
                if (strcmp(words[i][0], key) == 0 && strcmp(words[i][1], value) == 0)
                        return words[i][2];
        if (strcmp(key, "timestamping") == 0 && unitfile_read_bool(value, &flag))
                return flag ? "ns" : "off";
        return value;
}

/* Values of choices, which the carrier takes for texts. */
static const char *refuse_choice(const struct key *key, const char *value) {
        int64_t number;

        for (size_t i = 0; i < key->choices.count; i++)
                if (strcmp(key->choices.names[i], value) == 0)
                        return NULL;
        if (key->type == &type_tos &&
            (unitvalue_integer(value, 0, 255, &number) || strcmp(value, "low-delay") == 0 ||
             strcmp(value, "throughput") == 0 || strcmp(value, "reliability") == 0 || strcmp(value, "low-cost") == 0))
                return NULL;
        return key->type == &type_tos || key->choices.count > 0 ? "is not one of the values that there are" : NULL;
}

void systemd_apply_option(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry) {
        const struct key *key = section_find(&section_listen, directive->key);
        AUTO(buf_deinit) struct buf text = BUF_NULL, why = BUF_NULL;
        const char *value = systemd_expand(conv, entry, entry->value);
        const char *problem;
        uint64_t number;

        if (!value)
                return;
        /* More than any kernel takes is as much as it takes, which is what there is without the key. */
        if (strcmp(key->name, "backlog") == 0 && unitvalue_size(value, &number) && number > INT32_MAX) {
                systemd_add_to_group(conv, GROUP_HELD, entry);
                return;
        }
        value = translate_word(key->name, value);
        problem = refuse_choice(key, value);
        if (problem)
                systemd_note(conv, "listen", entry, "%s", problem);
        else if (!systemd_carry_value(key, value, &text, &why))
                systemd_note(conv, "listen", entry, "%s", buf_text(&why));
        else if (!set_option(conv, key, buf_text(&text)))
                systemd_note(conv, "listen", entry, "%s is for %s", key->name, key->addresses->text);
        if (buf_failed(&text) || buf_failed(&why))
                conv->sheet->failed = true;
}

static void set_listen_option(struct conversion *conv, const struct unit_entry *entry, const char *name,
                              const char *text) {
        const struct key *key = section_find(&section_listen, name);

        if (!set_option(conv, key, text) && entry)
                systemd_note(conv, "listen", entry, "%s is for %s", name, key->addresses->text);
}

static void convert_ipv6_only(struct conversion *conv) {
        const struct unit_entry *entry = systemd_last(conv->effective, "BindIPv6Only");
        bool only; /* it was a boolean once, and may be one still */

        if (!entry)
                return;
        if (strcmp(entry->value, "default") == 0)
                systemd_add_to_group(conv, GROUP_HELD, entry);
        else if (strcmp(entry->value, "both") == 0 || strcmp(entry->value, "ipv6-only") == 0)
                set_listen_option(conv, entry, "ipv6_only", entry->value[0] == 'b' ? "no" : "yes");
        else if (unitfile_read_bool(entry->value, &only))
                set_listen_option(conv, entry, "ipv6_only", only ? "yes" : "no");
        else
                systemd_note(conv, "listen", entry, "is not default, both or ipv6-only, so it means nothing");
}

/* One of the times and numbers of keep_alive. */
static void add_keep_alive(struct conversion *conv, const char *directive, const char *name, bool enabled,
                           struct buf *out) {
        const struct unit_entry *entry = systemd_last(conv->effective, directive);
        const struct key *key = section_find(&section_keep_alive, name);
        AUTO(buf_deinit) struct buf text = BUF_NULL, why = BUF_NULL;

        if (!entry)
                return;
        if (!enabled)
                systemd_note(conv, "listen", entry, "means nothing without KeepAlive=yes");
        else if (!systemd_carry_value(key, entry->value, &text, &why))
                systemd_note(conv, "listen", entry, "%s", buf_text(&why));
        else
                buf_printf(out, "%s%s: %s", out->size > 0 ? ", " : "{", name, buf_text(&text));
}

static void convert_keep_alive(struct conversion *conv) {
        const struct unit_entry *entry = systemd_last(conv->effective, "KeepAlive");
        bool enabled = systemd_read_bool(conv, conv->effective, "KeepAlive", false);
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        add_keep_alive(conv, "KeepAliveTimeSec", "time", enabled, &text);
        add_keep_alive(conv, "KeepAliveIntervalSec", "interval", enabled, &text);
        add_keep_alive(conv, "KeepAliveProbes", "probes", enabled, &text);
        if (text.size > 0)
                buf_add_char(&text, '}');
        if (enabled)
                set_listen_option(conv, entry, "keep_alive", text.size > 0 ? buf_text(&text) : "yes");
        else if (entry)
                systemd_hold_bool(conv, entry);
}

/* A user without a group brings his own. */
static void derive_group(struct conversion *conv, const char *user) {
        const struct passwd *passwd = is_number(user) ? getpwuid((uid_t)strtoul(user, NULL, 10)) : getpwnam(user);
        const struct group *group = passwd ? getgrgid(passwd->pw_gid) : NULL;
        const char *name = group ? group->gr_name : strcmp(user, "root") == 0 || strcmp(user, "0") == 0 ? "root" : user;

        set_listen_option(conv, NULL, "socket_group", name);
        if (group)
                sheet_remark(conv->out, "listen", "SocketUser=%s: the group is that user's own one", user);
        if (!group && strcmp(name, "root") != 0)
                sheet_remark(conv->out, "listen",
                             "SocketUser=%s: the socket's group is that user's own one; he is unknown on the machine "
                             "of the import, so it is taken to have his name",
                             user);
}

static void convert_owner(struct conversion *conv) {
        const struct unit_entry *user = systemd_last(conv->effective, "SocketUser");
        const struct unit_entry *group = systemd_last(conv->effective, "SocketGroup");
        const char *user_name = user ? systemd_expand(conv, user, user->value) : NULL;
        const char *group_name = group ? systemd_expand(conv, group, group->value) : NULL;

        if (user_name && refuse_owner(user_name)) {
                sheet_refuse(conv->out, &user->mark, "SocketUser=%s: %s", user_name, refuse_owner(user_name));
                return;
        }
        if (group_name && refuse_group(group_name)) {
                sheet_refuse(conv->out, &group->mark, "SocketGroup=%s: %s", group_name, refuse_group(group_name));
                return;
        }
        if (user_name)
                set_listen_option(conv, user, "socket_user", user_name);
        if (group_name)
                set_listen_option(conv, group, "socket_group", group_name);
        else if (user_name)
                derive_group(conv, user_name);
}

static bool is_symlinked(const struct listen_item *item) {
        return option_applies(section_find(&section_listen, "symlinks"), item);
}

static void convert_symlinks(struct conversion *conv) {
        AUTO(buf_deinit) struct buf word = BUF_NULL;
        struct listen_item *target = NULL;
        const struct unit_entry *entry;
        size_t targets = 0;

        for (struct listen_item *item = conv->items; item; item = item->next)
                if (is_symlinked(item)) {
                        target = item;
                        targets++;
                }
        for (size_t i = 0; (entry = systemd_next(conv->effective, "Symlinks", &i));) {
                const char *value = systemd_expand(conv, entry, entry->value);
                enum unitword_outcome outcome = UNITWORD_OK;

                if (targets != 1) {
                        systemd_note(conv, "listen", entry, "the unit has %s path that links could lead to",
                                     targets == 0 ? "no" : "more than one");
                        continue;
                }
                while (value && (outcome = unitword_next(&value, &word)) < UNITWORD_END) {
                        if (refuse_path(buf_text(&word)))
                                systemd_note(conv, "listen", entry, "'%s' %s", buf_text(&word),
                                             refuse_path(buf_text(&word)));
                        else
                                node_text(node_add(node_key(target->node, "symlinks")), buf_text(&word));
                }
                if (outcome == UNITWORD_UNCLOSED)
                        systemd_note(conv, "listen", entry, "has a quote that is not closed");
        }
}

/* systemd leaves paths behind unless it is told not to. */
static void convert_removal(struct conversion *conv) {
        const struct unit_entry *entry = systemd_last(conv->effective, "RemoveOnStop");
        bool remove = systemd_read_bool(conv, conv->effective, "RemoveOnStop", false);

        set_listen_option(conv, entry, "remove_on_stop", remove ? "yes" : "no");
}

/* Names of units may have backslashes and colons, which names of sockets cannot have here. */
static void convert_odd_name(struct conversion *conv, const char *name) {
        const struct mark mark = {.file = conv->unit->path};
        char *copy = sheet_copy(conv->sheet, name);

        for (char *p = copy; p && *p; p++)
                if (*p == '\\' || *p == ':')
                        *p = '_';
        if (!copy)
                return;
        sheet_note(conv->out, "listen", &mark, "%s is called %s in LISTEN_FDNAMES here", name, copy);
        set_listen_option(conv, NULL, "name", copy);
}

/* What the program finds in LISTEN_FDNAMES. */
static void convert_name(struct conversion *conv) {
        const struct unit_entry *entry = systemd_last(conv->effective, "FileDescriptorName");
        const char *name = entry ? systemd_expand(conv, entry, entry->value) : conv->unit->name;

        if (!name)
                return;
        if (entry && (conv->accept || conv->shape.handoff == HANDOFF_STDIO)) {
                systemd_note(conv, "listen", entry, "%s",
                             conv->accept ? "a connection is called 'connection'"
                                          : "a socket that is stdin has no name");
                return;
        }
        if (conv->accept || conv->shape.handoff == HANDOFF_STDIO)
                return;
        if (entry && refuse_socket_name(name))
                sheet_refuse(conv->out, &entry->mark, "FileDescriptorName=%s: %s", name, refuse_socket_name(name));
        else if (refuse_socket_name(name))
                convert_odd_name(conv, name);
        else if (!set_option(conv, section_find(&section_listen, "name"), name) && entry)
                sheet_remark(conv->out, "listen", "FileDescriptorName=%s", name);
}

static const char *option_text(const struct listen_item *item, const char *name) {
        for (const struct sheet_node *node = item->node ? item->node->first : NULL; node; node = node->next)
                if (node->key && strcmp(node->key, name) == 0 && node->text)
                        return node->text;
        return "";
}

/* By which name the address is known to others that would be in its way; "" where none can be. */
static void add_key(const struct listen_item *item, struct buf *out) {
        const struct addr *addr = &item->addrs.items[0];

        if (addr->form == ADDR_SPECIAL || addr_has_path(addr)) {
                buf_add_string(out, addr->sockaddr.un.sun_path);
                return;
        }
        if (addr_is_any_port(addr) || addr->sockaddr.sa.sa_family == AF_NETLINK)
                return;
        addr_format(addr, out);
        buf_printf(out, " %s %s", option_text(item, "protocol"), option_text(item, "bind_to_device"));
}

static void remember(struct conversion *conv, const struct listen_item *item) {
        AUTO(buf_deinit) struct buf key = BUF_NULL;
        struct systemd_taken *taken;

        if (item->addrs.count == 0)
                return;
        add_key(item, &key);
        taken = key.size > 0 ? sheet_alloc(conv->sheet, sizeof(*taken)) : NULL;
        if (!taken)
                return;
        *taken = (struct systemd_taken){
                .key = sheet_copy(conv->sheet, buf_text(&key)),
                .owner = conv->out->name,
                .entry = item->entry,
                .is_shared = strcmp(option_text(item, "reuse_port"), "yes") == 0,
                .next = conv->own,
        };
        conv->own = taken;
}

/* What systemd leaves to the kernel, whose only sequential packets over IP are those of SCTP. */
static void check_protocol(struct conversion *conv, const struct listen_item *item) {
        const struct addr *addr = item->addrs.count > 0 ? &item->addrs.items[0] : NULL;

        if (addr && addr->form == ADDR_SOCKET && addr->type == SOCK_SEQPACKET && addr_is_ip(addr) &&
            strcmp(option_text(item, "protocol"), "sctp") != 0)
                sheet_refuse(conv->out, &item->entry->mark, "%s=%s: takes SocketProtocol=sctp", item->entry->name,
                             item->entry->value);
}

static void check_taken(struct conversion *conv, const struct systemd_taken *taken,
                        const struct systemd_taken *others) {
        for (; others; others = others->next) {
                if (!taken->key || !others->key || strcmp(taken->key, others->key) != 0 ||
                    (taken->is_shared && others->is_shared))
                        continue;
                sheet_refuse(conv->out, &taken->entry->mark, "%s=%s: is %s's already, and nobody can have it twice",
                             taken->entry->name, taken->entry->value, others->owner);
                return;
        }
}

void systemd_take_addresses(struct conversion *conv) {
        struct systemd_taken **end = conv->taken;

        for (const struct systemd_taken *taken = conv->own; taken; taken = taken->next) {
                check_taken(conv, taken, taken->next);
                check_taken(conv, taken, *conv->taken);
        }
        while (*end)
                end = &(*end)->next;
        if (!conv->out->refused)
                *end = conv->own;
}

/* An address without options needs no mapping. */
static void simplify(struct listen_item *item) {
        struct sheet_node *node = item->node;

        if (!node || !node->first || node->first->next || !item->address)
                return;
        if (is_number(item->address))
                node_raw(node, "%s", item->address);
        else
                node_text(node, item->address);
}

static void convert_socket(struct conversion *conv) {
        const struct unit_entry *entry = systemd_last(conv->effective, "FlushPending");
        const struct mark mark = {.file = conv->unit->path};
        bool has_listen = false;

        for (size_t i = 0; i < conv->effective->count; i++) {
                const struct effective_entry *item = &conv->effective->items[i];

                if (item->directive->apply != systemd_apply_listen)
                        continue;
                has_listen = true;
                item->directive->apply(conv, item->directive, item->entry);
        }
        convert_name(conv);
        for (size_t i = 0; i < conv->effective->count; i++) {
                const struct effective_entry *item = &conv->effective->items[i];

                if (item->directive->apply && item->directive->apply != systemd_apply_listen)
                        item->directive->apply(conv, item->directive, item->entry);
        }
        convert_ipv6_only(conv);
        convert_keep_alive(conv);
        convert_owner(conv);
        convert_removal(conv);
        convert_symlinks(conv);
        if (entry && systemd_read_bool(conv, conv->effective, "FlushPending", false))
                systemd_note(conv, "listen", entry, "what waits when a server ends is kept for the next one");
        else if (entry)
                systemd_hold_bool(conv, entry);
        if (!conv->items && !has_listen && !conv->unit->broken && !conv->unit->masked)
                sheet_refuse(conv->out, &mark, "%s listens to nothing", conv->unit->name);
        for (struct listen_item *item = conv->items; item; item = item->next) {
                check_protocol(conv, item);
                remember(conv, item);
                simplify(item);
                addr_list_deinit(&item->addrs);
        }
}

/* A single address needs no list. */
static void simplify_list(struct sheet_node *listen) {
        struct sheet_node *only = listen ? listen->first : NULL;

        if (!only || only->next || only->kind != SHEET_MAP || only->comments)
                return;
        listen->kind = SHEET_MAP;
        listen->first = only->first;
        listen->last = only->last;
}

/* The line is one of the service's three that say socket. */
static void refuse_number(struct conversion *conv, size_t count) {
        const struct unit_entry *entry = systemd_find_stdio(&conv->service_effective);

        sheet_refuse(conv->out, &entry->mark, "%s=%s: takes one socket, and there are %zu", entry->name, entry->value,
                     count);
}

void systemd_convert_sockets(struct conversion *conv) {
        size_t count = 0;

        for (size_t i = 0; i < conv->socket_count; i++) {
                struct effective effective = {0};

                conv->items = NULL;
                systemd_look_at(conv, conv->sockets[i], &effective);
                convert_socket(conv);
                systemd_convert_limits(conv, &effective);
                systemd_convert_access(conv, &effective);
                for (const struct listen_item *item = conv->items; item; item = item->next)
                        count++;
        }
        if (!conv->accept && conv->shape.handoff == HANDOFF_STDIO && count > 1)
                refuse_number(conv, count);
        simplify_list(sheet_key(conv->out, "listen"));
}
