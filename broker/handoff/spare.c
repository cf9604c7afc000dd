#include "handoff/spare.h"

#include "base/err.h"
#include "base/fd.h"
#include "handoff/fdplan.h"
#include "net/connenv.h"
#include "proc/spare.h"

#include <sys/socket.h>

#define CONNECTION_FD 3

static int open_image(struct process_host *host) {
        if (host->spare_image < 0) {
                int r = spare_open_image();

                if (r < 0)
                        return r;
                host->spare_image = r;
        }
        return 0;
}

/* Where the connection goes: what the ordinary way puts there, with /dev/null standing in for it. */
static size_t find_targets(const struct handoff_setup *setup, int targets[FDPLAN_STDIO_MAX + 1]) {
        size_t n = 0;

        if (!setup->stdio)
                targets[n++] = CONNECTION_FD;
        else
                targets[n++] = 0;
        if (setup->stdio)
                targets[n++] = 1;
        if (setup->stderr_fd == HANDOFF_FD_SOCKET)
                targets[n++] = 2;
        if (!setup->stdio && setup->stdout_fd == HANDOFF_FD_SOCKET)
                targets[n++] = 1;
        return n;
}

int spare_start(struct handoff *handoff, const struct process_order *order, struct process **ret) {
        const struct handoff_setup *setup = &handoff->setup;
        AUTO(fd_closep) int here = -EBADF, there = -EBADF;
        struct launch_fd fds[FDPLAN_STDIO_MAX + SPARE_FDS_EXTRA];
        int targets[FDPLAN_STDIO_MAX + 1], ends[2], r;
        struct spare_setup spare = {.targets = targets, .fds = fds};
        struct launch_request request = {.plan = setup->plan};
        struct process_order own = *order;

        r = open_image(setup->host);
        if (r == 0)
                r = spare_open_link(ends);
        if (r < 0)
                return r;
        here = ends[0];
        there = ends[1];
        spare.image = setup->host->spare_image;
        spare.link = there;
        spare.target_count = find_targets(setup, targets);
        request.fd_count = fdplan_standard(setup, setup->host->null_fd, fds);
        r = spare_make_request(&spare, &request);
        own.request = &request;
        if (r == 0)
                r = process_start(setup->host, &own, ret);
        if (r < 0)
                return r;
        (*ret)->spare_link = take_fd(here);
        return 0;
}

bool spare_is_ready(const struct process *process) {
        return launcher_has_execed(process->host->launcher, &process->launched);
}

bool spare_is_stuck(const struct process *process) {
        return spare_is_stopped(process->launched.pid);
}

int spare_give(struct process *process, struct connection *connection) {
        struct launch_request request = {0};
        struct connenv env;
        int r;

        r = connenv_fill(connection, &env);
        if (r < 0)
                return r;
        request.env = env.items;
        request.env_count = env.count;
        request.remote_addr = env.remote_addr;
        request.remote_port = env.remote_port;
        return spare_send(process->spare_link, &request, connection->fd);
}

bool spare_settle(struct process *process) {
        if (!spare_is_over(process->spare_link))
                return false;
        process->spare_link = fd_close(process->spare_link);
        return true;
}
