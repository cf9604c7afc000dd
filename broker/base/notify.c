#include "base/notify.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <stdlib.h>
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

int notify_send(const struct buf *message) {
        AUTO(fd_closep) int fd = -EBADF;
        struct sockaddr_un address;
        socklen_t size;

        if (!find_supervisor(&address, &size))
                return 0;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || sendto(fd, buf_text(message), message->size, MSG_DONTWAIT | MSG_NOSIGNAL,
                             (const struct sockaddr *)&address, size) < 0)
                return err_raise(-errno);
        return 0;
}
