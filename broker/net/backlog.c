#include "net/backlog.h"

#include "base/defs.h"
#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define ANSWER_MAX 32768 /* the kernel puts as much into one message at most */

/* An AF_UNIX socket that listens. */
struct backlog_entry {
        uint32_t inode;
        uint32_t length;
};

/* Of a socket that listens the kernel gives the length of its queue where others have unacknowledged segments
 * (tcp_get_info() in net/ipv4/tcp.c); ss(8) shows it as Recv-Q from there. */
static int tcp_length(int fd, uint32_t *ret) {
        struct tcp_info info;
        socklen_t size = sizeof(info);

        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
                return err_raise(-errno);
        if (size < offsetof(struct tcp_info, tcpi_sacked) || info.tcpi_state != TCP_LISTEN)
                return err_raise(-EINVAL);
        *ret = info.tcpi_unacked;
        return 0;
}

static int add_entry(const struct nlmsghdr *header, void *userdata) {
        const struct unix_diag_msg *message = mnl_nlmsg_get_payload(header);
        struct backlog *backlog = userdata;
        struct backlog_entry *entries;
        const struct nlattr *attr;

        if (mnl_nlmsg_get_payload_len(header) < sizeof(*message))
                return MNL_CB_OK;
        mnl_attr_for_each(attr, header, sizeof(*message)) {
                const struct unix_diag_rqlen *lengths = mnl_attr_get_payload(attr);

                if (mnl_attr_get_type(attr) != UNIX_DIAG_RQLEN || mnl_attr_get_payload_len(attr) < sizeof(*lengths))
                        continue;
                if (backlog->count == backlog->room) {
                        size_t room = MAX_OF(backlog->room * 2, (size_t)32);

                        entries = reallocarray(backlog->entries, room, sizeof(*entries));
                        if (!entries)
                                return MNL_CB_ERROR;
                        backlog->entries = entries;
                        backlog->room = room;
                }
                backlog->entries[backlog->count++] =
                        (struct backlog_entry){.inode = message->udiag_ino, .length = lengths->udiag_rqueue};
        }
        return MNL_CB_OK;
}

static int by_inode(const void *a, const void *b) {
        const struct backlog_entry *x = a, *y = b;

        return x->inode < y->inode ? -1 : x->inode > y->inode;
}

/* All of them at once: to find one by its number the kernel walks through its sockets too. */
static int list_unix(struct backlog *backlog) {
        AUTO(fd_closep) int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        char answer[ANSWER_MAX];
        struct {
                struct nlmsghdr header;
                struct unix_diag_req unix_request;
        } request = {
                .header = {.nlmsg_len = sizeof(request),
                           .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                           .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                .unix_request = {.sdiag_family = AF_UNIX,
                                 .udiag_states = 1U << TCP_LISTEN,
                                 .udiag_show = UDIAG_SHOW_RQLEN},
        };
        int r = MNL_CB_OK;

        if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0)
                return err_raise(-errno);
        while (r == MNL_CB_OK) {
                /* The kernel has answered when send(2) comes back, and goes on whenever something is taken. */
                ssize_t size = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);

                if (size < 0)
                        return err_raise(-errno);
                r = mnl_cb_run(answer, (size_t)size, 0, 0, add_entry, backlog);
        }
        if (r == MNL_CB_ERROR)
                return err_raise(-errno);
        if (backlog->count > 0)
                qsort(backlog->entries, backlog->count, sizeof(*backlog->entries), by_inode);
        return 0;
}

static int unix_length(struct backlog *backlog, int fd, uint32_t *ret) {
        const struct backlog_entry *entry;
        struct stat st;

        if (!backlog->asked) {
                backlog->asked = true;
                if (list_unix(backlog) < 0)
                        backlog->count = 0;
        }
        if (fstat(fd, &st) < 0)
                return err_raise(-errno);
        entry = backlog->count == 0 ? NULL
                                    : bsearch(&(struct backlog_entry){.inode = (uint32_t)st.st_ino}, backlog->entries,
                                              backlog->count, sizeof(*entry), by_inode);
        if (!entry)
                return err_raise(-ENOENT);
        *ret = entry->length;
        return 0;
}

int backlog_length(struct backlog *backlog, int fd, uint32_t *ret) {
        int domain;
        socklen_t size = sizeof(domain);

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0)
                return err_raise(-errno);
        return domain == AF_UNIX ? unix_length(backlog, fd, ret) : tcp_length(fd, ret);
}

void backlog_deinit(struct backlog *backlog) {
        free(backlog->entries);
        *backlog = BACKLOG_NULL;
}
