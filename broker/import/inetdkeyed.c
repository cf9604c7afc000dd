/* NetBSD's notation with keys: SERVICE on KEY = VALUE, …; */
#include "import/inetdentry.h"

#include <arpa/inet.h>
#include <sys/socket.h>

/* What one definition has said so far, beside its entry. */
struct keyed {
        struct sheet *sheet;
        struct inetd_entry *entry;
        const char *wait; /* NULL: not yet */
};

static void read_bind(struct keyed *keyed, const char *value) {
        keyed->entry->host = sheet_copy(keyed->sheet, value);
}

static void read_type(struct keyed *keyed, const char *value) {
        inetd_entry_set_type(keyed->sheet, keyed->entry, value);
}

static void read_filter(struct keyed *keyed, const char *value) {
        keyed->entry->filter = sheet_copy(keyed->sheet, value);
}

static void read_protocol(struct keyed *keyed, const char *value) {
        inetd_entry_set_protocol(keyed->sheet, keyed->entry, value);
}

static void read_send_buffer(struct keyed *keyed, const char *value) {
        keyed->entry->send_buffer = inetd_entry_size(keyed->sheet, keyed->entry, value);
}

static void read_receive_buffer(struct keyed *keyed, const char *value) {
        keyed->entry->receive_buffer = inetd_entry_size(keyed->sheet, keyed->entry, value);
}

static void read_wait(struct keyed *keyed, const char *value) {
        keyed->wait = value;
        keyed->entry->wait = strcmp(value, "yes") == 0;
        if (!keyed->entry->wait && strcmp(value, "no") != 0)
                inetd_entry_refuse(keyed->sheet, keyed->entry, "wait = %s: write yes or no", value);
}

static void read_service_max(struct keyed *keyed, const char *value) {
        keyed->entry->rate = inetd_entry_number(keyed->sheet, keyed->entry, "service_max", value);
}

static void read_ip_max(struct keyed *keyed, const char *value) {
        keyed->entry->source_rate = inetd_entry_number(keyed->sheet, keyed->entry, "ip_max", value);
}

static void read_accept_max(struct keyed *keyed, const char *value) {
        keyed->entry->accept_max = inetd_entry_number(keyed->sheet, keyed->entry, "accept_max", value);
}

static void read_user(struct keyed *keyed, const char *value) {
        keyed->entry->user = sheet_copy(keyed->sheet, value);
}

static void read_group(struct keyed *keyed, const char *value) {
        keyed->entry->group = sheet_copy(keyed->sheet, value);
}

static void read_exec(struct keyed *keyed, const char *value) {
        inetd_entry_set_server(keyed->sheet, keyed->entry, value);
}

static void read_ipsec(struct keyed *keyed, const char *value) {
        keyed->entry->ipsec = sheet_copy(keyed->sheet, value);
}

static const struct {
        const char *name;
        void (*read)(struct keyed *keyed, const char *value);
        size_t max; /* values at most; one at least, but for ipsec */
} keys[] = {
        {"bind", read_bind, 1},           {"socktype", read_type, 1},
        {"acceptfilter", read_filter, 2}, {"protocol", read_protocol, 1},
        {"sndbuf", read_send_buffer, 1},  {"recvbuf", read_receive_buffer, 1},
        {"wait", read_wait, 1},           {"service_max", read_service_max, 1},
        {"ip_max", read_ip_max, 1},       {"accept_max", read_accept_max, 1},
        {"user", read_user, 1},           {"group", read_group, 1},
        {"exec", read_exec, 1},           {"ipsec", read_ipsec, 1},
};

static void read_option(struct keyed *keyed, const struct inetd_option *option) {
        const struct strlist *values = &option->values;

        if (strcmp(option->key, "args") == 0) {
                inetd_entry_set_args(keyed->sheet, keyed->entry, values->items, values->count);
                return;
        }
        for (size_t i = 0; i < LENGTH_OF(keys); i++) {
                bool empty = values->count == 0;

                if (strcmp(option->key, keys[i].name) != 0)
                        continue;
                if (values->count > keys[i].max || (empty && keys[i].read != read_ipsec)) {
                        inetd_entry_refuse(keyed->sheet, keyed->entry, "%s (line %u) has %zu values; it takes one",
                                           option->key, option->line, values->count);
                        return;
                }
                keys[i].read(keyed, empty ? "" : values->items[0]);
                return;
        }
        inetd_entry_refuse(keyed->sheet, keyed->entry, "'%s' (line %u) is not a key of NetBSD's inetd", option->key,
                           option->line);
}

static void check_required(struct keyed *keyed) {
        struct inetd_entry *entry = keyed->entry;
        const char *missing = NULL;

        if (entry->type == 0 && strcmp(entry->base, "tcp") == 0)
                entry->type = SOCK_STREAM;
        if (entry->type == 0 && strcmp(entry->base, "udp") == 0)
                entry->type = SOCK_DGRAM;
        if (entry->protocol[0] == '\0')
                missing = "protocol";
        else if (entry->type == 0)
                missing = "socktype";
        else if (!keyed->wait && entry->server)
                missing = "wait";
        else if (entry->user[0] == '\0')
                missing = "user";
        if (missing)
                inetd_entry_refuse(keyed->sheet, entry, "it has no %s", missing);
}

void inetd_keyed_infer(struct sheet *sheet, struct inetd_entry *entry) {
        struct in6_addr address;

        if (entry->family_written || entry->family != AF_INET || inet_pton(AF_INET, entry->host, &address) == 1)
                return;
        if (inet_pton(AF_INET6, entry->host, &address) == 1)
                entry->family = AF_INET6;
        else
                inetd_entry_refuse(sheet, entry, "protocol %s needs a 4 or a 6 at its end, or an address to bind",
                                   entry->protocol);
}

void inetd_keyed_read(struct sheet *sheet, struct inetd_entry *entry, const struct inetd_line *line) {
        struct keyed keyed = {.sheet = sheet, .entry = entry};

        for (size_t i = 0; i < line->option_count; i++)
                read_option(&keyed, &line->options[i]);
        if (line->error)
                return;
        check_required(&keyed);
}
