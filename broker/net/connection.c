#include "net/connection.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void read_credentials(struct connection *connection) {
        socklen_t size = sizeof(connection->cred);

        connection->cred = (struct ucred){.uid = (uid_t)-1, .gid = (gid_t)-1};
        getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &connection->cred, &size);
}

int connection_accept(int fd, struct connection *ret) {
        /* No SOCK_NONBLOCK: the program that gets it expects what inetd has always given it. */
        ret->peer_size = sizeof(ret->peer);
        ret->fd = accept4(fd, &ret->peer.sa, &ret->peer_size, SOCK_CLOEXEC);
        if (ret->fd >= 0) {
                if (ret->peer.sa.sa_family == AF_UNIX)
                        read_credentials(ret);
                return ACCEPT_OK;
        }
        ret->fd = -EBADF;
        switch (errno) {
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
                return ACCEPT_EXHAUSTED;
        /* EAGAIN: another took it. The others are network errors already pending on the new socket, which accept(2)
         * says to treat like EAGAIN. */
        case EAGAIN:
        case EINTR:
        case ECONNABORTED:
        case EPROTO:
        case EPERM:
        case ENETDOWN:
        case ENOPROTOOPT:
        case EHOSTDOWN:
        case ENONET:
        case EHOSTUNREACH:
        case EOPNOTSUPP:
        case ENETUNREACH:
        case ETIMEDOUT:
                return ACCEPT_NOTHING;
        default:
                return err_raise(-errno);
        }
}

void connection_set_local(struct connection *connection, const union sockaddr_any *local, socklen_t size) {
        connection->local = *local;
        connection->local_size = size;
        connection->local_known = true;
}

int connection_find_local(struct connection *connection) {
        if (connection->local_known)
                return 0;
        connection->local_size = sizeof(connection->local);
        if (getsockname(connection->fd, &connection->local.sa, &connection->local_size) < 0)
                return err_raise(-errno);
        connection->local_known = true;
        return 0;
}

void connection_close(struct connection *connection) {
        connection->fd = fd_close(connection->fd);
}

/* Writes the decimal digits of VALUE and returns their end. */
static char *add_digits(char *at, unsigned value) {
        char digits[10];
        int n = 0;

        do
                digits[n++] = (char)('0' + value % 10);
        while ((value /= 10) > 0);
        while (n > 0)
                *at++ = digits[--n];
        return at;
}

static void format_unix_peer(const struct connection *connection, char text[CONNECTION_PEER_MAX]) {
        AUTO(buf_deinit) struct buf buf = BUF_NULL;

        if (connection->peer_size > sizeof(sa_family_t)) {
                addr_format_sockaddr(&connection->peer, connection->peer_size, &buf);
                snprintf(text, CONNECTION_PEER_MAX, "%s", buf_text(&buf));
                return;
        }
        snprintf(text, CONNECTION_PEER_MAX, "uid %u pid %d", connection->cred.uid, connection->cred.pid);
}

void connection_format_peer(const struct connection *connection, char text[CONNECTION_PEER_MAX]) {
        char host[ADDR_HOST_MAX];
        char *at = text;

        if (connection->peer.sa.sa_family == AF_UNIX) {
                format_unix_peer(connection, text);
                return;
        }
        if (connection->peer.sa.sa_family == AF_VSOCK) {
                snprintf(text, CONNECTION_PEER_MAX, "vsock:%u:%u", connection->peer.vm.svm_cid,
                         connection->peer.vm.svm_port);
                return;
        }
        addr_format_host(&connection->peer, host);
        if (strchr(host, ':')) {
                *at++ = '[';
                at = stpcpy(at, host);
                *at++ = ']';
        } else {
                at = stpcpy(at, host);
        }
        *at++ = ':';
        at = add_digits(at, addr_port(&connection->peer));
        *at = '\0';
}

void connection_source_key(const struct connection *connection, struct source_key *ret) {
        const union sockaddr_any *peer = &connection->peer;

        *ret = (struct source_key){0};
        switch (peer->sa.sa_family) {
        case AF_INET:
                ret->family = AF_INET;
                memcpy(ret->address, &peer->in.sin_addr, 4);
                break;
        case AF_INET6:
                if (IN6_IS_ADDR_V4MAPPED(&peer->in6.sin6_addr)) {
                        ret->family = AF_INET;
                        memcpy(ret->address, &peer->in6.sin6_addr.s6_addr[12], 4);
                } else {
                        ret->family = AF_INET6;
                        memcpy(ret->address, &peer->in6.sin6_addr, 16);
                }
                break;
        case AF_UNIX:
                ret->family = AF_UNIX;
                memcpy(ret->address, &connection->cred.uid, sizeof(connection->cred.uid));
                break;
        case AF_VSOCK:
                ret->family = AF_VSOCK;
                memcpy(ret->address, &peer->vm.svm_cid, sizeof(peer->vm.svm_cid));
                break;
        }
}
