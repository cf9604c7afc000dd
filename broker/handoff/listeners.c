/* wait: yes. One server gets all listening sockets of its service, in the order they were written: as fd 3 and up with
 * LISTEN_FDS (sd_listen_fds(3)), or its only one as fd 0 and 1, as inetd's wait services do (inetd(8)). */
#include "base/err.h"
#include "base/fd.h"
#include "handoff/fdplan.h"
#include "handoff/handoff.h"

#include <errno.h>

#define FIRST_FD 3

/* The flag lives in the open file description, which the last server could change: set anew each time. */
static int set_blocking_mode(const struct handoff_setup *setup) {
        for (size_t i = 0; i < setup->listener_count; i++) {
                int r = fd_set_nonblock(setup->listeners[i], setup->non_blocking);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int listeners_start_server(struct handoff *handoff) {
        const struct handoff_setup *setup = &handoff->setup;
        size_t beside = setup->stdio ? 0 : setup->listener_count, n;
        struct launch_request request = {.plan = setup->plan};
        AUTO(freep) struct launch_fd *fds = calloc(beside + FDPLAN_STDIO_MAX, sizeof(*fds));
        int r;

        if (!fds)
                return err_raise(-ENOMEM);
        r = set_blocking_mode(setup);
        if (r < 0)
                return r;
        n = fdplan_standard(setup, setup->stdio ? setup->listeners[0] : -EBADF, fds);
        for (size_t i = 0; i < beside; i++)
                fds[n++] = (struct launch_fd){.from = setup->listeners[i], .to = FIRST_FD + (int)i};
        request.fds = fds;
        request.fd_count = n;
        return handoff_start_process(handoff, &request, NULL);
}

const struct handoff_ops listeners_ops = {
        .type = HANDOFF_TYPE_LISTENERS,
        .start_server = listeners_start_server,
};
