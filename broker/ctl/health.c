#include "ctl/health.h"

#include "base/err.h"
#include "core/servicefsm.h"

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
