/* While anybody is connected, the kernel is asked every now and then whether that is still so. When nobody is, the
 * sockets are watched for arrivals instead, so that nothing is asked and nobody woken until one comes or idle_stop is
 * over: who comes and goes between two questions counts, too. A socket is watched for one arrival at a time, since what
 * arrives is the server's to take: with many clients we wake once in each interval between questions.
 *
 * When idle_stop is over, a connection could come between the last question and the signal, be accepted and lost. So
 * the server's process group is held still with SIGSTOP first, and asked about once more: what has come by then makes
 * it go on, what comes later waits in the queue for the next server. Holding takes a millisecond or two. If the broker
 * were killed in those, nobody would let the server go on, as it leads a session of its own; so it is never held for
 * longer than HOLD_MAX. */
#include "core/idle.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/manager.h"
#include "core/servicefsm.h"
#include "net/sockdiag.h"
#include "proc/group.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

/* Between two questions while somebody is connected: a tenth of idle_stop, but not */
#define INTERVAL_MIN (20 * USEC_PER_MSEC)
#define INTERVAL_MAX (5 * USEC_PER_SEC)

/* Where the kernel has many sockets to look through, asking takes a while: one part in this of our time at most. */
#define COST_SHARE 20

#define HOLD_STEP USEC_PER_MSEC /* doubles */
#define HOLD_MAX (200 * USEC_PER_MSEC)

enum idle_phase {
        IDLE_BUSY,    /* somebody was connected when we last looked */
        IDLE_QUIET,   /* nobody was; arrivals are watched for */
        IDLE_HOLDING, /* the server has been told to hold still */
};

struct idle {
        struct service *service; /* borrowed */
        enum idle_phase phase;
        sd_event_source *timer; /* of the phase */
        struct sockdiag diag;
        usec_t cost; /* of the last question */
        pid_t group; /* held still, while IDLE_HOLDING */
        usec_t held_at;
        usec_t step;
        bool told; /* why it cannot be stopped, once for each server */
};

static usec_t interval(const struct service *service) {
        usec_t tenth = service->def->idle_stop / 10;

        return MIN_OF(MAX_OF(tenth, INTERVAL_MIN), INTERVAL_MAX);
}

static void arm(struct idle *idle, usec_t delay) {
        sd_event_source_set_time(idle->timer, clock_monotonic() + delay);
        sd_event_source_set_enabled(idle->timer, SD_EVENT_ONESHOT);
}

/* All of the group, even where kill_mode sends signals to one process only. */
static void let_go(struct idle *idle) {
        if (idle->phase == IDLE_HOLDING)
                kill(-idle->group, SIGCONT);
}

static void enter_busy(struct idle *idle) {
        let_go(idle);
        service_watch_ports(idle->service, false);
        idle->phase = IDLE_BUSY;
        arm(idle, MAX_OF(interval(idle->service), idle->cost * COST_SHARE));
}

static void go_on(struct idle *idle) {
        if (idle->phase == IDLE_HOLDING)
                log_event(LOG_LEVEL_DEBUG, LOG_FIELDS(LOG_STRING("service", idle->service->name)),
                          "somebody has come, the server goes on");
        enter_busy(idle);
}

static void tell(struct idle *idle, int error, const char *why) {
        if (!idle->told)
                log_event(LOG_LEVEL_WARNING,
                          LOG_FIELDS(LOG_STRING("service", idle->service->name),
                                     LOG_STRING("error", error < 0 ? err_text(error) : NULL)),
                          "idle_stop does not work for this server: %s", why);
        idle->told = true;
}

/* The only server there is, unless it is being told to end already; or NULL. */
static struct process *server_of(const struct service *service) {
        struct process *process = list_first(&service->program->handoff->processes, struct process, link);

        if (service_server_count(service) != 1 || !process || process->reason != PROCESS_ENDED)
                return NULL;
        return process;
}

static bool is_quiet(struct idle *idle) {
        const struct handoff_setup *setup = &idle->service->program->handoff->setup;
        usec_t start = clock_monotonic();
        int r = sockdiag_ask(&idle->diag, setup->listeners, setup->listener_count);

        idle->cost = clock_monotonic() - start;
        if (r < 0)
                tell(idle, r, "the kernel does not tell whether anybody is connected");
        return r == SOCKDIAG_QUIET;
}

/* The service may listen again when this returns, and IDLE be gone. */
static void stop(struct idle *idle, struct process *process) {
        struct service *service = idle->service;

        process_stop(process, PROCESS_IDLE);
        servicefsm_post(service, SERVICE_EV_IDLE);
}

/* That nobody is connected means nothing where the kernel would not show anybody: idle_check() has warned of that. */
static bool can_see(struct idle *idle) {
        const struct handoff_setup *setup = &idle->service->program->handoff->setup;

        for (size_t i = 0; i < setup->listener_count; i++) {
                int r = sockdiag_check(setup->listeners[i]);

                if (r < 0) {
                        tell(idle, r, "the kernel does not tell who is connected");
                        return false;
                }
        }
        return true;
}

/* The group its main process is in, which is another than that of the process we started where it has told us of a
 * daemon (MAINPID). 0: that one has ended. */
static pid_t group_of(const struct process *process) {
        pid_t group = process_goes_on(process) ? getpgid(process->launched.pid) : 0;

        return MAX_OF(group, 0);
}

static void hold(struct idle *idle) {
        const struct process *process = can_see(idle) ? server_of(idle->service) : NULL;

        idle->group = process ? group_of(process) : 0;
        /* It is not our own group, which one that was only just started may be in yet. */
        if (idle->group == 0 || idle->group == getpgrp()) {
                enter_busy(idle);
                return;
        }
        if (kill(-idle->group, SIGSTOP) < 0) {
                tell(idle, -errno, "its processes cannot be held still");
                enter_busy(idle);
                return;
        }
        idle->phase = IDLE_HOLDING;
        idle->held_at = clock_monotonic();
        idle->step = HOLD_STEP;
        arm(idle, idle->step);
}

static void check_hold(struct idle *idle) {
        int r = group_is_stopped(idle->group);
        struct process *process;

        if (r == 0 && clock_monotonic() - idle->held_at + idle->step * 2 <= HOLD_MAX) {
                idle->step *= 2;
                arm(idle, idle->step);
                return;
        }
        if (r <= 0)
                tell(idle, r, "its processes do not hold still");
        process = r > 0 && is_quiet(idle) ? server_of(idle->service) : NULL;
        /* While it was held another process can have become the main one. */
        if (process && group_of(process) == idle->group)
                stop(idle, process);
        else
                go_on(idle);
}

/* Watched for arrivals before the kernel is asked: who comes in between is seen by one of the two. */
static void look(struct idle *idle) {
        bool quiet = service_watch_ports(idle->service, true) == 0 && is_quiet(idle);

        if (!quiet) {
                enter_busy(idle);
        } else if (idle->phase == IDLE_QUIET) {
                hold(idle);
        } else {
                idle->phase = IDLE_QUIET;
                arm(idle, idle->service->def->idle_stop);
        }
}

static int on_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        struct idle *idle = userdata;

        if (idle->phase == IDLE_HOLDING)
                check_hold(idle);
        else
                look(idle);
        return 0;
}

void idle_on_arrival(struct service *service) {
        go_on(service->idle);
}

void idle_begin(struct service *service) {
        struct idle *idle;
        int r = -ENOMEM;

        idle_end(service);
        if (service->def->idle_stop == USEC_INFINITY)
                return;
        idle = calloc(1, sizeof(*idle));
        if (idle) {
                idle->service = service;
                r = sd_event_add_time_relative(service->manager->event, &idle->timer, CLOCK_MONOTONIC,
                                               interval(service), 1, on_timer, idle);
        }
        if (r < 0) {
                free(idle);
                log_event(LOG_LEVEL_WARNING, LOG_FIELDS(LOG_STRING("service", service->name)),
                          "idle_stop does not work for this server: %s", err_text(r));
                return;
        }
        service->idle = idle;
}

void idle_end(struct service *service) {
        struct idle *idle = service->idle;

        if (!idle)
                return;
        service->idle = NULL;
        let_go(idle);
        service_watch_ports(service, false);
        sd_event_source_disable_unref(idle->timer);
        free(idle);
}

void idle_check(const struct service_def *def, struct port *const *ports, size_t count, struct diag *diag) {
        for (size_t i = 0; i < count && def->wait && def->idle_stop != USEC_INFINITY; i++) {
                AUTO(buf_deinit) struct buf path = BUF_NULL, address = BUF_NULL;
                const struct mark mark = service_def_mark(def, def->places.idle_stop);
                int r = sockdiag_check(ports[i]->fd);

                if (r == 0)
                        continue;
                buf_printf(&path, "services.%s.idle_stop", def->name);
                port_format_bound(ports[i], &address);
                diag_warning(diag, &mark, buf_text(&path),
                             "does not work here, the server will not be stopped: the kernel does not tell who is "
                             "connected to %s: %s",
                             buf_text(&address),
                             r == -EPROTONOSUPPORT ? "it has no connections that could be asked for"
                             : r == -ENOENT        ? "it belongs to another network namespace"
                                                   : err_text(r));
                return;
        }
}
