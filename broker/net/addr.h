/* Addresses to listen on: from the text of a definition or an option to something bind(2) takes, and back. Names of
 * services and hosts are looked up here, at load; nothing below the loader ever asks a name server. */
#pragma once

#include "base/buf.h"
#include "base/defs.h"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <linux/vm_sockets.h>

union sockaddr_any {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        struct sockaddr_vm vm;
        struct sockaddr_nl nl;
};

enum addr_form {
        ADDR_SOCKET,    /* any socket: sockaddr and type say which */
        ADDR_FIFO,      /* fifo:/path; the path is in sockaddr.un.sun_path */
        ADDR_MQUEUE,    /* mqueue:/name; the name is in sockaddr.un.sun_path */
        ADDR_SPECIAL,   /* special:/path, a character device or file of /proc or /sys; in sockaddr.un.sun_path */
        ADDR_INHERITED, /* fd:NAME: sockets we were started with; the name is in sockaddr.un.sun_path */
};

struct addr {
        enum addr_form form;
        int type;       /* SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET; SOCK_RAW for netlink; 0 where it is no socket */
        int protocol;   /* 0: the type's own; IPPROTO_MPTCP and the like, or the family of netlink */
        bool all;       /* a port alone: all addresses, IPv6 and IPv4, or IPv4 where there is no IPv6 */
        socklen_t size; /* of sockaddr; abstract names are not terminated */
        union sockaddr_any sockaddr;
};

struct addr_list {
        struct addr *items;
        size_t count;
};

#define ADDR_LIST_NULL ((struct addr_list){0})

void addr_list_deinit(struct addr_list *list);

/* Reads one address in any of its forms (broker.yaml(5)) (DEFAULT_TYPE is SOCK_STREAM unless an option like
 * `activate --datagram` says otherwise). A host name that resolves to several addresses yields several. Returns true
 * with *RET filled; or false with the reason added to WHY, a sentence without its subject ("has no port: …"). */
bool addr_parse(const char *text, int default_type, struct addr_list *ret, struct buf *why);

/* Whether addr_parse() takes how TEXT begins for the prefix of a form: "vsock:", and so a host of that name with its
 * port. */
bool addr_has_form(const char *text);

/* Writes the form addr_parse() reads: 127.0.0.1:80, [::1]:80, udp:[::]:69, /run/x.sock, @name, fifo:/x, fd:name,
 * vsock:any:80, mqueue:/x, netlink:route 1, special:/dev/x. */
void addr_format(const struct addr *addr, struct buf *out);

bool addr_equal(const struct addr *a, const struct addr *b);

static inline bool addr_is_unix_path(const struct addr *addr) {
        return addr->form == ADDR_SOCKET && addr->sockaddr.sa.sa_family == AF_UNIX &&
               addr->sockaddr.un.sun_path[0] == '/';
}

/* Whether it is in the file system. */
static inline bool addr_has_path(const struct addr *addr) {
        return addr->form == ADDR_FIFO || addr_is_unix_path(addr);
}

static inline bool addr_is_ip(const struct addr *addr) {
        return addr->form == ADDR_SOCKET &&
               (addr->sockaddr.sa.sa_family == AF_INET || addr->sockaddr.sa.sa_family == AF_INET6);
}

/* Whether connections can be accepted from it: stream and seqpacket sockets, but for SCTP's of the latter type, which
 * take messages of all their peers (sctp(7)). An inherited socket is taken to be one until it is seen. */
static inline bool addr_is_connectable(const struct addr *addr) {
        return addr->type == SOCK_STREAM || (addr->type == SOCK_SEQPACKET && !addr_is_ip(addr));
}

/* Whether it can be only somebody on this machine who comes from SA, or to it: a loopback address, or AF_UNIX. */
bool addr_is_loopback(const union sockaddr_any *sa);

/* Whether the kernel chooses its port, so that two of them are never the same. */
bool addr_is_any_port(const struct addr *addr);

/* What it is, for people, where it is not connectable: "datagram socket", "FIFO". */
const char *addr_noun(const struct addr *addr);

#define ADDR_HOST_MAX 64 /* room for any numeric IP address with its zone */

/* The numeric host of an AF_INET or AF_INET6 address without its port; an IPv4 address mapped into IPv6 is written as
 * IPv4. "" for any other family. */
void addr_format_host(const union sockaddr_any *sa, char out[ADDR_HOST_MAX]);

/* The port of an AF_INET, AF_INET6 or AF_VSOCK address in host order; 0 for any other family. */
unsigned addr_port(const union sockaddr_any *sa);

/* Writes a bound or peer address of SIZE bytes for people: host:port, a path, @name, "unnamed", vsock:CID:PORT. */
void addr_format_sockaddr(const union sockaddr_any *sa, socklen_t size, struct buf *out);
