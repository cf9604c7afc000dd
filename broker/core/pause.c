#include "core/pause.h"

#include "base/err.h"
#include "base/log.h"
#include "core/manager.h"
#include "core/shortage.h"

/* A shortage is looked at again after this, doubling; sooner when any process of the broker's ends. */
#define SHORTAGE_DELAY (50 * USEC_PER_MSEC)
#define SHORTAGE_DELAY_MAX USEC_PER_SEC

#define LOAD_DELAY USEC_PER_SEC /* max_load is looked at again after this */

#define SERVICE_FIELD(service) LOG_STRING("service", (service)->name)

void pause_log(const struct service *service, usec_t delay) {
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

usec_t pause_next_delay(struct service *service, enum service_pause pause) {
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
