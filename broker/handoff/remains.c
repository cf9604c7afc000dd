#include "handoff/remains.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "proc/pidfd.h"

#include <errno.h>
#include <signal.h>

/* Groups that have the rest of their grace period, each with a descriptor; one more gets SIGKILL at once. */
#define REMAINS_MAX 256

/* A process group whose leader has ended, and been waited for. */
struct remnant {
        struct list link;
        struct remains *remains;
        int pidfd; /* of the leader that was */
        sd_event_source *timer;
};

void remains_init(struct remains *remains, sd_event *event) {
        *remains = (struct remains){.event = event};
        list_init(&remains->list);
}

static void remnant_free(struct remnant *remnant) {
        remnant->remains->count--;
        list_remove(&remnant->link);
        sd_event_source_disable_unref(remnant->timer);
        fd_close(remnant->pidfd);
        free(remnant);
}

void remains_deinit(struct remains *remains) {
        struct remnant *remnant;

        list_for_each(remnant, &remains->list, link) {
                pidfd_signal_group(remnant->pidfd, SIGKILL);
                remnant_free(remnant);
        }
}

static int on_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        struct remnant *remnant = userdata;

        pidfd_signal_group(remnant->pidfd, SIGKILL);
        remnant_free(remnant);
        return 0;
}

/* PIDFD is taken on success. */
static int add(struct remains *remains, int pidfd, usec_t until) {
        struct remnant *remnant = calloc(1, sizeof(*remnant));
        int r;

        if (!remnant)
                return err_raise(-ENOMEM);
        r = sd_event_add_time(remains->event, &remnant->timer, CLOCK_MONOTONIC, until, USEC_PER_MSEC, on_timer,
                              remnant);
        if (r < 0) {
                free(remnant);
                return err_raise(r);
        }
        remnant->remains = remains;
        remnant->pidfd = pidfd;
        list_init(&remnant->link);
        list_append(&remains->list, &remnant->link);
        remains->count++;
        return 0;
}

void remains_keep(struct remains *remains, int own_pidfd, usec_t until) {
        AUTO(fd_closep) int pidfd = own_pidfd;

        if (pidfd_signal_group(pidfd, 0) < 0)
                return;
        if (until > clock_monotonic() && remains->count < REMAINS_MAX && add(remains, pidfd, until) == 0)
                take_fd(pidfd);
        else
                pidfd_signal_group(pidfd, SIGKILL);
}

int remains_restore(struct remains *remains, int own_pidfd, usec_t until) {
        int r = add(remains, own_pidfd, until);

        if (r < 0)
                fd_close(own_pidfd);
        return r;
}

size_t remains_sweep(struct remains *remains) {
        struct remnant *remnant;

        list_for_each(remnant, &remains->list, link)
                if (pidfd_signal_group(remnant->pidfd, 0) < 0)
                        remnant_free(remnant);
        return remains->count;
}

void remains_each(const struct remains *remains, void (*each)(void *userdata, int pidfd, usec_t until),
                  void *userdata) {
        struct remnant *remnant;
        uint64_t until = 0;

        list_for_each(remnant, &remains->list, link)
                if (sd_event_source_get_time(remnant->timer, &until) >= 0)
                        each(userdata, remnant->pidfd, until);
}
