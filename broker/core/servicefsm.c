/* Every state is entered by one function, which does the work and sets the state last. A cell of the table that is
 * empty is an impossibility, and asserted; what may happen but needs nothing done is said so by ignore(). */
#include "core/servicefsm.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/arrival.h"
#include "core/command.h"
#include "core/fdstore.h"
#include "core/idle.h"
#include "core/manager.h"
#include "core/pause.h"
#include "core/serverlife.h"
#include "core/transitions.h"

#include <assert.h>
#include <errno.h>

const char *const service_pause_names[SERVICE_PAUSE_N] = {
        [PAUSE_NONE] = "none",       [PAUSE_SHORTAGE] = "shortage", [PAUSE_TRIGGER] = "trigger_limit",
        [PAUSE_PROGRAM] = "program", [PAUSE_RATE] = "cps",          [PAUSE_LOAD] = "max_load",
};

const char *const service_state_names[SERVICE_STATE_N] = {
        [SERVICE_STOPPED] = "bound",     [SERVICE_LISTENING] = "listening", [SERVICE_FULL] = "full",
        [SERVICE_STARTING] = "starting", [SERVICE_RUNNING] = "running",     [SERVICE_REPLACING] = "replacing",
        [SERVICE_STOPPING] = "stopping", [SERVICE_PAUSED] = "paused",       [SERVICE_BACKOFF] = "restarting",
        [SERVICE_CLAIMED] = "claimed",   [SERVICE_HALTED] = "stopped",      [SERVICE_LEAVING] = "leaving",
};

#define SERVICE_FIELD(service) LOG_STRING("service", (service)->name)

void servicefsm_set_state(struct service *service, enum service_state state) {
        if (service->state == state)
                return;
        log_event(LOG_LEVEL_DEBUG,
                  LOG_FIELDS(SERVICE_FIELD(service), LOG_STRING("from", service_state_names[service->state]),
                             LOG_STRING("to", service_state_names[state])),
                  "state");
        service->state = state;
        service->since = manager_now(service->manager);
        command_poke(service->manager);
}

static int on_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        servicefsm_post(userdata, SERVICE_EV_TIMER);
        return 0;
}

static void arm_timer_at(struct service *service, usec_t at) {
        int r;

        if (service->timer) {
                sd_event_source_set_time(service->timer, at);
                sd_event_source_set_enabled(service->timer, SD_EVENT_ONESHOT);
                return;
        }
        r = sd_event_add_time(service->manager->event, &service->timer, CLOCK_MONOTONIC, at, USEC_PER_MSEC, on_timer,
                              service);
        if (r < 0)
                log_event(LOG_LEVEL_ERROR, LOG_FIELDS(SERVICE_FIELD(service)), "cannot set a timer: %s", err_text(r));
}

void servicefsm_arm_timer(struct service *service, usec_t delay) {
        arm_timer_at(service, usec_add(clock_monotonic(), delay));
}

/* Every state begins without a timer, without its ports watched, and without waiting for what ran short. */
void servicefsm_leave_state(struct service *service) {
        if (service->timer)
                sd_event_source_set_enabled(service->timer, SD_EVENT_OFF);
        list_remove(&service->short_link);
        service_watch_ports(service, false);
        idle_end(service);
        service->pause = PAUSE_NONE;
        service->deadline = USEC_INFINITY;
}

void servicefsm_enter_claimed(struct service *service) {
        servicefsm_leave_state(service);
        servicefsm_set_state(service, SERVICE_CLAIMED);
}

static void enter_full(struct service *service) {
        servicefsm_leave_state(service);
        service_watch_datagrams(service);
        servicefsm_set_state(service, SERVICE_FULL);
}

/* Where a full queue is the rule rather than the exception, who waits in the backlog takes the place at once: watching
 * the socket for that would cost more than the rest. With several sockets the loop sees to it that none is
 * forgotten. */
static void take_next(struct service *service) {
        if (service->port_count == 1 && service->program && service->program->pool && arrival_may_begin(service))
                port_take_all(service->ports[0]);
}

void servicefsm_enter_listening(struct service *service) {
        bool was_full = service->state == SERVICE_FULL;
        int r;

        if (service->claim) {
                servicefsm_enter_claimed(service);
                return;
        }
        servicefsm_leave_state(service);
        servicefsm_set_state(service, SERVICE_LISTENING);
        /* Those already accepted come first; one of them may find the shortage still there. */
        if (!arrival_resume(service))
                return;
        if (service_is_full(service)) {
                enter_full(service);
                return;
        }
        if (was_full)
                take_next(service);
        if (service->state != SERVICE_LISTENING)
                return;
        r = service_watch_ports(service, true);
        if (r < 0)
                servicefsm_pause_for_shortage(service, r);
}

void servicefsm_enter_paused(struct service *service) {
        enum service_pause pause = service->pause;
        usec_t delay = pause_next_delay(service, pause);

        servicefsm_leave_state(service);
        service->pause = pause;
        if (pause == PAUSE_SHORTAGE)
                list_append(&service->manager->short_services, &service->short_link);
        pause_log(service, delay);
        service->load_told = pause == PAUSE_LOAD;
        servicefsm_arm_timer(service, delay);
        servicefsm_set_state(service, SERVICE_PAUSED);
}

static void pause_for(struct service *service, enum service_pause pause, int error) {
        service->pause = pause;
        service->pause_error = error;
        service->pause_stage = CHILD_STAGE_NONE;
        servicefsm_post(service, SERVICE_EV_PAUSE);
}

void servicefsm_pause_for_shortage(struct service *service, int error) {
        pause_for(service, PAUSE_SHORTAGE, error);
}

void servicefsm_pause_for_program(struct service *service, int error) {
        pause_for(service, PAUSE_PROGRAM, error);
}

void servicefsm_pause_for_limit(struct service *service, enum refusal limit) {
        pause_for(service, limit == REFUSAL_LOAD ? PAUSE_LOAD : PAUSE_RATE, 0);
}

void servicefsm_enter_open(struct service *service) {
        service_prepare_ports(service);
        if (service->def->start == START_BOOT && !service_accepts(service)) {
                serverlife_start(service);
                return;
        }
        if (service->def->start == START_BOOT && !service->claim)
                handoff_boot(service->program->handoff);
        servicefsm_enter_listening(service);
}

static void check_gone(struct service *service) {
        if (!service_is_busy(service))
                manager_on_service_gone(service->manager, service);
}

static void enter_leaving(struct service *service) {
        servicefsm_leave_state(service);
        arrival_drop_all(service);
        service_close_ports(service);
        /* Who serves a connection may finish it; a server has nothing more to come. */
        service_stop_servers(service);
        service_retire(service);
        servicefsm_set_state(service, SERVICE_LEAVING);
        check_gone(service);
}

static void ignore(struct service *service UNUSED) {
}

static void on_traffic(struct service *service) {
        if (rate_take(&service->trigger, &service->def->trigger_limit, manager_now(service->manager))) {
                serverlife_start(service);
                return;
        }
        service->pause = PAUSE_TRIGGER;
        service->pause_error = 0;
        rate_reset(&service->trigger);
        servicefsm_enter_paused(service);
}

/* Programs that serve connections; no server has the sockets. */
static void on_restart_without_server(struct service *service) {
        service_restart_all(service);
        service->after_stop = AFTER_STOP_OPEN;
        servicefsm_enter_open(service);
}

/* What a server has stored is for the next start of a service that goes on, not for one that was stopped. */
static void forget_stored(struct service *service) {
        service->fdstore = fdstore_free(service->fdstore);
}

static void enter_halted(struct service *service) {
        servicefsm_leave_state(service);
        forget_stored(service);
        arrival_drop_all(service);
        service_close_ports(service);
        service_stop_all(service);
        servicefsm_set_state(service, SERVICE_HALTED);
}

static void on_connection_ended(struct service *service) {
        service->shortage_delay = 0;
        if (!service_is_full(service))
                servicefsm_enter_listening(service);
}

static void on_place(struct service *service) {
        if (!service_is_full(service))
                servicefsm_enter_listening(service);
}

static void on_ended_while_listening(struct service *service) {
        service->shortage_delay = 0;
}

/* A process of its own has ended: that may be what was short. */
static void on_ended_while_paused(struct service *service) {
        if (service->pause == PAUSE_SHORTAGE)
                servicefsm_enter_open(service);
}

typedef void transition_fn(struct service *service);

static transition_fn *const when_bound[SERVICE_EVENT_N] = {
        [SERVICE_EV_OPEN] = servicefsm_enter_open,
        [SERVICE_EV_ENDED] = ignore,
        [SERVICE_EV_STOP] = enter_leaving,
        /* A new worker of a service that was stopped. */
        [SERVICE_EV_HALT] = enter_halted,
};

static transition_fn *const when_listening[SERVICE_EVENT_N] = {
        [SERVICE_EV_TRAFFIC] = on_traffic,
        [SERVICE_EV_FULL] = enter_full,
        [SERVICE_EV_PAUSE] = servicefsm_enter_paused,
        [SERVICE_EV_ENDED] = on_ended_while_listening,
        [SERVICE_EV_PLACE] = ignore,
        [SERVICE_EV_CHANGED] = servicefsm_enter_open,
        [SERVICE_EV_STOP] = enter_leaving,
        [SERVICE_EV_RESTART] = on_restart_without_server,
        [SERVICE_EV_KILL] = service_stop_all,
        [SERVICE_EV_HALT] = enter_halted,
        [SERVICE_EV_CLAIM] = servicefsm_enter_claimed,
};

static transition_fn *const when_full[SERVICE_EVENT_N] = {
        [SERVICE_EV_PAUSE] = servicefsm_enter_paused,
        [SERVICE_EV_ENDED] = on_connection_ended,
        [SERVICE_EV_PLACE] = on_place,
        [SERVICE_EV_CHANGED] = servicefsm_enter_open,
        [SERVICE_EV_STOP] = enter_leaving,
        [SERVICE_EV_RESTART] = on_restart_without_server,
        [SERVICE_EV_KILL] = service_stop_all,
        [SERVICE_EV_HALT] = enter_halted,
        [SERVICE_EV_CLAIM] = servicefsm_enter_claimed,
};

static transition_fn *const when_starting[SERVICE_EVENT_N] = {
        [SERVICE_EV_ENDED] = serverlife_on_ended,
        [SERVICE_EV_TIMER] = serverlife_give_up,
        [SERVICE_EV_CHANGED] = serverlife_on_changed_while_starting,
        [SERVICE_EV_STOP] = enter_leaving,
        [SERVICE_EV_READY] = serverlife_enter_running,
        [SERVICE_EV_RESTART] = serverlife_on_restart,
        [SERVICE_EV_KILL] = serverlife_on_kill,
        [SERVICE_EV_HALT] = enter_halted,
        [SERVICE_EV_CLAIM] = ignore,
        [SERVICE_EV_UNCLAIM] = ignore,
};

static transition_fn *const when_running[SERVICE_EVENT_N] = {
        [SERVICE_EV_ENDED] = serverlife_on_ended,
        [SERVICE_EV_CHANGED] = serverlife_on_changed,
        [SERVICE_EV_STOP] = enter_leaving,
        [SERVICE_EV_READY] = ignore,
        [SERVICE_EV_IDLE] = serverlife_on_idle,
        [SERVICE_EV_REPLACE] = serverlife_on_replace,
        [SERVICE_EV_RESTART] = serverlife_on_restart,
        [SERVICE_EV_KILL] = serverlife_on_kill,
        [SERVICE_EV_HALT] = enter_halted,
        [SERVICE_EV_CLAIM] = ignore,
        [SERVICE_EV_UNCLAIM] = ignore,
};

static transition_fn *const when_replacing[SERVICE_EVENT_N] = {
        [SERVICE_EV_ENDED] = serverlife_on_ended_while_replacing,
        [SERVICE_EV_TIMER] = serverlife_on_replacing_timer,
        [SERVICE_EV_CHANGED] = serverlife_on_changed_while_replacing,
        [SERVICE_EV_STOP] = enter_leaving,
        [SERVICE_EV_READY] = serverlife_on_replacement_ready,
        [SERVICE_EV_RESTART] = serverlife_on_restart,
        [SERVICE_EV_KILL] = serverlife_on_kill,
        [SERVICE_EV_HALT] = enter_halted,
        [SERVICE_EV_CLAIM] = ignore,
        [SERVICE_EV_UNCLAIM] = ignore,
};

static transition_fn *const when_stopping[SERVICE_EVENT_N] = {
        [SERVICE_EV_ENDED] = serverlife_on_ended_while_stopping,
        [SERVICE_EV_CHANGED] = serverlife_on_changed_while_stopping,
        [SERVICE_EV_STOP] = enter_leaving,
        [SERVICE_EV_READY] = ignore,
        [SERVICE_EV_RESTART] = serverlife_on_restart_while_stopping,
        [SERVICE_EV_KILL] = serverlife_on_kill_while_stopping,
        [SERVICE_EV_HALT] = enter_halted,
        [SERVICE_EV_CLAIM] = ignore,
        [SERVICE_EV_UNCLAIM] = ignore,
};

static transition_fn *const when_paused[SERVICE_EVENT_N] = {
        [SERVICE_EV_PAUSE] = servicefsm_enter_paused,
        [SERVICE_EV_ENDED] = on_ended_while_paused,
        [SERVICE_EV_PLACE] = ignore,
        [SERVICE_EV_ROOM] = servicefsm_enter_open,
        [SERVICE_EV_TIMER] = servicefsm_enter_open,
        [SERVICE_EV_CHANGED] = servicefsm_enter_open,
        [SERVICE_EV_STOP] = enter_leaving,
        [SERVICE_EV_RESTART] = on_restart_without_server,
        [SERVICE_EV_KILL] = service_stop_all,
        [SERVICE_EV_HALT] = enter_halted,
        [SERVICE_EV_CLAIM] = servicefsm_enter_claimed,
};

static transition_fn *const when_restarting[SERVICE_EVENT_N] = {
        [SERVICE_EV_ENDED] = ignore,
        [SERVICE_EV_TIMER] = serverlife_start,
        [SERVICE_EV_CHANGED] = servicefsm_enter_open,
        [SERVICE_EV_STOP] = enter_leaving,
        [SERVICE_EV_RESTART] = serverlife_start,
        [SERVICE_EV_KILL] = servicefsm_enter_listening,
        [SERVICE_EV_HALT] = enter_halted,
        [SERVICE_EV_CLAIM] = servicefsm_enter_claimed,
};

static transition_fn *const when_claimed[SERVICE_EVENT_N] = {
        [SERVICE_EV_PAUSE] = ignore,
        [SERVICE_EV_ENDED] = ignore,
        [SERVICE_EV_PLACE] = ignore,
        [SERVICE_EV_CHANGED] = ignore,
        [SERVICE_EV_STOP] = enter_leaving,
        [SERVICE_EV_RESTART] = service_stop_all,
        [SERVICE_EV_KILL] = service_stop_all,
        [SERVICE_EV_HALT] = enter_halted,
        [SERVICE_EV_UNCLAIM] = servicefsm_enter_open,
};

static transition_fn *const when_stopped[SERVICE_EVENT_N] = {
        [SERVICE_EV_ENDED] = forget_stored,         [SERVICE_EV_CHANGED] = ignore,
        [SERVICE_EV_STOP] = enter_leaving,          [SERVICE_EV_READY] = ignore,
        [SERVICE_EV_KILL] = service_stop_all,       [SERVICE_EV_HALT] = ignore,
        [SERVICE_EV_RESUME] = serverlife_on_resume, [SERVICE_EV_UNCLAIM] = ignore,
};

static transition_fn *const when_leaving[SERVICE_EVENT_N] = {
        [SERVICE_EV_ENDED] = check_gone,
        [SERVICE_EV_STOP] = ignore,
        [SERVICE_EV_READY] = ignore,
        [SERVICE_EV_UNCLAIM] = ignore,
};

static transition_fn *const *const transitions[SERVICE_STATE_N] = {
        [SERVICE_STOPPED] = when_bound,     [SERVICE_LISTENING] = when_listening, [SERVICE_FULL] = when_full,
        [SERVICE_STARTING] = when_starting, [SERVICE_RUNNING] = when_running,     [SERVICE_REPLACING] = when_replacing,
        [SERVICE_STOPPING] = when_stopping, [SERVICE_PAUSED] = when_paused,       [SERVICE_BACKOFF] = when_restarting,
        [SERVICE_CLAIMED] = when_claimed,   [SERVICE_HALTED] = when_stopped,      [SERVICE_LEAVING] = when_leaving,
};

void servicefsm_post(struct service *service, enum service_event event) {
        transition_fn *transition = transitions[service->state][event];

        assert(transition);
        transition(service);
}

const void *servicefsm_cell(enum service_state state, enum service_event event) {
        return (const void *)transitions[state][event];
}

void servicefsm_on_ended(struct service *service, const struct process_end *end, bool current) {
        /* Its program could not be executed: the next one would not fare better at once. */
        if (end->launch_failed && current && end->reason == PROCESS_ENDED) {
                service->pause = PAUSE_PROGRAM;
                service->pause_error = -end->failure.error;
                service->pause_stage = end->failure.stage;
                if (service->state == SERVICE_LISTENING || service->state == SERVICE_FULL) {
                        servicefsm_post(service, SERVICE_EV_PAUSE);
                        return;
                }
        }
        servicefsm_post(service, SERVICE_EV_ENDED);
}

int servicefsm_restore(struct service *service, usec_t timer_at) {
        if (service->state == SERVICE_PAUSED && service->pause == PAUSE_SHORTAGE)
                list_append(&service->manager->short_services, &service->short_link);
        if (timer_at != USEC_INFINITY)
                arm_timer_at(service, timer_at);
        if (service->state == SERVICE_FULL)
                service_watch_datagrams(service);
        return service->state == SERVICE_LISTENING ? service_watch_ports(service, true) : 0;
}
