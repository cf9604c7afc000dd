#include "net/inherit.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/number.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define INHERIT_MAX 100000

void inherit_deinit(struct inherit *inherit) {
        for (size_t i = 0; i < inherit->count; i++) {
                fd_set_nonblock(inherit->items[i].fd, inherit->items[i].non_blocking);
                fd_close(inherit->items[i].fd);
                free(inherit->items[i].name);
        }
        free(inherit->items);
        *inherit = INHERIT_NULL;
}

/* The number of descriptors meant for us; 0 when there are none. */
static int announced(bool any_pid, int64_t *ret) {
        const char *count = getenv("LISTEN_FDS"), *pid_text = getenv("LISTEN_PID");
        int64_t pid;

        *ret = 0;
        if (!count || (!pid_text && !any_pid))
                return 0;
        if (pid_text && number_parse(pid_text, 1, INT32_MAX, &pid) < 0)
                return err_raise(-EINVAL);
        if (!any_pid && pid != getpid())
                return 0;
        return number_parse(count, 0, INHERIT_MAX, ret) < 0 ? err_raise(-EINVAL) : 0;
}

/* The part of NAMES up to the next colon; advances. NULL when NAMES has ended. */
static char *next_name(const char **names) {
        const char *start = *names;
        size_t n;

        if (!start)
                return strdup("unknown");
        n = strcspn(start, ":");
        *names = start[n] == ':' ? start + n + 1 : NULL;
        return strndup(start, n);
}

static int take_over(int64_t count, struct inherit *inherit) {
        const char *names = getenv("LISTEN_FDNAMES");

        inherit->items = calloc((size_t)count, sizeof(*inherit->items));
        if (!inherit->items)
                return err_raise(-ENOMEM);
        for (int64_t i = 0; i < count; i++) {
                int fd = INHERIT_FIRST_FD + (int)i, flags;
                char *name;

                if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                        return err_raise(-errno);
                flags = fcntl(fd, F_GETFL);
                name = next_name(&names);
                if (!name)
                        return err_raise(-ENOMEM);
                inherit->items[inherit->count++] =
                        (struct inherited){.fd = fd, .name = name, .non_blocking = flags >= 0 && flags & O_NONBLOCK};
        }
        return 0;
}

int inherit_init(struct inherit *ret, bool any_pid) {
        AUTO(inherit_deinit) struct inherit inherit = INHERIT_NULL;
        int64_t count;
        int r;

        r = announced(any_pid, &count);
        if (r == 0 && count > 0)
                r = take_over(count, &inherit);
        unsetenv("LISTEN_FDS");
        unsetenv("LISTEN_PID");
        unsetenv("LISTEN_FDNAMES");
        unsetenv("LISTEN_PIDFDID");
        if (r < 0)
                return r;
        *ret = inherit;
        inherit = INHERIT_NULL;
        return 0;
}
