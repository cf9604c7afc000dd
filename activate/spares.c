#include "activate/spares.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "net/inherit.h"
#include "proc/spare.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PACE (2 * USEC_PER_MSEC)
#define DELAY_MIN (100 * USEC_PER_MSEC)
#define DELAY_MAX (30 * USEC_PER_SEC)

int spares_init(struct spares *spares, unsigned wanted, const struct launch_plan *plan, struct launcher *launcher) {
        int r;

        if (wanted == 0)
                return 0;
        r = spare_open_image();
        if (r < 0)
                return r;
        spares->image = r;
        spares->items = calloc(wanted, sizeof(*spares->items));
        if (!spares->items)
                return err_raise(-ENOMEM);
        spares->wanted = wanted;
        spares->plan = plan;
        spares->launcher = launcher;
        spares->due = 0;
        return 0;
}

void spares_deinit(struct spares *spares) {
        for (size_t i = 0; i < spares->count; i++) {
                struct spare *spare = &spares->items[i];

                kill(spare->launched.pid, SIGKILL);
                waitid(P_PID, (id_t)spare->launched.pid, &(siginfo_t){0}, WEXITED);
                launcher_failure(spares->launcher, &spare->launched, &(struct launch_failure){0});
                fd_close(spare->link);
        }
        free(spares->items);
        fd_close(spares->image);
        *spares = SPARES_NULL;
}

/* Whoever was just given one is to have the CPU first. */
static void fill_soon(struct spares *spares) {
        if (spares->count < spares->wanted && spares->due == USEC_INFINITY)
                spares->due = clock_monotonic() + PACE;
}

static void fill_later(struct spares *spares) {
        spares->delay = spares->delay == 0 ? DELAY_MIN : MIN_OF(2 * spares->delay, DELAY_MAX);
        spares->due = clock_monotonic() + spares->delay;
}

static int start_one(struct spares *spares, const int ends[2], struct spare *ret) {
        static const int stdio_targets[] = {0, 1}, fds_targets[] = {INHERIT_FIRST_FD};
        AUTO(fd_closep) int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        struct launch_fd fds[2 + SPARE_FDS_EXTRA] = {{null_fd, 0}, {null_fd, 1}};
        struct launch_request request = {.plan = spares->plan, .fd_count = spares->stdio ? 2 : 0};
        struct spare_setup setup = {
                .targets = spares->stdio ? stdio_targets : fds_targets,
                .target_count = spares->stdio ? LENGTH_OF(stdio_targets) : LENGTH_OF(fds_targets),
                .image = spares->image,
                .link = ends[1],
                .fds = fds,
        };
        int r;

        if (null_fd < 0)
                return err_raise(-errno);
        r = spare_make_request(&setup, &request);
        if (r == 0)
                r = launcher_start(spares->launcher, &request, &ret->launched);
        if (r < 0)
                return r;
        ret->launched.pidfd = fd_close(ret->launched.pidfd);
        return 0;
}

static int add_one(struct spares *spares) {
        struct spare *spare = &spares->items[spares->count];
        int ends[2], r;

        /* Not found yet. */
        if (!spares->plan->path)
                return err_raise(-ENOENT);
        r = spare_open_link(ends);
        if (r < 0)
                return r;
        r = start_one(spares, ends, spare);
        fd_close(ends[1]);
        if (r < 0) {
                fd_close(ends[0]);
                return r;
        }
        spare->link = ends[0];
        spare->killed = false;
        spares->count++;
        return 0;
}

bool spares_fill(struct spares *spares) {
        if (spares->count >= spares->wanted || clock_monotonic() < spares->due)
                return false;
        spares->due = USEC_INFINITY;
        if (add_one(spares) < 0)
                fill_later(spares);
        else
                fill_soon(spares);
        return true;
}

/* In the order in which they were made. */
static struct spare take(struct spares *spares, size_t at) {
        struct spare spare = spares->items[at];

        spares->count--;
        memmove(&spares->items[at], &spares->items[at + 1], (spares->count - at) * sizeof(spare));
        return spare;
}

bool spares_give(struct spares *spares, const struct launch_request *request, int socket, struct spare *ret) {
        for (size_t i = 0; i < spares->count; i++) {
                struct spare *spare = &spares->items[i];

                if (spare->killed || !launcher_has_execed(spares->launcher, &spare->launched))
                        continue;
                /* Nobody is to wait for who may never go on. */
                if (spare_is_stopped(spare->launched.pid)) {
                        spare->killed = true;
                        kill(spare->launched.pid, SIGKILL);
                        continue;
                }
                if (spare_send(spare->link, request, socket) < 0)
                        continue;
                *ret = take(spares, i);
                spares->delay = 0;
                fill_soon(spares);
                return true;
        }
        return false;
}

bool spares_remove(struct spares *spares, pid_t pid) {
        for (size_t i = 0; i < spares->count; i++) {
                struct spare spare;

                if (spares->items[i].launched.pid != pid)
                        continue;
                spare = take(spares, i);
                launcher_failure(spares->launcher, &spare.launched, &(struct launch_failure){0});
                fd_close(spare.link);
                /* Many that end together are one failure. */
                if (spares->delay == 0 || spares->due == USEC_INFINITY)
                        fill_later(spares);
                return true;
        }
        return false;
}
