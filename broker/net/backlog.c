#include "net/backlog.h"

#include "base/err.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>

/* Of a socket that listens the kernel gives the length of its queue where others have unacknowledged segments
 * (tcp_get_info() in net/ipv4/tcp.c); ss(8) shows it as Recv-Q from there. */
int backlog_length(int fd, uint32_t *ret) {
        struct tcp_info info;
        socklen_t size = sizeof(info);

        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
                return err_raise(-errno);
        if (size < offsetof(struct tcp_info, tcpi_sacked) || info.tcpi_state != TCP_LISTEN)
                return err_raise(-EINVAL);
        *ret = info.tcpi_unacked;
        return 0;
}
