/* Every state is entered by one function, which does the work and sets the state last. A cell of the table that is
 * empty is an impossibility, and asserted; what may happen but needs nothing done is said so by ignore(). */
#include "core/servicefsm.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/arrival.h"
#include "core/manager.h"
#include "core/shortage.h"

#include <assert.h>
#include <errno.h>

/* A shortage is looked at again after this, doubling; sooner when any process of the broker's ends. */
#define SHORTAGE_DELAY (50 * USEC_PER_MSEC)
#define SHORTAGE_DELAY_MAX USEC_PER_SEC

#define LOAD_DELAY USEC_PER_SEC /* max_load is looked at again after this */

const char *const service_state_names[SERVICE_STATE_N] = {
        [SERVICE_STOPPED] = "stopped",    [SERVICE_LISTENING] = "listening", [SERVICE_FULL] = "full",
        [SERVICE_RUNNING] = "running",    [SERVICE_STOPPING] = "stopping",   [SERVICE_PAUSED] = "paused",
        [SERVICE_BACKOFF] = "restarting", [SERVICE_LEAVING] = "leaving",
};

#define SERVICE_FIELD(service) LOG_STRING("service", (service)->name)

static void set_state(struct service *service, enum service_state state) {
        if (service->state == state)
                return;
        log_event(LOG_LEVEL_DEBUG,
                  LOG_FIELDS(SERVICE_FIELD(service), LOG_STRING("from", service_state_names[service->state]),
                             LOG_STRING("to", service_state_names[state])),
                  "state");
        service->state = state;
        service->since = manager_now(service->manager);
}

static int on_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        servicefsm_post(userdata, SERVICE_EV_TIMER);
        return 0;
}

static void arm_timer(struct service *service, usec_t delay) {
        usec_t at = clock_monotonic() + delay;
        int r;

        if (service->timer) {
                sd_event_source_set_time(service->timer, at);
                sd_event_source_set_enabled(service->timer, SD_EVENT_ONESHOT);
                return;
        }
        r = sd_event_add_time(service->manager->event, &service->timer, CLOCK_MONOTONIC, at, 0, on_timer, service);
        if (r < 0)
                log_event(LOG_LEVEL_ERROR, LOG_FIELDS(SERVICE_FIELD(service)), "cannot set a timer: %s", err_text(r));
}

/* Every state begins without a timer, without its ports watched, and without waiting for what ran short. */
static void leave_state(struct service *service) {
        if (service->timer)
                sd_event_source_set_enabled(service->timer, SD_EVENT_OFF);
        list_remove(&service->short_link);
        service_watch_ports(service, false);
        service->pause = PAUSE_NONE;
}

static void enter_full(struct service *service) {
        leave_state(service);
        set_state(service, SERVICE_FULL);
}

static void enter_listening(struct service *service) {
        int r;

        leave_state(service);
        set_state(service, SERVICE_LISTENING);
        /* Those already accepted come first; one of them may find the shortage still there. */
        if (!arrival_resume(service))
                return;
        if (service_accepts(service) && limits_is_full(&service->admission.limits) &&
            service->def->when_full == WHEN_FULL_WAIT) {
                enter_full(service);
                return;
        }
        r = service_watch_ports(service, true);
        if (r < 0)
                servicefsm_pause_for_shortage(service, r);
}

static void log_pause(const struct service *service, usec_t delay) {
        const struct log_field *fields = LOG_FIELDS(SERVICE_FIELD(service), LOG_DURATION("seconds", delay));
        const struct service_def *def = service->def;
        const char *step = service->pause_stage == CHILD_STAGE_NONE ? NULL : child_stage_names[service->pause_stage];

        switch (service->pause) {
        case PAUSE_SHORTAGE:
                if (!manager_may_tell_shortage(service->manager))
                        return;
                if (shortage_is(service->pause_error))
                        log_event(LOG_LEVEL_WARNING, LOG_FIELDS(SERVICE_FIELD(service)),
                                  "paused, clients wait: %s was reached", shortage_text(service->pause_error));
                else
                        log_event(LOG_LEVEL_ERROR, LOG_FIELDS(SERVICE_FIELD(service)),
                                  "paused: its socket cannot be accepted from: %s", err_text(service->pause_error));
                return;
        case PAUSE_TRIGGER:
                log_event(LOG_LEVEL_WARNING, fields,
                          "paused: its server ended without taking what had arrived, and trigger_limit was reached");
                return;
        case PAUSE_RATE:
                log_event(manager_may_tell_of_clients(service->manager) ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, fields,
                          "paused, clients wait: cps was reached");
                return;
        case PAUSE_LOAD:
                log_event(service->load_told ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING, LOG_FIELDS(SERVICE_FIELD(service)),
                          "paused, clients wait: the load average is at max_load");
                return;
        default:
                log_event(LOG_LEVEL_ERROR, fields, "paused, clients wait: cannot start '%s'%s%s: %s%s%s",
                          def->command.items[0], def->root_dir ? " in root_dir " : "",
                          def->root_dir ? def->root_dir : "", step ? step : "", step ? ": " : "",
                          err_text(service->pause_error));
        }
}

static usec_t pause_delay(struct service *service, enum service_pause pause) {
        usec_t delay;

        switch (pause) {
        case PAUSE_SHORTAGE:
                delay = MAX_OF(service->shortage_delay, SHORTAGE_DELAY);
                service->shortage_delay = MIN_OF(delay * 2, SHORTAGE_DELAY_MAX);
                return delay;
        case PAUSE_RATE:
                return service->def->cps_pause;
        case PAUSE_LOAD:
                return LOAD_DELAY;
        default:
                return service->def->restart_delay_max;
        }
}

static void enter_paused(struct service *service) {
        enum service_pause pause = service->pause;
        usec_t delay = pause_delay(service, pause);

        leave_state(service);
        service->pause = pause;
        if (pause == PAUSE_SHORTAGE)
                list_append(&service->manager->short_services, &service->short_link);
        log_pause(service, delay);
        service->load_told = pause == PAUSE_LOAD;
        arm_timer(service, delay);
        set_state(service, SERVICE_PAUSED);
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

static void enter_running(struct service *service) {
        int r;

        leave_state(service);
        r = service_start_server(service);
        if (r == 0) {
                service->shortage_delay = 0;
                set_state(service, SERVICE_RUNNING);
                return;
        }
        log_err_site(r);
        service->pause = shortage_is(r) ? PAUSE_SHORTAGE : PAUSE_PROGRAM;
        service->pause_error = r;
        service->pause_stage = CHILD_STAGE_NONE;
        enter_paused(service);
}

static void enter_backoff(struct service *service) {
        const struct service_def *def = service->def;

        leave_state(service);
        /* A server that ran for long has earned a fresh start. */
        if (service->restart_delay == 0 || service->last_runtime > def->restart_delay_max)
                service->restart_delay = def->restart_delay;
        log_event(LOG_LEVEL_INFO, LOG_FIELDS(SERVICE_FIELD(service), LOG_DURATION("seconds", service->restart_delay)),
                  "server will be started again");
        arm_timer(service, service->restart_delay);
        service->restart_delay = MIN_OF(service->restart_delay * 2, def->restart_delay_max);
        set_state(service, SERVICE_BACKOFF);
}

static void enter_open(struct service *service) {
        service_prepare_ports(service);
        if (service->def->start == START_BOOT)
                enter_running(service);
        else
                enter_listening(service);
}

static void enter_stopping(struct service *service) {
        leave_state(service);
        service_stop_servers(service);
        set_state(service, SERVICE_STOPPING);
}

static void check_gone(struct service *service) {
        if (service_process_count(service) == 0)
                manager_on_service_gone(service->manager, service);
}

static void enter_leaving(struct service *service) {
        leave_state(service);
        arrival_drop_all(service);
        service_close_ports(service);
        /* Who serves a connection may finish it; a server has nothing more to come. */
        service_stop_servers(service);
        set_state(service, SERVICE_LEAVING);
        check_gone(service);
}

static void ignore(struct service *service UNUSED) {
}

static void on_traffic(struct service *service) {
        if (rate_take(&service->trigger, &service->def->trigger_limit, manager_now(service->manager))) {
                enter_running(service);
                return;
        }
        service->pause = PAUSE_TRIGGER;
        service->pause_error = 0;
        rate_reset(&service->trigger);
        enter_paused(service);
}

static bool wants_restart(const struct service *service) {
        const struct service_def *def = service->def;

        if (def->start != START_BOOT || def->restart == RESTART_NO)
                return false;
        return def->restart == RESTART_ALWAYS || !exitinfo_is_success(&service->last_exit);
}

static void on_server_ended(struct service *service) {
        /* Of an older generation: it served a connection when the service still was wait: no. */
        if (service->program->handoff->process_count > 0)
                return;
        if (service->def->main) {
                set_state(service, SERVICE_STOPPED);
                manager_on_main_ended(service->manager, exitinfo_shell_status(&service->last_exit));
        } else if (service->last_launch_failed) {
                enter_paused(service);
        } else if (wants_restart(service)) {
                enter_backoff(service);
        } else {
                enter_listening(service);
        }
}

static void on_connection_ended(struct service *service) {
        service->shortage_delay = 0;
        if (!limits_is_full(&service->admission.limits))
                enter_listening(service);
}

static void on_place(struct service *service) {
        if (!limits_is_full(&service->admission.limits))
                enter_listening(service);
}

static void on_ended_while_listening(struct service *service) {
        service->shortage_delay = 0;
}

/* A process of its own has ended: that may be what was short. */
static void on_ended_while_paused(struct service *service) {
        if (service->pause == PAUSE_SHORTAGE)
                enter_open(service);
}

static void on_ended_while_stopping(struct service *service) {
        if (service_server_count(service) == 0)
                enter_open(service);
}

typedef void transition_fn(struct service *service);

static transition_fn *const transitions[SERVICE_STATE_N][SERVICE_EVENT_N] = {
        [SERVICE_STOPPED] =
                {
                        [SERVICE_EV_OPEN] = enter_open,
                        [SERVICE_EV_ENDED] = ignore,
                        [SERVICE_EV_STOP] = enter_leaving,
                },
        [SERVICE_LISTENING] =
                {
                        [SERVICE_EV_TRAFFIC] = on_traffic,
                        [SERVICE_EV_FULL] = enter_full,
                        [SERVICE_EV_PAUSE] = enter_paused,
                        [SERVICE_EV_ENDED] = on_ended_while_listening,
                        [SERVICE_EV_PLACE] = ignore,
                        [SERVICE_EV_CHANGED] = enter_open,
                        [SERVICE_EV_STOP] = enter_leaving,
                },
        [SERVICE_FULL] =
                {
                        [SERVICE_EV_PAUSE] = enter_paused,
                        [SERVICE_EV_ENDED] = on_connection_ended,
                        [SERVICE_EV_PLACE] = on_place,
                        [SERVICE_EV_CHANGED] = enter_open,
                        [SERVICE_EV_STOP] = enter_leaving,
                },
        [SERVICE_RUNNING] =
                {
                        [SERVICE_EV_ENDED] = on_server_ended,
                        [SERVICE_EV_CHANGED] = enter_stopping,
                        [SERVICE_EV_STOP] = enter_leaving,
                },
        [SERVICE_STOPPING] =
                {
                        [SERVICE_EV_ENDED] = on_ended_while_stopping,
                        [SERVICE_EV_CHANGED] = ignore,
                        [SERVICE_EV_STOP] = enter_leaving,
                },
        [SERVICE_PAUSED] =
                {
                        [SERVICE_EV_PAUSE] = enter_paused,
                        [SERVICE_EV_ENDED] = on_ended_while_paused,
                        [SERVICE_EV_PLACE] = ignore,
                        [SERVICE_EV_ROOM] = enter_open,
                        [SERVICE_EV_TIMER] = enter_open,
                        [SERVICE_EV_CHANGED] = enter_open,
                        [SERVICE_EV_STOP] = enter_leaving,
                },
        [SERVICE_BACKOFF] =
                {
                        [SERVICE_EV_ENDED] = ignore,
                        [SERVICE_EV_TIMER] = enter_running,
                        [SERVICE_EV_CHANGED] = enter_open,
                        [SERVICE_EV_STOP] = enter_leaving,
                },
        [SERVICE_LEAVING] =
                {
                        [SERVICE_EV_ENDED] = check_gone,
                        [SERVICE_EV_STOP] = ignore,
                },
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
