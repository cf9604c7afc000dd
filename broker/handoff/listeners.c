/* wait: yes. One server gets all listening sockets of its service, in the order they were written: as fd 3 and up with
 * LISTEN_FDS (sd_listen_fds(3)), or its only one as fd 0 and 1, as inetd's wait services do (inetd(8)). Descriptors
 * that an earlier server has stored come behind the sockets. */
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "handoff/fdplan.h"
#include "handoff/handoff.h"

#include <errno.h>

#define FIRST_FD 3

/* The flag lives in the open file description, which the last server could change: set anew each time. */
static int set_blocking_mode(const struct handoff_setup *setup) {
        for (size_t i = 0; i < setup->listener_count && !setup->beside_another; i++) {
                int r = fd_set_nonblock(setup->listeners[i], setup->non_blocking);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* What was stored for the server, and the variables that say so. */
struct extras {
        struct handoff_stored *stored;
        size_t count;
        struct buf fds;
        struct buf names;
        const char *env[2];
};

static void extras_deinit(struct extras *extras) {
        free(extras->stored);
        buf_deinit(&extras->fds);
        buf_deinit(&extras->names);
}

static int extras_fill(struct extras *extras, const struct handoff_setup *setup, struct launch_request *request) {
        const struct handoff_store *store = setup->store;
        int r;

        if (!store)
                return 0;
        r = store->list(store->userdata, &extras->stored, &extras->count);
        if (r < 0)
                return r;
        buf_printf(&extras->fds, "LISTEN_FDS=%zu", setup->listener_count + extras->count);
        buf_printf(&extras->names, "LISTEN_FDNAMES=%s", store->listener_names);
        for (size_t i = 0; i < extras->count; i++)
                buf_printf(&extras->names, "%s%s", setup->listener_count + i > 0 ? ":" : "", extras->stored[i].name);
        if (buf_failed(&extras->fds) || buf_failed(&extras->names))
                return err_raise(-ENOMEM);
        extras->env[0] = buf_text(&extras->fds);
        extras->env[1] = buf_text(&extras->names);
        request->env = extras->env;
        request->env_count = LENGTH_OF(extras->env);
        return 0;
}

static int listeners_start_server(struct handoff *handoff) {
        const struct handoff_setup *setup = &handoff->setup;
        struct launch_request request = {.plan = setup->plan};
        AUTO(extras_deinit) struct extras extras = {.fds = BUF_NULL, .names = BUF_NULL};
        AUTO(freep) struct launch_fd *fds = NULL;
        size_t beside = setup->stdio ? 0 : setup->listener_count, n;
        int r;

        r = extras_fill(&extras, setup, &request);
        if (r < 0)
                return r;
        fds = calloc(FDPLAN_STDIO_MAX + beside + extras.count, sizeof(*fds));
        if (!fds)
                return err_raise(-ENOMEM);
        r = set_blocking_mode(setup);
        if (r < 0)
                return r;
        n = fdplan_standard(setup, setup->stdio ? setup->listeners[0] : -EBADF, fds);
        for (size_t i = 0; i < beside; i++)
                fds[n++] = (struct launch_fd){.from = setup->listeners[i], .to = FIRST_FD + (int)i};
        for (size_t i = 0; i < extras.count; i++)
                fds[n++] = (struct launch_fd){.from = extras.stored[i].fd, .to = FIRST_FD + (int)(beside + i)};
        request.fds = fds;
        request.fd_count = n;
        return handoff_start_process(handoff, &request, NULL);
}

const struct handoff_ops listeners_ops = {
        .type = HANDOFF_TYPE_LISTENERS,
        .start_server = listeners_start_server,
};
