#include "net/connenv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

const char *const connenv_names[] = {
        "REMOTE_ADDR",   "REMOTE_PORT",   "SERVER_ADDR",   "SERVER_PORT",   "PROTO",        "TCPREMOTEIP",
        "TCPREMOTEPORT", "TCPLOCALIP",    "TCPLOCALPORT",  "TCPREMOTEHOST", "TCPLOCALHOST", "TCPREMOTEINFO",
        "IPCREMOTEPATH", "IPCREMOTEEUID", "IPCREMOTEEGID", "IPCLOCALPATH",  "SO_COOKIE",    NULL,
};

/* Appends NAME=VALUE and returns the value. The room is reckoned for the longest of everything. */
static const char *add(struct connenv *env, const char *name, const char *value) {
        size_t name_size = strlen(name), value_size = strlen(value) + 1;
        char *at = env->text + env->used;

        assert(env->count < CONNENV_ITEMS_MAX && env->used + name_size + value_size <= sizeof(env->text));
        memcpy(at, name, name_size);
        memcpy(at + name_size, value, value_size);
        env->items[env->count++] = at;
        env->used += name_size + value_size;
        return at + name_size;
}

static char *decimal(uint64_t value, char text[24]) {
        char *at = text + 23;

        *at = '\0';
        do
                *--at = (char)('0' + value % 10);
        while ((value /= 10) > 0);
        return at;
}

/* A client that speaks MPTCP, or plain TCP to a socket of MPTCP, is one of TCP to any program. */
static void add_inet(struct connenv *env, const struct connection *connection) {
        bool is_tcp = connection->protocol != IPPROTO_SCTP;
        char host[ADDR_HOST_MAX], digits[24];
        const char *port;

        addr_format_host(&connection->peer, host);
        port = decimal(addr_port(&connection->peer), digits);
        env->remote_addr = add(env, "REMOTE_ADDR=", host);
        env->remote_port = add(env, "REMOTE_PORT=", port);
        if (is_tcp) {
                add(env, "TCPREMOTEIP=", host);
                add(env, "TCPREMOTEPORT=", port);
        }
        addr_format_host(&connection->local, host);
        port = decimal(addr_port(&connection->local), digits);
        add(env, "SERVER_ADDR=", host);
        add(env, "SERVER_PORT=", port);
        if (is_tcp) {
                add(env, "TCPLOCALIP=", host);
                add(env, "TCPLOCALPORT=", port);
        }
        add(env, "PROTO=", is_tcp ? "TCP" : "SCTP");
}

/* The address as systemd writes it, with the kind in front: a number alone would pass for something else. */
static void add_vsock(struct connenv *env, const struct connection *connection) {
        char cid[24] = "vsock:", digits[24];
        char *number = cid + strlen(cid);

        strcpy(number, decimal(connection->peer.vm.svm_cid, digits));
        env->remote_addr = add(env, "REMOTE_ADDR=", cid);
        env->remote_port = add(env, "REMOTE_PORT=", decimal(connection->peer.vm.svm_port, digits));
        strcpy(number, decimal(connection->local.vm.svm_cid, digits));
        add(env, "SERVER_ADDR=", cid);
        add(env, "SERVER_PORT=", decimal(connection->local.vm.svm_port, digits));
        add(env, "PROTO=", "VSOCK");
}

#define UNIX_NAME_MAX (sizeof("./") + sizeof(((struct sockaddr_un *)NULL)->sun_path))

/* A path as it is, an abstract name with @ for its first byte; "" for an unnamed socket. A client may have bound
 * "192.0.2.7" where he was: "./192.0.2.7" is the same path, and passes for nothing else. */
static void unix_name(const union sockaddr_any *sa, socklen_t size, char out[UNIX_NAME_MAX]) {
        /* The kernel counts a final NUL even behind a path that fills sun_path (unix(7)). */
        size_t n = MIN_OF(size - MIN_OF((size_t)size, offsetof(struct sockaddr_un, sun_path)), sizeof(sa->un.sun_path));

        if (n > 0 && sa->un.sun_path[0] != '\0' && sa->un.sun_path[0] != '/')
                out = stpcpy(out, "./");
        memcpy(out, sa->un.sun_path, n);
        out[n] = '\0';
        if (n > 1 && out[0] == '\0') {
                out[0] = '@';
                for (size_t i = 1; i < n; i++)
                        if (out[i] == '\0')
                                out[i] = '@';
        }
}

static void add_unix(struct connenv *env, const struct connection *connection) {
        char name[UNIX_NAME_MAX], digits[24];

        unix_name(&connection->peer, connection->peer_size, name);
        if (name[0] != '\0')
                env->remote_addr = add(env, "REMOTE_ADDR=", name);
        add(env, "IPCREMOTEPATH=", name);
        unix_name(&connection->local, connection->local_size, name);
        if (name[0] != '\0')
                add(env, "SERVER_ADDR=", name);
        add(env, "IPCLOCALPATH=", name);
        if (connection->cred.uid != (uid_t)-1) {
                add(env, "IPCREMOTEEUID=", decimal(connection->cred.uid, digits));
                add(env, "IPCREMOTEEGID=", decimal(connection->cred.gid, digits));
        }
        add(env, "PROTO=", "IPC");
}

int connenv_fill(struct connection *connection, struct connenv *ret) {
        char digits[24];
        uint64_t cookie;
        socklen_t size = sizeof(cookie);
        int r;

        ret->count = ret->used = 0;
        ret->remote_addr = ret->remote_port = "";
        r = connection_find_local(connection);
        if (r < 0)
                return r;
        if (connection->peer.sa.sa_family == AF_UNIX)
                add_unix(ret, connection);
        else if (connection->peer.sa.sa_family == AF_VSOCK)
                add_vsock(ret, connection);
        else
                add_inet(ret, connection);
        if (getsockopt(connection->fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0)
                add(ret, "SO_COOKIE=", decimal(cookie, digits));
        return 0;
}
