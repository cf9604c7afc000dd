/* Options come in two kinds: plain integers, which a table carries from their field to setsockopt(2), and the few with
 * a shape of their own. Sources: socket(7), ip(7), ipv6(7), tcp(7), unix(7). */
#include "net/sockopt.h"

#include "base/err.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

struct integer_option {
        const char *key;
        size_t offset; /* of an int in struct listen_options */
        int family;    /* AF_UNSPEC: any */
        int level;
        int name;
};

#define FIELD(member) offsetof(struct listen_options, member)

struct option_table {
        const struct integer_option *items;
        size_t count;
};

static const struct integer_option early_options[] = {
        {"reuse_port", FIELD(reuse_port), AF_UNSPEC, SOL_SOCKET, SO_REUSEPORT},
        {"free_bind", FIELD(free_bind), AF_INET, IPPROTO_IP, IP_FREEBIND},
        {"free_bind", FIELD(free_bind), AF_INET6, IPPROTO_IPV6, IPV6_FREEBIND},
        {"transparent", FIELD(transparent), AF_INET, IPPROTO_IP, IP_TRANSPARENT},
        {"transparent", FIELD(transparent), AF_INET6, IPPROTO_IPV6, IPV6_TRANSPARENT},
        {"mark", FIELD(mark), AF_UNSPEC, SOL_SOCKET, SO_MARK},
        {"pass_credentials", FIELD(pass_credentials), AF_UNSPEC, SOL_SOCKET, SO_PASSCRED},
        {"pass_security", FIELD(pass_security), AF_UNIX, SOL_SOCKET, SO_PASSSEC},
        {"pass_packet_info", FIELD(pass_packet_info), AF_INET, IPPROTO_IP, IP_PKTINFO},
        {"pass_packet_info", FIELD(pass_packet_info), AF_INET6, IPPROTO_IPV6, IPV6_RECVPKTINFO},
};

static const struct integer_option late_options[] = {
        {"priority", FIELD(priority), AF_UNSPEC, SOL_SOCKET, SO_PRIORITY},
        {"ip_tos", FIELD(ip_tos), AF_INET, IPPROTO_IP, IP_TOS},
        {"ip_tos", FIELD(ip_tos), AF_INET6, IPPROTO_IP, IP_TOS},
        {"ip_tos", FIELD(ip_tos), AF_INET6, IPPROTO_IPV6, IPV6_TCLASS},
        {"ip_ttl", FIELD(ip_ttl), AF_INET, IPPROTO_IP, IP_TTL},
        {"ip_ttl", FIELD(ip_ttl), AF_INET6, IPPROTO_IP, IP_TTL},
        {"ip_ttl", FIELD(ip_ttl), AF_INET6, IPPROTO_IPV6, IPV6_UNICAST_HOPS},
        {"keep_alive", FIELD(keep_alive.on), AF_UNSPEC, SOL_SOCKET, SO_KEEPALIVE},
        {"keep_alive.time", FIELD(keep_alive.time), AF_UNSPEC, IPPROTO_TCP, TCP_KEEPIDLE},
        {"keep_alive.interval", FIELD(keep_alive.interval), AF_UNSPEC, IPPROTO_TCP, TCP_KEEPINTVL},
        {"keep_alive.probes", FIELD(keep_alive.probes), AF_UNSPEC, IPPROTO_TCP, TCP_KEEPCNT},
        {"no_delay", FIELD(no_delay), AF_UNSPEC, IPPROTO_TCP, TCP_NODELAY},
        {"defer_accept", FIELD(defer_accept), AF_UNSPEC, IPPROTO_TCP, TCP_DEFER_ACCEPT},
        {"fast_open", FIELD(fast_open), AF_UNSPEC, IPPROTO_TCP, TCP_FASTOPEN},
};

static const struct option_table early_table = {early_options, LENGTH_OF(early_options)};
static const struct option_table late_table = {late_options, LENGTH_OF(late_options)};

static int option_failed(const char *key, struct buf *why) {
        int r = -errno;

        buf_printf(why, "cannot set %s: %s", key, err_text(r));
        if (r == -EPERM)
                buf_add_string(why, strcmp(key, "bind_to_device") == 0 ? " (it takes CAP_NET_RAW)"
                                                                       : " (it takes CAP_NET_ADMIN)");
        return err_raise(r);
}

static int apply_table(const struct option_table *table, int fd, int family, const struct listen_options *options,
                       struct buf *why) {
        for (const struct integer_option *item = table->items; item < table->items + table->count; item++) {
                int value;

                memcpy(&value, (const char *)options + item->offset, sizeof(value));
                if (value == OPTION_UNSET || (item->family != AF_UNSPEC && item->family != family))
                        continue;
                if (setsockopt(fd, item->level, item->name, &value, sizeof(value)) < 0)
                        return option_failed(item->key, why);
        }
        return 0;
}

/* The FORCE variants go beyond net.core.{r,w}mem_max but need CAP_NET_ADMIN; without it the kernel clips the value. */
static int apply_buffer(int fd, int force, int plain, int64_t value) {
        int size = (int)MIN_OF(value, (int64_t)INT32_MAX / 2);

        if (value == OPTION_UNSET || setsockopt(fd, SOL_SOCKET, force, &size, sizeof(size)) == 0)
                return 0;
        return setsockopt(fd, SOL_SOCKET, plain, &size, sizeof(size));
}

static int apply_timestamping(int fd, int value) {
        int on = value > 0;

        if (value == OPTION_UNSET)
                return 0;
        return setsockopt(fd, SOL_SOCKET, value == 2 ? SO_TIMESTAMPNS : SO_TIMESTAMP, &on, sizeof(on));
}

static int apply_text(int fd, int level, int name, const char *text) {
        return text ? setsockopt(fd, level, name, text, (socklen_t)strlen(text) + 1) : 0;
}

int sockopt_apply_early(int fd, int family, const struct listen_options *options, struct buf *why) {
        if (apply_text(fd, SOL_SOCKET, SO_BINDTODEVICE, options->bind_to_device) < 0)
                return option_failed("bind_to_device", why);
        if (apply_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, options->receive_buffer) < 0)
                return option_failed("receive_buffer", why);
        if (apply_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options->send_buffer) < 0)
                return option_failed("send_buffer", why);
        return apply_table(&early_table, fd, family, options, why);
}

int sockopt_apply_late(int fd, int family, const struct listen_options *options, struct buf *why) {
        if (apply_text(fd, IPPROTO_TCP, TCP_CONGESTION, options->tcp_congestion) < 0)
                return option_failed("tcp_congestion", why);
        if (apply_timestamping(fd, options->timestamping) < 0)
                return option_failed("timestamping", why);
        return apply_table(&late_table, fd, family, options, why);
}
