#include "core/health.h"

#include "base/err.h"
#include "core/servicefsm.h"
#include "core/shortage.h"

#include <stdio.h>

bool health_is_failing(const struct service *service, struct buf *why) {
        const struct program *program = service->program;
        int error = 0;

        if (!program || !handoff_is_failing(program->handoff, &error) || shortage_is(error))
                return false;
        if (error < 0)
                buf_printf(why, "its program cannot be started: %s", err_text(error));
        else
                buf_printf(why, "its %s started",
                           program->pool ? "workers end as soon as they are" : "server ends as soon as it is");
        return true;
}

/* start: boot. One that was stopped for being idle is started again by whoever comes. */
static bool lacks_server(const struct service *service) {
        const struct program *program = service->program;

        if (service->def->start != START_BOOT || service->state == SERVICE_CLAIMED)
                return false;
        if (service->state == SERVICE_HALTED || service->state == SERVICE_STOPPED)
                return true;
        if (service_accepts(service))
                return program && program->relay && program->handoff->process_count == 0 &&
                       service->def->idle_stop == USEC_INFINITY;
        return service->state != SERVICE_RUNNING && service->state != SERVICE_REPLACING &&
               !(service->state == SERVICE_LISTENING && service->last_reason == PROCESS_IDLE);
}

/* Shortages and limits are not a reason: clients wait, and it is for a load balancer to see how many. */
static bool service_is_ready(const struct service *service, struct buf *why) {
        AUTO(buf_deinit) struct buf how = BUF_NULL;
        bool has_pool = service->program && service->program->pool;

        if (service->state == SERVICE_PAUSED && service->pause == PAUSE_PROGRAM)
                buf_printf(&how, "its program cannot be started: %s", err_text(service->pause_error));
        else if (!health_is_failing(service, &how) && !lacks_server(service))
                return true;
        else if (how.size == 0)
                buf_printf(&how, "its %s not run: %s", has_pool ? "workers do" : "server does",
                           service_state_names[service->state]);
        buf_printf(why, "%s: %s\n", service->name, buf_text(&how));
        return false;
}

bool health_is_ready(struct manager *manager, struct buf *why) {
        const struct service *service;
        bool ready = !manager->draining;

        if (!ready)
                buf_add_string(why, "draining: no new connections, waiting for what runs\n");
        list_for_each(service, &manager->services, link)
                if (!service_is_ready(service, why))
                        ready = false;
        if (ready)
                buf_add_string(why, "ok\n");
        return ready;
}

void health_say_line(struct manager *manager, struct buf *out) {
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        char line[HEALTH_LINE_MAX];
        bool ready = health_is_ready(manager, &why);
        size_t size = 0;

        snprintf(line, sizeof(line) - 1, "%s%s", ready ? "" : "failed: ", buf_text(&why));
        for (const char *at = line; *at != '\0'; at++)
                size = (size_t)(at - line) + (*at != '\n');
        for (size_t i = 0; i < size; i++)
                if (line[i] == '\n')
                        line[i] = ';';
        buf_add(out, line, size);
        buf_add_char(out, '\n');
}
