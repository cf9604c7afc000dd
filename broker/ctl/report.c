/* sd_notify(3) would wait for a supervisor that does not read, and the whole broker with it; so the messages are
 * sent by our own hand, and what finds no room is lost, as it would be on a supervisor that has died. */
#include "ctl/report.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The address in NOTIFY_SOCKET: a path, or a name in the abstract namespace after @. False where there is none. */
static bool find_supervisor(struct sockaddr_un *ret, socklen_t *ret_size) {
        const char *path = getenv("NOTIFY_SOCKET");
        size_t n = path ? strlen(path) : 0;

        if (n < 2 || n >= sizeof(ret->sun_path) || (path[0] != '/' && path[0] != '@'))
                return false;
        *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
        memcpy(ret->sun_path, path, n);
        if (path[0] == '@')
                ret->sun_path[0] = '\0';
        *ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
        return true;
}

static void send_report(const struct buf *message) {
        AUTO(fd_closep) int fd = -EBADF;
        struct sockaddr_un address;
        socklen_t size;

        if (!find_supervisor(&address, &size))
                return;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || sendto(fd, buf_text(message), message->size, MSG_DONTWAIT | MSG_NOSIGNAL,
                             (const struct sockaddr *)&address, size) < 0)
                log_warning("the supervisor (NOTIFY_SOCKET) cannot be told: %s", err_text(errno));
}

void report_ready(const struct manager *manager) {
        AUTO(buf_deinit) struct buf message = BUF_NULL;

        buf_printf(&message, "READY=1\nSTATUS=%zu services", manager->service_count);
        send_report(&message);
}

void report_reloading(void) {
        AUTO(buf_deinit) struct buf message = BUF_NULL;

        buf_printf(&message, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reading definitions",
                   (unsigned long long)clock_monotonic());
        send_report(&message);
}

void report_stopping(void *userdata UNUSED) {
        AUTO(buf_deinit) struct buf message = BUF_NULL;

        buf_add_string(&message, "STOPPING=1\nSTATUS=Waiting for processes to end");
        send_report(&message);
}
