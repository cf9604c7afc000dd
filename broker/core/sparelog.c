#include "core/sparelog.h"

#include "base/err.h"
#include "base/log.h"
#include "core/program.h"
#include "core/service.h"
#include "core/shortage.h"
#include "proc/spare.h"

/* Nobody has noticed yet; what is wrong with the program may be why. */
void sparelog_ended(void *userdata, struct handoff *handoff UNUSED, const struct process_end *end) {
        const struct program *program = userdata;
        char status[EXITINFO_TEXT_MAX];

        exitinfo_format(&end->exit, status);
        log_event(LOG_LEVEL_WARNING,
                  LOG_FIELDS(LOG_STRING("service", program->service->name), LOG_INTEGER("pid", end->pid),
                             LOG_STRING("status", status),
                             LOG_STRING("failed", end->launch_failed ? child_stage_names[end->failure.stage] : NULL),
                             LOG_STRING("error", end->launch_failed ? err_text(end->failure.error) : NULL)),
                  end->reason == PROCESS_STOPPED ? "a spare process was stopped by a signal, and has been killed"
                                                 : "a spare process ended before it had a connection");
}

/* A shortage is nothing that connections would suffer from. */
void sparelog_failed(void *userdata, struct handoff *handoff UNUSED, int error) {
        const struct program *program = userdata;

        log_event(shortage_is(error) ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING,
                  LOG_FIELDS(LOG_STRING("service", program->service->name)), "cannot make a spare process: %s",
                  spare_error_text(error));
}
