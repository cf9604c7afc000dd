/* One timer, which goes off once in idle_exit at most: when it does and something is alive, it is set again; when
 * nothing is, but something was a while ago, for the rest. Nothing is armed on the way of a connection.
 *
 * Nothing is accepted between the last look and the end: the loop does not come round once more. Who connects just then
 * waits in the queue of an inherited socket for whoever has that socket besides us. */
#include "core/idleexit.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/fdstore.h"
#include "core/manager.h"

#include <poll.h>
#include <sys/wait.h>

#define POLL_MAX 64
#define REST_LOOK (50 * USEC_PER_MSEC) /* most have ended by then */
#define REST_MAX (2 * USEC_PER_SEC)
#define ACCURACY_MAX (250 * USEC_PER_MSEC)

/* Whether any socket of SERVICE has something that was not taken yet. */
static bool anything_waits(const struct service *service) {
        for (size_t at = 0; at < service->port_count; at += POLL_MAX) {
                const size_t count = MIN_OF(service->port_count - at, (size_t)POLL_MAX);
                struct pollfd polls[POLL_MAX];

                for (size_t i = 0; i < count; i++) {
                        const struct port *port = service->ports[at + i];

                        polls[i].fd = port->fd;
                        polls[i].events = (short)listen_events(&port->addr, port->fd);
                }
                if (poll(polls, count, 0) > 0)
                        return true;
        }
        return false;
}

/* Between two runs a `start: boot` server has not ended for good; and what is stored with us ends with us. */
static bool is_busy(const struct service *service) {
        return service->state == SERVICE_BACKOFF || service->claim || service_older_are_busy(service) ||
               (service->program && handoff_is_alive(service->program->handoff)) ||
               (service->fdstore && service->fdstore->count > 0) || !list_is_empty(&service->held) ||
               anything_waits(service);
}

/* Programs, and what they have left behind: orphans of theirs are our children (core/orphans.h). */
static bool has_children(void) {
        return waitid(P_ALL, 0, &(siginfo_t){.si_pid = 0}, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* But for children. */
static bool anything_lives(const struct manager *manager) {
        const struct service *service;

        if (!list_is_empty(&manager->leaving) || !list_is_empty(&manager->lingering.ports) ||
            manager->headers.count > 0 || manager->partings.count > 0)
                return true;
        list_for_each(service, (struct list *)&manager->services, link)
                if (is_busy(service))
                        return true;
        return false;
}

/* Together with other timers, where that is not much later. */
static void arm(struct manager *manager, usec_t at) {
        sd_event_source_set_time_accuracy(manager->idleexit.timer,
                                          MIN_OF(manager->broker.idle_exit / 10, ACCURACY_MAX));
        sd_event_source_set_time(manager->idleexit.timer, at);
        sd_event_source_set_enabled(manager->idleexit.timer, SD_EVENT_ONESHOT);
}

/* Spares nobody has used and workers without work keep nobody here; but the kernel does not tell them from other
 * children, nor do we know of every worker whether it has any. Returns whether there were some. */
static bool processes_rest(struct manager *manager) {
        const struct service *service;
        bool any = false;

        list_for_each(service, &manager->services, link)
                if (service->program && handoff_rest(service->program->handoff))
                        any = true;
        return any;
}

/* Somebody else is alive: spares are there again, workers with the next client. */
static void processes_wake(struct manager *manager) {
        const struct service *service;

        list_for_each(service, &manager->services, link)
                if (service->state == SERVICE_LISTENING && service->program)
                        handoff_on_listening(service->program->handoff);
}

/* Returns when to look again whether those who were told to end have; 0: that does not matter. */
static usec_t rest(struct manager *manager, usec_t now) {
        struct idleexit *idleexit = &manager->idleexit;

        if (idleexit->rest_until == 0 && processes_rest(manager))
                idleexit->rest_until = now + REST_MAX;
        else if (idleexit->rest_until == 0 || !has_children())
                return 0;
        return now < idleexit->rest_until ? now + REST_LOOK : 0;
}

static void note_life(struct manager *manager, usec_t now) {
        struct idleexit *idleexit = &manager->idleexit;

        if (anything_lives(manager) || has_children()) {
                if (idleexit->rest_until > 0)
                        processes_wake(manager);
                log_debug("something is alive, idle_exit begins anew");
                idleexit->since = now;
        }
        idleexit->rest_until = 0;
}

static int on_timer(sd_event_source *source UNUSED, uint64_t fired_at UNUSED, void *userdata) {
        struct manager *manager = userdata;
        usec_t idle_exit = manager->broker.idle_exit, now = clock_monotonic(), look_at = 0;

        if (manager->idleexit.since + idle_exit <= now && !anything_lives(manager))
                look_at = rest(manager, now);
        if (look_at == 0) {
                note_life(manager, now);
                look_at = manager->idleexit.since + idle_exit;
        }
        if (look_at > now) {
                arm(manager, look_at);
                return 0;
        }
        log_event(LOG_LEVEL_INFO, NULL, "nothing has been alive for idle_exit");
        manager_drain(manager, 0);
        return 0;
}

void idleexit_apply(struct manager *manager) {
        struct idleexit *idleexit = &manager->idleexit;
        int r = 0;

        if (manager->broker.idle_exit == USEC_INFINITY) {
                idleexit_deinit(manager);
                return;
        }
        if (idleexit->since == 0)
                idleexit->since = clock_monotonic();
        if (!idleexit->timer)
                r = sd_event_add_time(manager->event, &idleexit->timer, CLOCK_MONOTONIC, 0, 0, on_timer, manager);
        if (r < 0)
                log_warning("idle_exit does not work: %s", err_text(r));
        else
                arm(manager, idleexit->since + manager->broker.idle_exit);
}

void idleexit_deinit(struct manager *manager) {
        manager->idleexit.timer = sd_event_source_disable_unref(manager->idleexit.timer);
}

void idleexit_on_end(struct manager *manager) {
        manager->idleexit.since = manager_now(manager);
}

void idleexit_on_process_end(struct manager *manager) {
        /* Of one that was told to: it is no sign of life. */
        if (manager->idleexit.rest_until == 0)
                idleexit_on_end(manager);
}
