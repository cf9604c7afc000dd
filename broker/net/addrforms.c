#include "net/addrforms.h"

#include "base/nearest.h"
#include "base/number.h"

#include <limits.h>
#include <string.h>

/* The names of systemd.socket(5), which are those of the constants (netlink(7)). */
static const struct {
        const char *name;
        int family;
} netlink_families[] = {
        {"route", NETLINK_ROUTE},
        {"firewall", NETLINK_FIREWALL},
        {"inet-diag", NETLINK_SOCK_DIAG},
        {"sock-diag", NETLINK_SOCK_DIAG},
        {"nflog", NETLINK_NFLOG},
        {"xfrm", NETLINK_XFRM},
        {"selinux", NETLINK_SELINUX},
        {"iscsi", NETLINK_ISCSI},
        {"audit", NETLINK_AUDIT},
        {"fib-lookup", NETLINK_FIB_LOOKUP},
        {"connector", NETLINK_CONNECTOR},
        {"netfilter", NETLINK_NETFILTER},
        {"ip6-fw", NETLINK_IP6_FW},
        {"dnrtmsg", NETLINK_DNRTMSG},
        {"kobject-uevent", NETLINK_KOBJECT_UEVENT},
        {"generic", NETLINK_GENERIC},
        {"scsitransport", NETLINK_SCSITRANSPORT},
        {"ecryptfs", NETLINK_ECRYPTFS},
        {"rdma", NETLINK_RDMA},
        {"crypto", NETLINK_CRYPTO},
};

/* A number of a vsock address, or "any"; CIDs may be left out for it too. */
static bool parse_vsock_number(const char *text, const char *what, uint32_t *ret, struct buf *why) {
        int64_t value;

        if (strcmp(text, "any") == 0) {
                *ret = VMADDR_CID_ANY;
                return true;
        }
        if (number_parse(text, 0, UINT32_MAX - 1, &value) < 0) {
                buf_printf(why, "has the %s '%s'; write a number up to %u, or any", what, text, UINT32_MAX - 1);
                return false;
        }
        *ret = (uint32_t)value;
        return true;
}

static bool parse_vsock(const char *text, struct addr *ret, struct buf *why) {
        const char *colon = strchr(text, ':');
        uint32_t cid = VMADDR_CID_ANY, port;
        char cid_text[16] = "";

        if (!colon) {
                buf_add_string(why, "needs the form vsock:CID:PORT");
                return false;
        }
        if ((size_t)(colon - text) >= sizeof(cid_text)) {
                buf_printf(why, "has a malformed CID; write a number up to %u, or any", UINT32_MAX - 1);
                return false;
        }
        memcpy(cid_text, text, (size_t)(colon - text));
        if ((cid_text[0] != '\0' && !parse_vsock_number(cid_text, "CID", &cid, why)) ||
            !parse_vsock_number(colon + 1, "port", &port, why))
                return false;
        *ret = (struct addr){
                .type = SOCK_STREAM,
                .size = sizeof(ret->sockaddr.vm),
                /* As with IP, 0 means that the kernel chooses. */
                .sockaddr.vm = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port == 0 ? VMADDR_PORT_ANY : port},
        };
        return true;
}

/* The kernel keeps the names in one directory: one slash in front, none behind it (mq_overview(7)). */
static bool parse_mqueue(const char *text, struct addr *ret, struct buf *why) {
        size_t n = strlen(text);

        if (text[0] != '/' || n < 2 || strchr(text + 1, '/') || strcmp(text, "/.") == 0 || strcmp(text, "/..") == 0) {
                buf_add_string(why, "needs the name of a message queue after mqueue:, one slash and no other");
                return false;
        }
        if (n >= sizeof(ret->sockaddr.un.sun_path)) {
                buf_printf(why, "has a name of %zu bytes; %zu is the most", n, sizeof(ret->sockaddr.un.sun_path) - 1);
                return false;
        }
        *ret = (struct addr){.form = ADDR_MQUEUE, .sockaddr.un.sun_family = AF_UNIX};
        memcpy(ret->sockaddr.un.sun_path, text, n);
        return true;
}

static bool parse_netlink_family(const char *name, int *ret, struct buf *why) {
        const char *names[LENGTH_OF(netlink_families)], *nearest;
        int64_t number;

        for (size_t i = 0; i < LENGTH_OF(netlink_families); i++) {
                names[i] = netlink_families[i].name;
                if (strcmp(name, names[i]) == 0) {
                        *ret = netlink_families[i].family;
                        return true;
                }
        }
        if (number_parse(name, 0, MAX_LINKS - 1, &number) == 0) {
                *ret = (int)number;
                return true;
        }
        nearest = nearest_name(name, names, LENGTH_OF(names));
        buf_printf(why, "names the netlink family '%s'; write one such as %s, or its number below %d", name,
                   nearest ? nearest : "route", MAX_LINKS);
        return false;
}

static bool parse_netlink(const char *text, struct addr *ret, struct buf *why) {
        const char *rest = text + strcspn(text, " \t");
        size_t n = (size_t)(rest - text);
        char name[32] = "";
        int64_t group = 0;
        int family;

        if (n == 0) {
                buf_add_string(why, "needs the form netlink:FAMILY GROUP");
                return false;
        }
        memcpy(name, text, MIN_OF(n, sizeof(name) - 1));
        if (!parse_netlink_family(name, &family, why))
                return false;
        rest += strspn(rest, " \t");
        if (rest[0] != '\0' && number_parse(rest, 0, UINT32_MAX, &group) < 0) {
                buf_printf(why, "has the group '%s'; write a number up to %u", rest, UINT32_MAX);
                return false;
        }
        *ret = (struct addr){
                .type = SOCK_RAW,
                .protocol = family,
                .size = sizeof(ret->sockaddr.nl),
                .sockaddr.nl = {.nl_family = AF_NETLINK, .nl_groups = (uint32_t)group},
        };
        return true;
}

static const struct {
        const char *prefix;
        bool (*parse)(const char *text, struct addr *ret, struct buf *why);
} forms[] = {{"vsock:", parse_vsock}, {"mqueue:", parse_mqueue}, {"netlink:", parse_netlink}};

bool addrforms_has(const char *text) {
        for (size_t i = 0; i < LENGTH_OF(forms); i++)
                if (strncmp(text, forms[i].prefix, strlen(forms[i].prefix)) == 0)
                        return true;
        return false;
}

bool addrforms_parse(const char *text, struct addr *ret, struct buf *why) {
        size_t i = 0;

        while (strncmp(text, forms[i].prefix, strlen(forms[i].prefix)) != 0)
                i++;
        return forms[i].parse(text + strlen(forms[i].prefix), ret, why);
}

static void add_vsock_number(uint32_t value, struct buf *out) {
        if (value == VMADDR_CID_ANY)
                buf_add_string(out, "any");
        else
                buf_printf(out, "%u", value);
}

void addrforms_format_vsock(const struct sockaddr_vm *vm, struct buf *out) {
        buf_add_string(out, "vsock:");
        add_vsock_number(vm->svm_cid, out);
        buf_add_char(out, ':');
        add_vsock_number(vm->svm_port, out);
}

void addrforms_format_netlink(const struct addr *addr, struct buf *out) {
        const char *name = NULL;

        for (size_t i = 0; i < LENGTH_OF(netlink_families) && !name; i++)
                if (netlink_families[i].family == addr->protocol)
                        name = netlink_families[i].name;
        if (name)
                buf_printf(out, "netlink:%s", name);
        else
                buf_printf(out, "netlink:%d", addr->protocol);
        if (addr->sockaddr.nl.nl_groups != 0)
                buf_printf(out, " %u", addr->sockaddr.nl.nl_groups);
}
