#include "handoff/datagrams.h"

#include "base/err.h"

#include <errno.h>
#include <string.h>

union control {
        struct cmsghdr head;
        char data[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct datagrams {
        struct datagram items[DATAGRAMS_MAX];
        struct mmsghdr messages[DATAGRAMS_MAX];
        struct iovec vectors[DATAGRAMS_MAX];
        union control controls[DATAGRAMS_MAX];
        char *data;
};

struct datagrams *datagrams_free(struct datagrams *datagrams) {
        if (!datagrams)
                return NULL;
        free(datagrams->data);
        free(datagrams);
        return NULL;
}

struct datagrams *datagrams_new(void) {
        struct datagrams *datagrams = calloc(1, sizeof(*datagrams));

        if (!datagrams)
                return NULL;
        datagrams->data = malloc((size_t)DATAGRAMS_MAX * DATAGRAM_SIZE_MAX);
        if (!datagrams->data)
                return datagrams_free(datagrams);
        for (unsigned i = 0; i < DATAGRAMS_MAX; i++)
                datagrams->items[i].data = datagrams->data + (size_t)i * DATAGRAM_SIZE_MAX;
        return datagrams;
}

/* Room for control data is room for descriptors, on an AF_UNIX socket: there is none, and nothing we would want. */
static void prepare(struct datagrams *datagrams, unsigned index, bool is_ip) {
        struct datagram *item = &datagrams->items[index];
        struct iovec *vector = &datagrams->vectors[index];

        *vector = (struct iovec){.iov_base = item->data, .iov_len = DATAGRAM_SIZE_MAX};
        datagrams->messages[index].msg_hdr = (struct msghdr){
                .msg_name = &item->peer,
                .msg_namelen = sizeof(item->peer),
                .msg_iov = vector,
                .msg_iovlen = 1,
                .msg_control = is_ip ? datagrams->controls[index].data : NULL,
                .msg_controllen = is_ip ? sizeof(datagrams->controls[index].data) : 0,
        };
}

/* To a broadcast address, or a multicast one, there is no answer from there: then the kernel names another for it. */
static bool went_to_many(struct msghdr *message) {
        for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at)) {
                struct in6_pktinfo info6;
                struct in_pktinfo info;

                if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) {
                        memcpy(&info, CMSG_DATA(at), sizeof(info));
                        if (info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr)
                                return true;
                }
                if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
                        memcpy(&info6, CMSG_DATA(at), sizeof(info6));
                        if (IN6_IS_ADDR_MULTICAST(&info6.ipi6_addr))
                                return true;
                }
        }
        return false;
}

int datagrams_receive(struct datagrams *datagrams, int fd, int family, unsigned max) {
        unsigned room = MIN_OF(max, (unsigned)DATAGRAMS_MAX);
        int count;

        for (unsigned i = 0; i < room; i++)
                prepare(datagrams, i, family == AF_INET || family == AF_INET6);
        count = recvmmsg(fd, datagrams->messages, room, MSG_DONTWAIT, NULL);
        if (count < 0)
                return err_raise(-errno);
        for (int i = 0; i < count; i++) {
                struct datagram *item = &datagrams->items[i];

                item->size = datagrams->messages[i].msg_len;
                item->peer_size = datagrams->messages[i].msg_hdr.msg_namelen;
                /* An AF_UNIX sender without a name has only a family, or not even that. What is larger than all
                 * datagrams of UDP is AF_UNIX's, too. */
                if (item->peer_size <= sizeof(item->peer.sa.sa_family) ||
                    datagrams->messages[i].msg_hdr.msg_flags & MSG_TRUNC)
                        item->peer_size = 0;
                item->answered = false;
                item->to_many = went_to_many(&datagrams->messages[i].msg_hdr);
        }
        return count;
}

struct datagram *datagrams_at(struct datagrams *datagrams, unsigned index) {
        return &datagrams->items[index];
}

/* Of what the kernel has said about the way a datagram came, only the address goes back: with the interface, answers to
 * what came another way would have nowhere to go. Link-local addresses mean nothing without it. */
static void turn_round(struct msghdr *message) {
        struct cmsghdr *found = NULL;

        for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at))
                if ((at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) ||
                    (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO))
                        found = at;
        if (!found) {
                message->msg_control = NULL;
                message->msg_controllen = 0;
                return;
        }
        if (found->cmsg_level == IPPROTO_IP) {
                struct in_pktinfo info;

                memcpy(&info, CMSG_DATA(found), sizeof(info));
                info.ipi_ifindex = 0;
                memcpy(CMSG_DATA(found), &info, sizeof(info));
        } else {
                struct in6_pktinfo info;

                memcpy(&info, CMSG_DATA(found), sizeof(info));
                if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
                        info.ipi6_ifindex = 0;
                memcpy(CMSG_DATA(found), &info, sizeof(info));
        }
        message->msg_control = found;
        message->msg_controllen = found->cmsg_len;
}

void datagrams_answer(struct datagrams *datagrams, int fd, unsigned count) {
        for (unsigned i = 0; i < count; i++) {
                const struct datagram *item = &datagrams->items[i];
                struct msghdr *message = &datagrams->messages[i].msg_hdr;

                if (!item->answered || item->peer_size == 0)
                        continue;
                message->msg_namelen = item->peer_size;
                message->msg_iov->iov_len = item->size;
                message->msg_flags = 0;
                turn_round(message);
                (void)!sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
}
