#include "net/connection.h"

#include "base/err.h"
#include "base/fd.h"
#include "net/proxyheader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

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
        memcpy(&connection->local, local, MIN_OF((size_t)size, sizeof(*local)));
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

static void format_inet(const union sockaddr_any *sa, char text[CONNECTION_PEER_MAX]) {
        char host[ADDR_HOST_MAX];
        char *at = text;

        addr_format_host(sa, host);
        if (strchr(host, ':')) {
                *at++ = '[';
                at = stpcpy(at, host);
                *at++ = ']';
        } else {
                at = stpcpy(at, host);
        }
        *at++ = ':';
        at = add_digits(at, addr_port(sa));
        *at = '\0';
}

static void format_any(const union sockaddr_any *sa, socklen_t size, char text[CONNECTION_PEER_MAX]) {
        AUTO(buf_deinit) struct buf buf = BUF_NULL;

        if (sa->sa.sa_family == AF_INET || sa->sa.sa_family == AF_INET6) {
                format_inet(sa, text);
                return;
        }
        addr_format_sockaddr(sa, size, &buf);
        snprintf(text, CONNECTION_PEER_MAX, "%s", buf_text(&buf));
}

/* An AF_UNIX peer without a name is known by its credentials. */
static void format_peer(const union sockaddr_any *sa, socklen_t size, const struct ucred *cred,
                        char text[CONNECTION_PEER_MAX]) {
        bool unnamed = sa->sa.sa_family == AF_UNIX && size <= sizeof(sa->sa.sa_family);

        if (unnamed && cred->uid != (uid_t)-1)
                snprintf(text, CONNECTION_PEER_MAX, "uid %u pid %d", cred->uid, cred->pid);
        else
                format_any(sa, size, text);
}

const char *connection_format_peer(const struct connection *connection, char text[CONNECTION_PEER_MAX]) {
        format_peer(&connection->peer, connection->peer_size, &connection->cred, text);
        return text;
}

const char *connection_format_proxy(const struct connection *connection, char text[CONNECTION_PEER_MAX]) {
        if (!connection->proxied)
                return NULL;
        format_peer(&connection->proxy, connection->proxy_size, &connection->proxy_cred, text);
        return text;
}

void connection_set_proxied(struct connection *connection, const struct proxy_header *header) {
        connection->proxy = connection->peer;
        connection->proxy_size = connection->peer_size;
        connection->proxy_cred = connection->cred;
        connection->proxied = true;
        connection->peer = header->source;
        connection->peer_size = header->source_size;
        connection_set_local(connection, &header->destination, header->destination_size);
        connection->cred = (struct ucred){.uid = (uid_t)-1, .gid = (gid_t)-1};
}

void connection_source(const struct connection *connection, struct prefix *ret) {
        const union sockaddr_any *peer = &connection->peer;

        switch (peer->sa.sa_family) {
        case AF_UNIX:
                *ret = (struct prefix){.family = AF_UNIX};
                memcpy(ret->address, &connection->cred.uid, sizeof(connection->cred.uid));
                break;
        case AF_VSOCK:
                *ret = (struct prefix){.family = AF_VSOCK};
                memcpy(ret->address, &peer->vm.svm_cid, sizeof(peer->vm.svm_cid));
                break;
        default:
                prefix_of_address(peer, ret);
        }
}

static bool has_one_of(const gid_t *gids, size_t gid_count, const uint32_t *wanted, size_t count) {
        for (size_t i = 0; i < gid_count; i++)
                for (size_t j = 0; j < count; j++)
                        if (gids[i] == wanted[j])
                                return true;
        return false;
}

bool connection_peer_has_group(const struct connection *connection, const uint32_t *gids, size_t count) {
        AUTO(freep) gid_t *own = NULL;
        socklen_t size = 0;

        if (connection->proxied || count == 0)
                return false;
        if (has_one_of(&connection->cred.gid, 1, gids, count))
                return true;
        /* The first call says how much room it takes. */
        if (getsockopt(connection->fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
                return false;
        own = malloc(size);
        if (!own || getsockopt(connection->fd, SOL_SOCKET, SO_PEERGROUPS, own, &size) < 0)
                return false;
        return has_one_of(own, size / sizeof(*own), gids, count);
}
