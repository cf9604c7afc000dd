/* Where a service of an inetd.conf listens. */
#include "base/number.h"
#include "conf/refuse.h"
#include "import/hostport.h"
#include "import/inetdservice.h"
#include "net/addr.h"

#include <arpa/inet.h>
#include <stdio.h>

#define HOST_MAX 256

/* The next host of a list with commas, without its brackets; NULL at the end. */
static const char *next_host(const char **list, char host[HOST_MAX]) {
        size_t size = strcspn(*list, ",");
        const char *start = *list;

        if (*start == '\0')
                return NULL;
        *list += size + (start[size] == ',');
        if (size > 2 && start[0] == '[' && start[size - 1] == ']') {
                start++;
                size -= 2;
        }
        snprintf(host, HOST_MAX, "%.*s", (int)size, start);
        return host;
}

/* A host as it counts for who is where: its family, AF_UNSPEC for both, and its address or name. */
static int settle_host(const struct inetd_entry *entry, char host[HOST_MAX]) {
        struct in6_addr in6;

        if (strcmp(host, "localhost") == 0 && entry->family != AF_UNSPEC)
                snprintf(host, HOST_MAX, "%s", entry->family == AF_INET6 ? "::1" : "127.0.0.1");
        if (strcmp(host, "*") == 0)
                return entry->family;
        if (hostport_is_ipv4(host))
                return AF_INET;
        if (!hostport_is_ipv6(host))
                return AF_UNSPEC;
        if (inet_pton(AF_INET6, host, &in6) == 1)
                inet_ntop(AF_INET6, &in6, host, HOST_MAX);
        return AF_INET6;
}

/* Whether one of the first COUNT hosts of ENTRY has an address in common with HOST of FAMILY. */
static bool has_host(const struct inetd_entry *entry, size_t count, int family, const char *host) {
        const char *list = entry->host;
        char own[HOST_MAX];

        while (count-- > 0 && next_host(&list, own)) {
                int own_family = settle_host(entry, own);

                if ((own_family == family || own_family == AF_UNSPEC || family == AF_UNSPEC) &&
                    (strcmp(own, host) == 0 || strcmp(own, "*") == 0 || strcmp(host, "*") == 0))
                        return true;
        }
        return false;
}

bool inetd_listen_overlaps(const struct inetd_entry *a, const struct inetd_entry *b) {
        const char *list = a->host;
        char host[HOST_MAX];

        while (next_host(&list, host)) {
                int family = settle_host(a, host);

                if (has_host(b, SIZE_MAX, family, host))
                        return true;
        }
        return false;
}

bool inetd_listen_is_local(const struct inetd_entry *entry) {
        const char *list = entry->host;
        char host[HOST_MAX];

        if (entry->family == AF_UNIX)
                return true;
        while (next_host(&list, host))
                if (strncmp(host, "127.", 4) != 0 && strcmp(host, "::1") != 0 && strcmp(host, "localhost") != 0)
                        return false;
        return true;
}

/* A buffer of the socket, or an option of it that is on. */
static void write_options(struct sheet_node *node, const struct inetd_entry *entry) {
        const struct {
                const char *key;
                int size;
        } buffers[] = {{"receive_buffer", entry->receive_buffer}, {"send_buffer", entry->send_buffer}};

        for (size_t i = 0; i < LENGTH_OF(buffers); i++) {
                AUTO(buf_deinit) struct buf size = BUF_NULL;

                if (buffers[i].size == INETD_UNSET)
                        continue;
                number_add_size(&size, (uint64_t)buffers[i].size);
                node_raw(node_key(node, buffers[i].key), "%s", buf_text(&size));
        }
        if (entry->filter && strcmp(entry->base, "tcp") == 0)
                node_raw(node_key(node, "defer_accept"), "yes");
}

static bool has_options(const struct inetd_entry *entry) {
        return entry->receive_buffer != INETD_UNSET || entry->send_buffer != INETD_UNSET ||
               (entry->filter && strcmp(entry->base, "tcp") == 0);
}

/* The address of a node that is a mapping only where it has more to say. */
static struct sheet_node *address_of(struct sheet_node *item, const struct inetd_entry *entry, bool ipv6_only) {
        struct sheet_node *address;

        if (!ipv6_only && !has_options(entry))
                return item;
        address = node_key(item, "address");
        if (ipv6_only)
                node_raw(node_key(item, "ipv6_only"), "yes");
        write_options(item, entry);
        return address;
}

/* All addresses of the families that the protocol is for. */
static void write_all(struct sheet_node *item, const struct inetd_entry *entry, const char *prefix) {
        struct sheet *sheet = item->service->sheet;
        char *text;

        if (entry->family == AF_UNSPEC && prefix[0] == '\0') {
                node_raw(address_of(item, entry, false), "%u", entry->port);
                return;
        }
        if (entry->family == AF_UNSPEC)
                text = sheet_printf(sheet, "%s%u", prefix, entry->port);
        else if (entry->family == AF_INET6)
                text = sheet_printf(sheet, "%s[::]:%u", prefix, entry->port);
        else
                text = sheet_printf(sheet, "%s0.0.0.0:%u", prefix, entry->port);
        if (text)
                node_text(address_of(item, entry, entry->family == AF_INET6), text);
}

/* A name is looked up when definitions are loaded, for both families. */
static void check_name(struct sheet_service *service, const struct inetd_entry *entry, const char *host) {
        if (refuse_host(host) || host[strspn(host, "0123456789.")] == '\0')
                sheet_refuse(service, &entry->mark, "'%s' is neither an address nor the name of a host", host);
        else if (entry->family != AF_UNSPEC)
                sheet_note(service, "listen", &entry->mark,
                           "%s: the broker listens at all addresses of %s, where inetd takes those of %s alone",
                           entry->protocol, host, entry->family == AF_INET6 ? "IPv6" : "IPv4");
}

static void write_host(struct sheet_node *item, const struct inetd_entry *entry, const char *host) {
        struct sheet_service *service = item->service;
        bool datagram = strcmp(entry->base, "udp") == 0;
        char *text;

        if (strcmp(host, "*") == 0) {
                write_all(item, entry, datagram ? "udp:" : "");
                return;
        }
        if (strcmp(host, "localhost") == 0 && entry->family != AF_UNSPEC)
                host = entry->family == AF_INET6 ? "::1" : "127.0.0.1";
        if ((hostport_is_ipv4(host) && entry->family == AF_INET6) ||
            (hostport_is_ipv6(host) && entry->family == AF_INET && entry->family_written)) {
                sheet_refuse(service, &entry->mark, "%s is not an address for %s", host, entry->protocol);
                return;
        }
        if (!hostport_is_ipv4(host) && !hostport_is_ipv6(host))
                check_name(service, entry, host);
        text = hostport_text(service->sheet, host, entry->port, datagram);
        if (text)
                node_text(address_of(item, entry, false), text);
}

/* Who has the path and how it may be used, in FreeBSD's notation. */
static void write_owner(struct sheet_service *service, struct sheet_node *item, const struct inetd_entry *entry) {
        mode_t mode;

        if (!entry->socket_mode) {
                sheet_remark(service, "listen", "only its owner can connect, as with inetd");
                node_text(node_key(item, "socket_mode"), "0600");
                return;
        }
        if (number_parse_mode(entry->socket_mode, &mode) < 0 || mode > 0777 || refuse_owner(entry->socket_user) ||
            refuse_group(entry->socket_group)) {
                sheet_refuse(service, &entry->mark, ":%s:%s:%s: is not an owner, a group and a mode",
                             entry->socket_user, entry->socket_group, entry->socket_mode);
                return;
        }
        node_text(node_key(item, "socket_mode"), entry->socket_mode);
        node_text(node_key(item, "socket_user"), entry->socket_user);
        node_text(node_key(item, "socket_group"), entry->socket_group);
}

/* inetd makes sockets in the file system under its own umask, or for their owner alone, which is the same in effect: to
 * connect is to write. */
static void write_path(struct sheet_service *service, const struct inetd_entry *entry) {
        struct sheet_node *item = sheet_key(service, "listen");
        const char *prefix = entry->type == SOCK_DGRAM       ? "unixgram:"
                             : entry->type == SOCK_SEQPACKET ? "seqpacket:"
                                                             : "";
        char *text = sheet_printf(service->sheet, "%s%s", prefix, entry->service);
        AUTO(addr_list_deinit) struct addr_list list = ADDR_LIST_NULL;
        AUTO(buf_deinit) struct buf why = BUF_NULL;

        if (!text)
                return;
        if (entry->service[0] != '/') {
                sheet_refuse(service, &entry->mark, "'%s' is not a path, which a unix socket has", entry->service);
                return;
        }
        if (!addr_parse(text, SOCK_STREAM, &list, &why)) {
                sheet_refuse(service, &entry->mark, "'%s' %s", entry->service, buf_text(&why));
                return;
        }
        node_text(node_key(item, "address"), text);
        write_owner(service, item, entry);
        write_options(item, entry);
}

static void write_notes(struct sheet_service *service, const struct inetd_entry *entry) {
        if (entry->ttcp)
                sheet_note(service, "listen", &entry->mark, "%s: there is no T/TCP on Linux; this is plain TCP",
                           entry->protocol);
        if (!entry->filter)
                return;
        if (strcmp(entry->base, "tcp") != 0)
                sheet_note(service, "listen", &entry->mark, "%s: there are no accept filters but for TCP",
                           entry->filter);
        else if (strcmp(entry->filter, "dataready") == 0)
                sheet_remark(service, "listen", "defer_accept: was the accept filter dataready");
        else
                sheet_note(
                        service, "listen", &entry->mark,
                        "%s: of accept filters there is defer_accept, which waits for data, not for all of a request",
                        entry->filter);
}

static bool is_number(const char *text) {
        return text[0] && text[strspn(text, "0123456789")] == '\0';
}

/* What inetd could not bind a second time is left out. */
static bool is_repeated(struct sheet_service *service, const struct inetd_entry *entry, size_t index,
                        const char *host) {
        char settled[HOST_MAX];
        int family;

        snprintf(settled, sizeof(settled), "%s", host);
        family = settle_host(entry, settled);
        if (!has_host(entry, index, family, settled))
                return false;
        sheet_note(service, "listen", &entry->mark, "%s: it is among the hosts before it already", host);
        return true;
}

void inetd_listen_write(struct sheet_service *service, const struct inetd_entry *entry) {
        const char *list = entry->host;
        char host[HOST_MAX];

        write_notes(service, entry);
        if (entry->family == AF_UNIX) {
                write_path(service, entry);
                return;
        }
        if (entry->unknown && is_number(entry->service)) {
                sheet_refuse(service, &entry->mark, "port %s: 1 to 65535 is needed", entry->service);
                return;
        }
        if (entry->unknown) {
                sheet_refuse(service, &entry->mark,
                             "no port is called '%s' for %s on this machine; name a file that has it with --services",
                             entry->service, entry->base);
                return;
        }
        if ((strcmp(entry->base, "udp") == 0) != (entry->type == SOCK_DGRAM) || entry->type == SOCK_SEQPACKET) {
                sheet_refuse(service, &entry->mark, "%s has no sockets of that type", entry->protocol);
                return;
        }
        for (size_t i = 0; next_host(&list, host); i++) {
                struct sheet_node *item = sheet_key(service, "listen");

                if (is_repeated(service, entry, i, host))
                        continue;
                if (strchr(entry->host, ','))
                        item = node_add(item);
                if (item)
                        write_host(item, entry, host);
        }
}
