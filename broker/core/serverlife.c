#include "core/serverlife.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/idle.h"
#include "core/manager.h"
#include "core/shortage.h"
#include "core/transitions.h"

#define EXEC_DELAY (5 * USEC_PER_MSEC) /* how often a new server is asked whether it has become its program */

#define SERVICE_FIELD(service) LOG_STRING("service", (service)->name)

/* The server has become the program; whether it is ready it says itself, or that is all that is asked. */
void serverlife_enter_running(struct service *service) {
        servicefsm_leave_state(service);
        servicefsm_set_state(service, SERVICE_RUNNING);
        /* One of an older generation is not started again, so it is not stopped for being idle either. */
        if (service_current_server(service))
                idle_begin(service);
}

static void arm_deadline(struct service *service) {
        usec_t timeout = service->def->start_timeout;

        service->deadline = usec_add(clock_monotonic(), timeout);
        if (timeout != USEC_INFINITY)
                servicefsm_arm_timer(service, timeout);
}

static void enter_starting(struct service *service) {
        servicefsm_leave_state(service);
        arm_deadline(service);
        servicefsm_set_state(service, SERVICE_STARTING);
}

static void start_failed(struct service *service, int error) {
        log_err_site(error);
        service->pause = shortage_is(error) ? PAUSE_SHORTAGE : PAUSE_PROGRAM;
        service->pause_error = error;
        service->pause_stage = CHILD_STAGE_NONE;
}

/* Starts a server, and waits for it to be ready where it says so. */
void serverlife_start(struct service *service) {
        int r;

        if (service->claim) {
                servicefsm_enter_claimed(service);
                return;
        }
        servicefsm_leave_state(service);
        r = service_start_server(service);
        if (r < 0) {
                start_failed(service, r);
                servicefsm_enter_paused(service);
                return;
        }
        service->shortage_delay = 0;
        service->outdated = false;
        if (service->def->ready == READY_NOTIFY)
                enter_starting(service);
        else
                serverlife_enter_running(service);
}

/* Out of time: it is stopped, and its end is what happens next. */
void serverlife_give_up(struct service *service) {
        struct process *process = service_current_server(service);

        service->deadline = USEC_INFINITY;
        if (!process || process->reason != PROCESS_ENDED)
                return;
        log_event(LOG_LEVEL_WARNING, LOG_FIELDS(SERVICE_FIELD(service), LOG_INTEGER("pid", process->launched.pid)),
                  "server was not ready within start_timeout, stopping it");
        process_stop(process, PROCESS_LATE);
}

static void enter_backoff(struct service *service) {
        const struct service_def *def = service->def;

        servicefsm_leave_state(service);
        /* A server that ran for long has earned a fresh start. */
        if (service->restart_delay == 0 || service->last_runtime > def->restart_delay_max)
                service->restart_delay = def->restart_delay;
        service->counters.restarts++;
        log_event(LOG_LEVEL_INFO, LOG_FIELDS(SERVICE_FIELD(service), LOG_DURATION("seconds", service->restart_delay)),
                  "server will be started again");
        servicefsm_arm_timer(service, service->restart_delay);
        service->restart_delay = MIN_OF(service->restart_delay * 2, def->restart_delay_max);
        servicefsm_set_state(service, SERVICE_BACKOFF);
}

static void go_on_after_stop(struct service *service) {
        switch (service->after_stop) {
        case AFTER_STOP_RUN:
                service_prepare_ports(service);
                serverlife_start(service);
                return;
        case AFTER_STOP_LISTEN:
                service_prepare_ports(service);
                servicefsm_enter_listening(service);
                return;
        default:
                servicefsm_enter_open(service);
        }
}

static void enter_stopping(struct service *service, enum after_stop after) {
        servicefsm_leave_state(service);
        service->after_stop = after;
        service_stop_servers(service);
        servicefsm_set_state(service, SERVICE_STOPPING);
        if (service_server_count(service) == 0)
                go_on_after_stop(service);
}

void serverlife_on_resume(struct service *service) {
        enter_stopping(service, AFTER_STOP_OPEN);
}

/* One that had to be stopped has failed, however it took that. */
static bool has_failed(const struct service *service) {
        return service->last_reason == PROCESS_LATE || service->last_reason == PROCESS_SILENT ||
               service->last_reason == PROCESS_OVERRAN || !exitinfo_is_success(&service->last_exit);
}

static bool wants_restart(const struct service *service) {
        const struct service_def *def = service->def;

        if (def->start != START_BOOT || def->restart == RESTART_NO)
                return false;
        return def->restart == RESTART_ALWAYS || has_failed(service) || service->state == SERVICE_STARTING ||
               service->state == SERVICE_REPLACING;
}

void serverlife_on_ended(struct service *service) {
        /* Of an older generation: one that was replaced, or served a connection when this still was wait: no; or this
         * generation's, but one that was to go on is there. */
        if (service->program->handoff->process_count > 0 || service_older_server_count(service) > 0)
                return;
        if (service->def->main) {
                servicefsm_set_state(service, SERVICE_STOPPED);
                manager_on_main_ended(service->manager, exitinfo_shell_status(&service->last_exit));
        } else if (service->claim) {
                /* Neither a pause nor a delay would expect the claim's end. */
                servicefsm_enter_claimed(service);
        } else if (service->last_launch_failed) {
                servicefsm_enter_paused(service);
        } else if (wants_restart(service)) {
                enter_backoff(service);
        } else {
                servicefsm_enter_listening(service);
        }
}

void serverlife_on_ended_while_stopping(struct service *service) {
        if (service_server_count(service) == 0)
                go_on_after_stop(service);
}

static void end_replacement(struct service *service, enum replacement how) {
        service->replacement = how;
        if (how == REPLACEMENT_DONE) {
                service->outdated = false;
                service_stop_older(service);
        } else if (!service->outdated) {
                service_take_back_program(service);
        }
        log_event(how == REPLACEMENT_DONE ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, LOG_FIELDS(SERVICE_FIELD(service)),
                  how == REPLACEMENT_DONE ? "the new server is ready, the old one is told to end"
                                          : "the new server did not become ready, the old one goes on");
        serverlife_enter_running(service);
}

static void wait_for_exec(struct service *service) {
        usec_t now = clock_monotonic();

        servicefsm_arm_timer(service,
                             MIN_OF((usec_t)EXEC_DELAY, service->deadline > now ? service->deadline - now : 0));
}

/* A new server beside the one that runs. */
static void enter_replacing(struct service *service) {
        int r;

        servicefsm_leave_state(service);
        servicefsm_set_state(service, SERVICE_REPLACING);
        r = service_start_server(service);
        if (r < 0) {
                log_event(LOG_LEVEL_ERROR, LOG_FIELDS(SERVICE_FIELD(service)), "cannot start a new server: %s",
                          err_text(r));
                service->replacement_error = r;
                end_replacement(service, REPLACEMENT_FAILED);
                return;
        }
        arm_deadline(service);
        if (service->def->ready == READY_EXEC)
                wait_for_exec(service);
}

static bool has_execed(const struct service *service) {
        const struct process *process = service_current_server(service);

        return process && process->reason == PROCESS_ENDED &&
               launcher_has_execed(service->manager->launcher, &process->launched);
}

void serverlife_on_replacing_timer(struct service *service) {
        if (service->def->ready == READY_EXEC && has_execed(service))
                end_replacement(service, REPLACEMENT_DONE);
        else if (service->def->ready == READY_EXEC && clock_monotonic() < service->deadline)
                wait_for_exec(service);
        else
                serverlife_give_up(service);
}

/* An old one that does not wait for the new one changes nothing: the new one has the sockets, and as much time as
 * before. */
void serverlife_on_ended_while_replacing(struct service *service) {
        if (service_current_server(service))
                return;
        if (service_older_server_count(service) > 0) {
                end_replacement(service, REPLACEMENT_FAILED);
        } else {
                service->replacement = REPLACEMENT_FAILED;
                serverlife_on_ended(service);
        }
}

/* One that has said so and ended since takes nobody's place: its end is what happens next. */
void serverlife_on_replacement_ready(struct service *service) {
        const struct process *process = service_current_server(service);

        if (process && process_goes_on(process))
                end_replacement(service, REPLACEMENT_DONE);
}

void serverlife_on_replace(struct service *service) {
        service->replacement = REPLACEMENT_NONE;
        service->replacement_error = 0;
        enter_replacing(service);
}

/* It took what came, so that trigger_limit has nothing to count. */
void serverlife_on_idle(struct service *service) {
        rate_reset(&service->trigger);
        enter_stopping(service, AFTER_STOP_LISTEN);
}

void serverlife_on_changed(struct service *service) {
        const struct service_def *def = service->def;

        if (def->wait && def->on_change == ON_CHANGE_REPLACE) {
                service->outdated = true;
                serverlife_on_replace(service);
        } else if (def->wait && def->on_change == ON_CHANGE_KEEP) {
                service->outdated = true;
                log_event(LOG_LEVEL_INFO, LOG_FIELDS(SERVICE_FIELD(service)),
                          "its server goes on under the old definition, until it ends or is replaced");
                serverlife_enter_running(service);
        } else {
                enter_stopping(service, AFTER_STOP_OPEN);
        }
}

/* The server that was not ready yet belongs to the definition before. */
void serverlife_on_changed_while_replacing(struct service *service) {
        service->replacement = REPLACEMENT_FAILED;
        service_stop_youngest_older(service);
        serverlife_on_changed(service);
}

void serverlife_on_changed_while_starting(struct service *service) {
        enter_stopping(service, AFTER_STOP_OPEN);
}

void serverlife_on_kill(struct service *service) {
        service_stop_all(service);
        enter_stopping(service, AFTER_STOP_LISTEN);
}

void serverlife_on_restart(struct service *service) {
        service_stop_all(service);
        enter_stopping(service, AFTER_STOP_RUN);
}

/* What it was stopped for is of the definition before. */
void serverlife_on_changed_while_stopping(struct service *service) {
        service->after_stop = AFTER_STOP_OPEN;
}

void serverlife_on_kill_while_stopping(struct service *service) {
        service->after_stop = AFTER_STOP_LISTEN;
}

void serverlife_on_restart_while_stopping(struct service *service) {
        service->after_stop = AFTER_STOP_RUN;
}

void serverlife_extend_start(struct service *service, usec_t usec) {
        usec_t at = usec_add(clock_monotonic(), usec);

        if (service->deadline == USEC_INFINITY || at <= service->deadline)
                return;
        service->deadline = at;
        if (service->state == SERVICE_STARTING || service->def->ready == READY_NOTIFY)
                servicefsm_arm_timer(service, usec);
}
