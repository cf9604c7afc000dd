/* TCP connections are asked for with a filter that the kernel applies: local port, and local address where the listener
 * is bound to one. Their clients on this machine have that port as the remote one and are no match.
 *
 * AF_UNIX has no filter, the kernel lists every connected socket of the network namespace. Those that came in at a
 * listener carry its name and its inode in the file system.
 *
 * Listing makes the kernel walk through all its sockets. So what was found alive is remembered, and asked for by itself
 * the next time, which is a look into a hash table; only when it is gone is there a list again. A list is read up to
 * the first match; the rest of it goes with the socket it was asked for on.
 *
 * What waits to be accepted shows as the listening socket being readable, which costs no list at all. */
#include "net/sockdiag.h"

#include "base/defs.h"
#include "base/err.h"
#include "base/fd.h"
#include "net/addr.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>

/* Listening sockets that one list is compared with. */
#define CHUNK 16

#define REQUEST_MAX 1024 /* a header and the filter of a chunk */
#define ANSWER_MAX 32768 /* the kernel puts as much into one message at most */

enum kind {
        KIND_TCP,
        KIND_UNIX,
        KIND_OTHER,
};

/* What is asked for by its number must be of that cookie; where none is known, of any. */
static const uint32_t any_cookie[2] = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE};

/* An AF_UNIX listener, as the kernel shows it and what has come in there. */
struct unix_name {
        struct unix_diag_vfs vfs; /* zero for abstract names */
        uint16_t size;
        char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
};

/* One question, and what its answers are looked through for. */
struct query {
        struct sockdiag *diag; /* NULL: a check, nothing is counted or remembered */
        union {
                struct nlmsghdr header;
                char room[REQUEST_MAX];
        } request;
        /* What to do with an answer: returns 1 to look no further. */
        int (*on_message)(struct query *query, const struct nlmsghdr *message);
        const struct unix_name *names; /* to look for */
        size_t name_count;
        struct unix_name *ret_name; /* to fill in */
        uint32_t inode;             /* to look for */
};

/* TCP states as the kernel counts them here. SYN_RECV is a client on its way in, or one with TCP Fast Open that waits
 * to be accepted. */
#define STATE_BIT(state) (1U << TCP_##state)
#define STATES_IN_USE (STATE_BIT(ESTABLISHED) | STATE_BIT(SYN_RECV) | STATE_BIT(CLOSE_WAIT))
#define STATES_OF_OURS (STATE_BIT(FIN_WAIT1) | STATE_BIT(FIN_WAIT2) | STATE_BIT(LAST_ACK) | STATE_BIT(CLOSING))

static enum kind kind_of(int fd, union sockaddr_any *ret) {
        int type = 0, protocol = 0, listens = 0;
        socklen_t size = sizeof(*ret), int_size = sizeof(int);

        if (getsockname(fd, &ret->sa, &size) < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &int_size) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &int_size) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &int_size) < 0 || !listens)
                return KIND_OTHER;
        switch (ret->sa.sa_family) {
        case AF_INET:
        case AF_INET6:
                return protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP ? KIND_TCP : KIND_OTHER;
        case AF_UNIX:
                return type == SOCK_STREAM || type == SOCK_SEQPACKET ? KIND_UNIX : KIND_OTHER;
        default:
                return KIND_OTHER;
        }
}

/* Asks, and looks through what comes. Returns 1 where on_message() did, 0 at the end, or the kernel's negative errno. A
 * socket that is used once has no rest of an earlier answer in it. */
static int ask(struct query *query) {
        char answer[ANSWER_MAX];
        AUTO(fd_closep) int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

        if (fd < 0 || send(fd, &query->request, query->request.header.nlmsg_len, 0) < 0)
                return err_raise(-errno);
        for (;;) {
                ssize_t size = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
                int left = (int)size;

                if (size < 0)
                        return err_raise(-errno);
                if (query->diag)
                        query->diag->bytes += (uint64_t)size;
                for (const struct nlmsghdr *message = (void *)answer; mnl_nlmsg_ok(message, left);
                     message = mnl_nlmsg_next(message, &left)) {
                        if (message->nlmsg_type == NLMSG_DONE)
                                return 0;
                        if (message->nlmsg_type == NLMSG_ERROR)
                                return err_raise(((const struct nlmsgerr *)mnl_nlmsg_get_payload(message))->error);
                        if (query->on_message(query, message))
                                return 1;
                        if (!(message->nlmsg_flags & NLM_F_MULTI))
                                return 0;
                }
        }
}

static void *begin(struct query *query, uint16_t type, uint16_t flags, size_t size) {
        struct nlmsghdr *header = mnl_nlmsg_put_header(&query->request);

        header->nlmsg_type = type;
        header->nlmsg_flags = NLM_F_REQUEST | flags;
        if (query->diag && flags & NLM_F_DUMP)
                query->diag->dumps++;
        return mnl_nlmsg_put_extra_header(header, size);
}

/* TCP */

static bool tcp_is_alive(const struct inet_diag_msg *message) {
        unsigned state = 1U << message->idiag_state;

        /* We have closed our side; the kernel ends it by itself unless some process still reads. */
        if (state & STATES_OF_OURS)
                return message->idiag_inode != 0;
        return state & STATES_IN_USE;
}

static int on_tcp(struct query *query, const struct nlmsghdr *header) {
        const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);

        if (mnl_nlmsg_get_payload_len(header) < sizeof(*message) || !tcp_is_alive(message))
                return 0;
        query->diag->found = (struct sockdiag_found){.family = message->idiag_family, .id = message->id};
        return 1;
}

static int on_tcp_listener(struct query *query, const struct nlmsghdr *header) {
        const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);

        return mnl_nlmsg_get_payload_len(header) >= sizeof(*message) && message->idiag_inode == query->inode;
}

struct condition {
        struct inet_diag_bc_op op;
        /* struct inet_diag_hostcond, whose address has the length that it needs. */
        char host[sizeof(struct inet_diag_hostcond) + sizeof(struct in6_addr)];
};

static in_port_t port_of(const union sockaddr_any *sa) {
        return sa->sa.sa_family == AF_INET6 ? sa->in6.sin6_port : sa->in.sin_port;
}

/* The port that all of them have, or 0. The kernel compares that before it runs the filter. */
static in_port_t common_port(const union sockaddr_any *listeners, size_t count) {
        for (size_t i = 1; i < count; i++)
                if (port_of(&listeners[i]) != port_of(&listeners[0]))
                        return 0;
        return port_of(&listeners[0]);
}

/* What a connection to the listener SA has as its own address. Returns the size of the condition, which has room for an
 * address even where none is compared. */
static size_t fill_condition(const union sockaddr_any *sa, struct condition *ret) {
        const bool v6 = sa->sa.sa_family == AF_INET6;
        size_t size = v6 ? sizeof(sa->in6.sin6_addr) : sizeof(sa->in.sin_addr);

        struct inet_diag_hostcond host = {
                .port = ntohs(port_of(sa)),
                .family = (uint8_t)sa->sa.sa_family,
        };

        *ret = (struct condition){0};
        if (v6 && IN6_IS_ADDR_UNSPECIFIED(&sa->in6.sin6_addr)) {
                /* IPv4 too, which a server can turn into plain AF_INET sockets (IPV6_ADDRFORM). */
                host.family = AF_UNSPEC;
                size = 0;
        } else if (v6 || sa->in.sin_addr.s_addr != INADDR_ANY) {
                memcpy(ret->host + sizeof(host), v6 ? (const void *)&sa->in6.sin6_addr : &sa->in.sin_addr, size);
                host.prefix_len = (uint8_t)(size * 8);
        }
        memcpy(ret->host, &host, sizeof(host));
        return offsetof(struct condition, host) + sizeof(host) + size;
}

/* "This or that or …", as iproute2 puts it: behind each condition but the last there is a jump to the end, which one
 * that fails jumps over. The kernel allows jumps only to what can be reached by succeeding from the start. */
static size_t fill_filter(const union sockaddr_any *listeners, size_t count, char *filter) {
        size_t sizes[CHUNK], total = 0, at = 0;
        struct condition condition;

        for (size_t i = 0; i < count; i++) {
                sizes[i] = fill_condition(&listeners[i], &condition);
                total += sizes[i] + (i + 1 < count ? sizeof(condition.op) : 0);
        }
        for (size_t i = 0; i < count; i++) {
                fill_condition(&listeners[i], &condition);
                condition.op = (struct inet_diag_bc_op){
                        .code = INET_DIAG_BC_S_COND, .yes = (uint8_t)sizes[i], .no = (uint16_t)sizes[i] + 4};
                memcpy(filter + at, &condition, sizes[i]);
                at += sizes[i];
                if (i + 1 < count) {
                        const struct inet_diag_bc_op jump = {
                                .code = INET_DIAG_BC_JMP, .yes = sizeof(jump), .no = (uint16_t)(total - at)};

                        memcpy(filter + at, &jump, sizeof(jump));
                        at += sizeof(jump);
                }
        }
        return total;
}

/* Lists sockets of these states behind COUNT addresses. The older form of the question: it alone takes both families in
 * one walk. */
static int list_tcp(struct query *query, const union sockaddr_any *listeners, size_t count, uint32_t states) {
        char filter[CHUNK * (sizeof(struct condition) + sizeof(struct inet_diag_bc_op))];
        struct inet_diag_req *request = begin(query, TCPDIAG_GETSOCK, NLM_F_DUMP, sizeof(*request));

        request->idiag_states = states;
        request->id.idiag_sport = common_port(listeners, count);
        mnl_attr_put(&query->request.header, INET_DIAG_REQ_BYTECODE, fill_filter(listeners, count, filter), filter);
        return ask(query);
}

static int ask_tcp(struct sockdiag *diag, const union sockaddr_any *listeners, size_t count) {
        struct query query = {.diag = diag, .on_message = on_tcp};

        return count == 0 ? 0 : list_tcp(&query, listeners, count, STATES_IN_USE | STATES_OF_OURS);
}

/* AF_UNIX */

static void read_name(const struct nlmsghdr *header, struct unix_name *ret) {
        const struct nlattr *attr;

        *ret = (struct unix_name){.size = 0};
        mnl_attr_for_each(attr, header, sizeof(struct unix_diag_msg)) {
                uint16_t size = mnl_attr_get_payload_len(attr);

                if (mnl_attr_get_type(attr) == UNIX_DIAG_NAME && size <= sizeof(ret->name)) {
                        ret->size = size;
                        memcpy(ret->name, mnl_attr_get_payload(attr), size);
                } else if (mnl_attr_get_type(attr) == UNIX_DIAG_VFS && size == sizeof(ret->vfs)) {
                        memcpy(&ret->vfs, mnl_attr_get_payload(attr), size);
                }
        }
}

static bool name_equals(const struct unix_name *a, const struct unix_name *b) {
        return a->size == b->size && memcmp(a->name, b->name, a->size) == 0 &&
               a->vfs.udiag_vfs_ino == b->vfs.udiag_vfs_ino && a->vfs.udiag_vfs_dev == b->vfs.udiag_vfs_dev;
}

static int on_unix(struct query *query, const struct nlmsghdr *header) {
        const struct unix_diag_msg *message = mnl_nlmsg_get_payload(header);
        struct unix_name name;

        /* Most have no name, and so nothing but their head. */
        if (mnl_nlmsg_get_payload_len(header) <= sizeof(*message))
                return 0;
        read_name(header, &name);
        for (size_t i = 0; i < query->name_count; i++) {
                if (!name_equals(&name, &query->names[i]))
                        continue;
                query->diag->found = (struct sockdiag_found){.family = AF_UNIX, .inode = message->udiag_ino};
                memcpy(query->diag->found.id.idiag_cookie, message->udiag_cookie, sizeof(message->udiag_cookie));
                return 1;
        }
        return 0;
}

static int on_unix_exact(struct query *query, const struct nlmsghdr *header) {
        const struct unix_diag_msg *message = mnl_nlmsg_get_payload(header);

        if (mnl_nlmsg_get_payload_len(header) < sizeof(*message))
                return 0;
        if (query->ret_name)
                read_name(header, query->ret_name);
        return 1;
}

static struct unix_diag_req *begin_unix(struct query *query, uint16_t flags, const uint32_t cookie[2]) {
        struct unix_diag_req *request = begin(query, SOCK_DIAG_BY_FAMILY, flags, sizeof(*request));

        request->sdiag_family = AF_UNIX;
        memcpy(request->udiag_cookie, cookie, sizeof(request->udiag_cookie));
        return request;
}

/* The AF_UNIX socket of that number. Returns 1, or a negative errno: -ENOENT when there is none. */
static int get_unix(struct sockdiag *diag, uint32_t inode, const uint32_t cookie[2], struct unix_name *ret) {
        struct query query = {.diag = diag, .on_message = on_unix_exact, .ret_name = ret};
        struct unix_diag_req *request = begin_unix(&query, 0, cookie);

        request->udiag_states = ~0U;
        request->udiag_ino = inode;
        request->udiag_show = ret ? UDIAG_SHOW_NAME | UDIAG_SHOW_VFS : 0;
        return ask(&query);
}

static int ask_unix(struct sockdiag *diag, const struct unix_name *names, size_t count) {
        struct query query = {.diag = diag, .on_message = on_unix, .names = names, .name_count = count};
        struct unix_diag_req *request;

        if (count == 0)
                return 0;
        request = begin_unix(&query, NLM_F_DUMP, any_cookie);
        request->udiag_states = STATE_BIT(ESTABLISHED);
        request->udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS;
        return ask(&query);
}

/* Both */

static uint32_t inode_of(int fd) {
        struct stat st;

        return fstat(fd, &st) < 0 ? 0 : (uint32_t)st.st_ino;
}

/* Whether the one that was alive the last time still is. */
static bool found_is_alive(struct sockdiag *diag) {
        const struct sockdiag_found *found = &diag->found;
        struct query query = {.diag = diag, .on_message = on_tcp};
        struct inet_diag_req_v2 *request;

        if (found->family == 0)
                return false;
        if (found->family == AF_UNIX)
                return get_unix(diag, found->inode, found->id.idiag_cookie, NULL) == 1;
        request = begin(&query, SOCK_DIAG_BY_FAMILY, 0, sizeof(*request));
        request->sdiag_family = (uint8_t)found->family;
        request->sdiag_protocol = IPPROTO_TCP;
        request->idiag_states = ~0U;
        request->id = found->id;
        return ask(&query) == 1;
}

static bool any_waits(const int *fds, size_t count) {
        struct pollfd polls[CHUNK];

        for (size_t i = 0; i < count; i++)
                polls[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        return poll(polls, count, 0) > 0;
}

static int ask_chunk(struct sockdiag *diag, const int *fds, size_t count) {
        union sockaddr_any tcp[CHUNK], sa;
        struct unix_name names[CHUNK];
        size_t tcp_count = 0, name_count = 0;
        int r;

        for (size_t i = 0; i < count; i++)
                switch (kind_of(fds[i], &sa)) {
                case KIND_TCP:
                        tcp[tcp_count++] = sa;
                        break;
                case KIND_UNIX:
                        r = get_unix(diag, inode_of(fds[i]), any_cookie, &names[name_count]);
                        if (r < 0)
                                return r;
                        name_count++;
                        break;
                default:
                        return err_raise(-EPROTONOSUPPORT);
                }
        r = ask_tcp(diag, tcp, tcp_count);
        return r != 0 ? r : ask_unix(diag, names, name_count);
}

int sockdiag_ask(struct sockdiag *diag, const int *fds, size_t count) {
        for (size_t at = 0; at < count; at += CHUNK)
                if (any_waits(fds + at, MIN_OF(count - at, (size_t)CHUNK)))
                        return SOCKDIAG_ALIVE;
        if (found_is_alive(diag))
                return SOCKDIAG_ALIVE;
        diag->found = (struct sockdiag_found){.family = 0};
        for (size_t at = 0; at < count; at += CHUNK) {
                int r = ask_chunk(diag, fds + at, MIN_OF(count - at, (size_t)CHUNK));

                if (r != 0)
                        return r < 0 ? r : SOCKDIAG_ALIVE;
        }
        return SOCKDIAG_QUIET;
}

int sockdiag_check(int fd) {
        struct query query = {.on_message = on_tcp_listener, .inode = inode_of(fd)};
        struct unix_name name;
        union sockaddr_any sa;
        int r;

        switch (kind_of(fd, &sa)) {
        case KIND_TCP:
                r = list_tcp(&query, &sa, 1, STATE_BIT(LISTEN));
                return r == 0 ? err_raise(-ENOENT) : MIN_OF(r, 0);
        case KIND_UNIX:
                return MIN_OF(get_unix(NULL, query.inode, any_cookie, &name), 0);
        default:
                return err_raise(-EPROTONOSUPPORT);
        }
}
