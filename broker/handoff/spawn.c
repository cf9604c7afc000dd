/* wait: no. One process per accepted connection, which it gets as fd 0 and 1 (inetd(8), tcpserver) or as fd 3 with
 * LISTEN_FDS (systemd's Accept=yes). This is the hot path: nothing is allocated here. */
#include "handoff/fdplan.h"
#include "handoff/handoff.h"
#include "net/connenv.h"

#define CONNECTION_FD 3

static int spawn_take_connection(struct handoff *handoff, struct connection *connection) {
        const struct handoff_setup *setup = &handoff->setup;
        struct launch_fd fds[FDPLAN_STDIO_MAX + 1];
        struct launch_request request = {.plan = setup->plan, .fds = fds};
        struct connenv env;
        int r;

        r = connenv_fill(connection, &env);
        if (r < 0)
                return r;
        request.fd_count = fdplan_standard(setup, connection->fd, fds);
        if (!setup->stdio)
                fds[request.fd_count++] = (struct launch_fd){.from = connection->fd, .to = CONNECTION_FD};
        request.env = env.items;
        request.env_count = env.count;
        request.remote_addr = env.remote_addr;
        request.remote_port = env.remote_port;
        return handoff_start_process(handoff, &request, connection);
}

const struct handoff_ops spawn_ops = {
        .type = HANDOFF_TYPE_SPAWN,
        .take_connection = spawn_take_connection,
};
