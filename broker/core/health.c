#include "core/health.h"

#include "base/err.h"
#include "core/servicefsm.h"

#include <stdio.h>

/* Shortages and limits are not a reason: clients wait, and it is for a load balancer to see how many. */
static bool service_is_ready(const struct service *service, struct buf *why) {
        if (service->state == SERVICE_PAUSED && service->pause == PAUSE_PROGRAM) {
                buf_printf(why, "%s: its program cannot be started: %s\n", service->name,
                           err_text(service->pause_error));
                return false;
        }
        if (service->def->start == START_BOOT && service->state != SERVICE_RUNNING &&
            service->state != SERVICE_REPLACING && service->state != SERVICE_CLAIMED) {
                buf_printf(why, "%s: its server does not run: %s\n", service->name,
                           service_state_names[service->state]);
                return false;
        }
        return true;
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
