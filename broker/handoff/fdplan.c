#include "handoff/fdplan.h"

static size_t add_output(int choice, int socket, int to, struct launch_fd *out) {
        if (choice == HANDOFF_FD_INHERIT)
                return 0;
        *out = (struct launch_fd){.from = choice == HANDOFF_FD_SOCKET ? socket : choice, .to = to};
        return 1;
}

size_t fdplan_standard(const struct handoff_setup *setup, int socket, struct launch_fd out[FDPLAN_STDIO_MAX]) {
        size_t n = 0;

        out[n++] = (struct launch_fd){.from = setup->stdio ? socket : setup->host->null_fd, .to = 0};
        n += add_output(setup->stdio ? HANDOFF_FD_SOCKET : setup->stdout_fd, socket, 1, &out[n]);
        n += add_output(setup->stderr_fd, socket, 2, &out[n]);
        return n;
}
