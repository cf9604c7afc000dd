#include "net/addr.h"

#include "base/number.h"
#include "net/addrforms.h"
#include "net/addrslip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <string.h>

/* What addr_parse() knows half-way: the text cut into its parts, not yet looked up. */
struct addr_text {
        const char *whole;
        int type;
        char host[256]; /* "" : all addresses */
        char port[64];
        char zone[IF_NAMESIZE];
};

void addr_list_deinit(struct addr_list *list) {
        free(list->items);
        *list = ADDR_LIST_NULL;
}

static bool list_add(struct addr_list *list, const struct addr *addr, struct buf *why) {
        struct addr *items = reallocarray(list->items, list->count + 1, sizeof(*items));

        if (!items) {
                buf_add_string(why, "cannot be read: out of memory");
                return false;
        }
        list->items = items;
        list->items[list->count++] = *addr;
        return true;
}

/* Paths and names share the 108 bytes of sun_path; a name in the abstract namespace may use all of them. */
static bool parse_path(const char *path, enum addr_form form, int type, struct addr_list *list, struct buf *why) {
        struct addr addr = {.form = form, .type = type, .sockaddr.un.sun_family = AF_UNIX};
        bool abstract = path[0] == '@' && form == ADDR_SOCKET;
        size_t n = strlen(path), room = sizeof(addr.sockaddr.un.sun_path) - !abstract;

        if (n > room) {
                buf_printf(why, "is %zu bytes long; %zu is the most%s", n, room,
                           form == ADDR_SOCKET ? " the kernel takes" : "");
                return false;
        }
        if (n < 2) {
                buf_add_string(why, "has no name after its first character");
                return false;
        }
        memcpy(addr.sockaddr.un.sun_path, path, n);
        if (abstract)
                addr.sockaddr.un.sun_path[0] = '\0';
        addr.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + !abstract);
        return list_add(list, &addr, why);
}

static bool parse_inherited(const char *name, struct addr_list *list, struct buf *why) {
        struct addr addr = {.form = ADDR_INHERITED, .type = SOCK_STREAM, .sockaddr.un.sun_family = AF_UNIX};
        size_t n = strlen(name);

        if (n == 0 || n >= sizeof(addr.sockaddr.un.sun_path)) {
                buf_add_string(why, "needs the name of an inherited socket after fd:");
                return false;
        }
        for (size_t i = 0; i < n; i++)
                if (name[i] < ' ' || name[i] > '~' || name[i] == ':') {
                        buf_add_string(why,
                                       "names no inherited socket: their names are printable ASCII without colons");
                        return false;
                }
        memcpy(addr.sockaddr.un.sun_path, name, n);
        return list_add(list, &addr, why);
}

static bool copy_part(char *to, size_t room, const char *from, size_t size, struct buf *why) {
        if (size >= room) {
                buf_add_string(why, "is too long");
                return false;
        }
        memcpy(to, from, size);
        to[size] = '\0';
        return true;
}

/* [HOST]:PORT, with %ZONE inside the brackets or at the end. */
static bool split_brackets(const char *text, struct addr_text *ret, struct buf *why) {
        const char *close = strchr(text, ']');
        const char *percent, *zone_end;

        if (!close || close[1] != ':') {
                buf_add_string(why, "needs the form [ADDRESS]:PORT");
                return false;
        }
        percent = memchr(text, '%', (size_t)(close - text));
        zone_end = close;
        if (!copy_part(ret->host, sizeof(ret->host), text + 1, (size_t)((percent ? percent : close) - text - 1), why))
                return false;
        if (!percent) {
                percent = strchr(close, '%');
                zone_end = close + strlen(close);
        }
        if (percent && !copy_part(ret->zone, sizeof(ret->zone), percent + 1, (size_t)(zone_end - percent - 1), why))
                return false;
        text = close + 2;
        return copy_part(ret->port, sizeof(ret->port), text, strcspn(text, "%"), why);
}

static bool split_host_port(const char *text, struct addr_text *ret, struct buf *why) {
        const char *colon = strrchr(text, ':');

        if (text[0] == '[')
                return split_brackets(text, ret, why);
        if (!colon)
                return copy_part(ret->port, sizeof(ret->port), text, strlen(text), why);
        if (memchr(text, ':', (size_t)(colon - text))) {
                buf_add_string(why, "is ambiguous: an IPv6 address goes into brackets, [ADDRESS]:PORT");
                return false;
        }
        if (colon == text || strncmp(text, "*:", 2) == 0) {
                buf_add_string(why, "has no address: write the port alone for all addresses");
                return false;
        }
        return copy_part(ret->host, sizeof(ret->host), text, (size_t)(colon - text), why) &&
               copy_part(ret->port, sizeof(ret->port), colon + 1, strlen(colon + 1), why);
}

static bool port_is_number(const char *port) {
        return port[0] != '\0' && port[strspn(port, "0123456789")] == '\0';
}

static bool parse_port(const struct addr_text *text, in_port_t *ret, struct buf *why) {
        const char *protocol = text->type == SOCK_DGRAM ? "udp" : "tcp";
        const struct servent *entry;
        int64_t port;

        if (text->port[0] == '\0') {
                buf_add_string(why, "has no port");
                return false;
        }
        if (port_is_number(text->port)) {
                if (number_parse(text->port, 0, 65535, &port) < 0) {
                        buf_printf(why, "has the port %s; ports go from 0 (the kernel chooses) to 65535", text->port);
                        return false;
                }
                *ret = htons((uint16_t)port);
                return true;
        }
        entry = getservbyname(text->port, protocol);
        if (!entry) {
                buf_printf(why, "has no port: '%s' is not a number, and not in the services database for %s",
                           text->port, protocol);
                return false;
        }
        *ret = (in_port_t)entry->s_port;
        return true;
}

static void set_in6(struct addr *addr, const struct in6_addr *in6, in_port_t port) {
        addr->sockaddr.in6.sin6_family = AF_INET6;
        addr->sockaddr.in6.sin6_addr = *in6;
        addr->sockaddr.in6.sin6_port = port;
        addr->size = sizeof(addr->sockaddr.in6);
}

static void set_in(struct addr *addr, const struct in_addr *in, in_port_t port) {
        addr->sockaddr.in.sin_family = AF_INET;
        addr->sockaddr.in.sin_addr = *in;
        addr->sockaddr.in.sin_port = port;
        addr->size = sizeof(addr->sockaddr.in);
}

/* A scope makes sense for IPv6 alone, and a link-local address cannot be bound without one. */
static bool apply_zone(const struct addr_text *text, struct addr *addr, struct buf *why) {
        unsigned index;

        if (text->zone[0] == '\0')
                return true;
        if (addr->sockaddr.sa.sa_family != AF_INET6) {
                buf_add_string(why, "has a zone (%), which only IPv6 addresses have");
                return false;
        }
        index = if_nametoindex(text->zone);
        if (index == 0) {
                buf_printf(why, "names the interface '%s', which does not exist", text->zone);
                return false;
        }
        addr->sockaddr.in6.sin6_scope_id = index;
        return true;
}

static bool list_has(const struct addr_list *list, const struct addr *addr) {
        for (size_t i = 0; i < list->count; i++)
                if (addr_equal(&list->items[i], addr))
                        return true;
        return false;
}

/* The C library may name an address twice, for instance where /etc/hosts does. */
static bool resolve_host(const struct addr_text *text, in_port_t port, struct addr_list *list, struct buf *why) {
        const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
        struct addrinfo *results;
        bool ok = true;
        int r = getaddrinfo(text->host, NULL, &hints, &results);

        if (r != 0) {
                buf_printf(why, "names the host '%s', which cannot be looked up: %s", text->host,
                           r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
                return false;
        }
        for (const struct addrinfo *ai = results; ai && ok; ai = ai->ai_next) {
                struct addr addr = {.form = ADDR_SOCKET, .type = text->type};

                if (ai->ai_family == AF_INET)
                        set_in(&addr, &((struct sockaddr_in *)ai->ai_addr)->sin_addr, port);
                else if (ai->ai_family == AF_INET6)
                        set_in6(&addr, &((struct sockaddr_in6 *)ai->ai_addr)->sin6_addr, port);
                else
                        continue;
                ok = apply_zone(text, &addr, why) && (list_has(list, &addr) || list_add(list, &addr, why));
        }
        freeaddrinfo(results);
        return ok;
}

static bool parse_inet(struct addr_text *text, struct addr_list *list, struct buf *why) {
        struct addr addr = {.form = ADDR_SOCKET, .type = text->type};
        struct in6_addr in6;
        struct in_addr in;
        in_port_t port;

        if (!split_host_port(text->whole, text, why) || !parse_port(text, &port, why))
                return false;
        if (text->host[0] == '\0') {
                addr.all = true;
                set_in6(&addr, &in6addr_any, port);
        } else if (inet_pton(AF_INET, text->host, &in) == 1) {
                set_in(&addr, &in, port);
        } else if (inet_pton(AF_INET6, text->host, &in6) == 1) {
                set_in6(&addr, &in6, port);
        } else if (text->whole[0] == '[' || text->host[strspn(text->host, "0123456789.")] == '\0') {
                buf_printf(why, "has the malformed address '%s'", text->host);
                return false;
        } else {
                return resolve_host(text, port, list, why);
        }
        return apply_zone(text, &addr, why) && list_add(list, &addr, why);
}

/* SCTP alone has seqpacket sockets over IP; that it is SCTP stands beside the address. */
static bool is_seqpacket_ip(const char *rest, const struct addr *form) {
        return form->type == SOCK_SEQPACKET && rest[0] != '@' && !strchr(rest, '/');
}

#define INHERITED "fd:"

struct form {
        const char *prefix;
        struct addr addr;
        bool path;
};

/* The form that TEXT begins with; NULL: none, or one of the others. */
static const struct form *find_form(const char *text) {
        static const struct form forms[] = {
                {"tcp:", {.type = SOCK_STREAM}, false},         {"udp:", {.type = SOCK_DGRAM}, false},
                {"unix:", {.type = SOCK_STREAM}, true},         {"unixgram:", {.type = SOCK_DGRAM}, true},
                {"seqpacket:", {.type = SOCK_SEQPACKET}, true}, {"fifo:", {.form = ADDR_FIFO}, true},
                {"special:", {.form = ADDR_SPECIAL}, true},
        };

        for (size_t i = 0; i < LENGTH_OF(forms); i++)
                if (strncmp(text, forms[i].prefix, strlen(forms[i].prefix)) == 0)
                        return &forms[i];
        return NULL;
}

bool addr_has_form(const char *text) {
        return addrforms_has(text) || strncmp(text, INHERITED, strlen(INHERITED)) == 0 || find_form(text);
}

/* REST is what follows the prefix of FORM. */
static bool parse_prefixed(const struct form *form, const char *rest, struct addr_list *list, struct buf *why) {
        if (!form->path || is_seqpacket_ip(rest, &form->addr))
                return parse_inet(&(struct addr_text){.whole = rest, .type = form->addr.type}, list, why);
        if (rest[0] != '/' && (rest[0] != '@' || form->addr.form != ADDR_SOCKET)) {
                buf_printf(why, "needs an absolute path after %s", form->prefix);
                return false;
        }
        return parse_path(rest, form->addr.form, form->addr.type, list, why);
}

static bool parse_form(const char *text, int default_type, struct addr_list *list, struct buf *why) {
        const struct form *form = find_form(text);
        struct addr addr;

        if (addrforms_has(text))
                return addrforms_parse(text, &addr, why) && list_add(list, &addr, why);
        if (strncmp(text, INHERITED, strlen(INHERITED)) == 0)
                return parse_inherited(text + strlen(INHERITED), list, why);
        if (form)
                return parse_prefixed(form, text + strlen(form->prefix), list, why);
        if (text[0] == '/' || text[0] == '@')
                return parse_path(text, ADDR_SOCKET, default_type, list, why);
        if (strchr(text, '/')) {
                buf_add_string(why, "is neither an address nor an absolute path");
                return false;
        }
        return parse_inet(&(struct addr_text){.whole = text, .type = default_type}, list, why);
}

bool addr_parse(const char *text, int default_type, struct addr_list *ret, struct buf *why) {
        AUTO(addr_list_deinit) struct addr_list list = ADDR_LIST_NULL;
        AUTO(buf_deinit) struct buf reason = BUF_NULL;

        if (!parse_form(text, default_type, &list, &reason)) {
                if (!addrslip_explain(text, why))
                        buf_add_string(why, buf_text(&reason));
                return false;
        }
        *ret = list;
        list = ADDR_LIST_NULL;
        return true;
}

/* inet_ntop() goes through printf; this stands in the path of every connection. */
static void format_ipv4(const uint8_t bytes[4], char *out) {
        for (int i = 0; i < 4; i++) {
                if (bytes[i] >= 100)
                        *out++ = (char)('0' + bytes[i] / 100);
                if (bytes[i] >= 10)
                        *out++ = (char)('0' + bytes[i] / 10 % 10);
                *out++ = (char)('0' + bytes[i] % 10);
                *out++ = i < 3 ? '.' : '\0';
        }
}

void addr_format_host(const union sockaddr_any *sa, char out[ADDR_HOST_MAX]) {
        char zone[IF_NAMESIZE];
        size_t n;

        out[0] = '\0';
        if (sa->sa.sa_family == AF_INET) {
                format_ipv4((const uint8_t *)&sa->in.sin_addr, out);
                return;
        }
        if (sa->sa.sa_family != AF_INET6)
                return;
        if (IN6_IS_ADDR_V4MAPPED(&sa->in6.sin6_addr)) {
                format_ipv4(&sa->in6.sin6_addr.s6_addr[12], out);
                return;
        }
        inet_ntop(AF_INET6, &sa->in6.sin6_addr, out, ADDR_HOST_MAX - IF_NAMESIZE - 1);
        if (sa->in6.sin6_scope_id != 0 && if_indextoname(sa->in6.sin6_scope_id, zone)) {
                n = strlen(out);
                out[n] = '%';
                strcpy(out + n + 1, zone);
        }
}

unsigned addr_port(const union sockaddr_any *sa) {
        if (sa->sa.sa_family == AF_INET)
                return ntohs(sa->in.sin_port);
        if (sa->sa.sa_family == AF_INET6)
                return ntohs(sa->in6.sin6_port);
        return sa->sa.sa_family == AF_VSOCK ? sa->vm.svm_port : 0;
}

static void format_unix(const union sockaddr_any *sa, socklen_t size, struct buf *out) {
        /* The kernel counts a final NUL even behind a path that fills sun_path (unix(7)). */
        size_t n = MIN_OF(size - MIN_OF((size_t)size, offsetof(struct sockaddr_un, sun_path)), sizeof(sa->un.sun_path));

        if (n == 0) {
                buf_add_string(out, "unnamed");
        } else if (sa->un.sun_path[0] == '\0') {
                buf_add_char(out, '@');
                buf_add(out, sa->un.sun_path + 1, n - 1);
        } else {
                /* A client chooses his own: what he has bound where he was shall not pass for something else. */
                buf_add_string(out, sa->un.sun_path[0] == '/' ? "" : "./");
                buf_add(out, sa->un.sun_path, strnlen(sa->un.sun_path, n));
        }
}

void addr_format_sockaddr(const union sockaddr_any *sa, socklen_t size, struct buf *out) {
        char host[ADDR_HOST_MAX];

        if (sa->sa.sa_family == AF_UNIX) {
                format_unix(sa, size, out);
                return;
        }
        if (sa->sa.sa_family == AF_VSOCK) {
                addrforms_format_vsock(&sa->vm, out);
                return;
        }
        addr_format_host(sa, host);
        buf_printf(out, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, addr_port(sa));
}

void addr_format(const struct addr *addr, struct buf *out) {
        bool is_unix = addr->sockaddr.sa.sa_family == AF_UNIX;

        switch (addr->form) {
        case ADDR_FIFO:
                buf_printf(out, "fifo:%s", addr->sockaddr.un.sun_path);
                return;
        case ADDR_MQUEUE:
                buf_printf(out, "mqueue:%s", addr->sockaddr.un.sun_path);
                return;
        case ADDR_SPECIAL:
                buf_printf(out, "special:%s", addr->sockaddr.un.sun_path);
                return;
        case ADDR_INHERITED:
                buf_printf(out, "fd:%s", addr->sockaddr.un.sun_path);
                return;
        case ADDR_SOCKET:
                if (addr->sockaddr.sa.sa_family == AF_NETLINK) {
                        addrforms_format_netlink(addr, out);
                        return;
                }
                if (addr->type == SOCK_DGRAM)
                        buf_add_string(out, is_unix ? "unixgram:" : "udp:");
                else if (addr->type == SOCK_SEQPACKET)
                        buf_add_string(out, "seqpacket:");
                addr_format_sockaddr(&addr->sockaddr, addr->size, out);
        }
}

bool addr_is_loopback(const union sockaddr_any *sa) {
        const struct in6_addr *in6 = &sa->in6.sin6_addr;

        switch (sa->sa.sa_family) {
        case AF_INET:
                return ntohl(sa->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
        case AF_INET6:
                return IN6_IS_ADDR_LOOPBACK(in6) || (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == IN_LOOPBACKNET);
        default:
                return sa->sa.sa_family == AF_UNIX;
        }
}

bool addr_is_any_port(const struct addr *addr) {
        if (addr->form == ADDR_SOCKET && addr->sockaddr.sa.sa_family == AF_VSOCK)
                return addr->sockaddr.vm.svm_port == VMADDR_PORT_ANY;
        return addr_is_ip(addr) && addr_port(&addr->sockaddr) == 0;
}

const char *addr_noun(const struct addr *addr) {
        switch (addr->form) {
        case ADDR_FIFO:
                return "FIFO";
        case ADDR_MQUEUE:
                return "message queue";
        case ADDR_SPECIAL:
                return "special file";
        case ADDR_SOCKET:
        case ADDR_INHERITED:
                break;
        }
        if (addr->sockaddr.sa.sa_family == AF_NETLINK)
                return "netlink socket";
        return addr->type == SOCK_SEQPACKET ? "seqpacket socket of SCTP" : "datagram socket";
}

bool addr_equal(const struct addr *a, const struct addr *b) {
        if (a->form != b->form || a->type != b->type || a->protocol != b->protocol || a->all != b->all ||
            a->size != b->size)
                return false;
        return a->form == ADDR_SOCKET ? memcmp(&a->sockaddr, &b->sockaddr, a->size) == 0
                                      : strcmp(a->sockaddr.un.sun_path, b->sockaddr.un.sun_path) == 0;
}
