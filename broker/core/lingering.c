#include "core/lingering.h"

#include "base/clock.h"
#include "core/manager.h"

#define LINGER USEC_PER_SEC /* a round trip, if it is a long one */
#define LOOK_INTERVAL (50 * USEC_PER_MSEC)

struct lingerer {
        struct list link;
        struct port *port; /* owned */
        usec_t until;
};

void lingering_init(struct lingering *lingering) {
        list_init(&lingering->ports);
        lingering->timer = NULL;
}

static void lingerer_free(struct lingerer *lingerer) {
        list_remove(&lingerer->link);
        port_close(lingerer->port);
        free(lingerer);
}

void lingering_deinit(struct lingering *lingering) {
        struct lingerer *lingerer;

        list_for_each(lingerer, &lingering->ports, link)
                lingerer_free(lingerer);
        lingering->timer = sd_event_source_disable_unref(lingering->timer);
}

static int on_timer(sd_event_source *source, uint64_t now UNUSED, void *userdata) {
        struct lingering *lingering = userdata;
        struct lingerer *lingerer;

        list_for_each(lingerer, &lingering->ports, link) {
                port_take_all(lingerer->port);
                if (lingerer->until <= clock_monotonic())
                        lingerer_free(lingerer);
        }
        if (!list_is_empty(&lingering->ports)) {
                sd_event_source_set_time_relative(source, LOOK_INTERVAL);
                sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        }
        return 0;
}

/* Without a timer it would stay for ever. */
static bool arm_timer(struct manager *manager) {
        struct lingering *lingering = &manager->lingering;

        if (!lingering->timer)
                return sd_event_add_time_relative(manager->event, &lingering->timer, CLOCK_MONOTONIC, LOOK_INTERVAL, 0,
                                                  on_timer, lingering) >= 0;
        return sd_event_source_set_time_relative(lingering->timer, LOOK_INTERVAL) >= 0 &&
               sd_event_source_set_enabled(lingering->timer, SD_EVENT_ONESHOT) >= 0;
}

void lingering_add(struct manager *manager, struct port *own_port) {
        struct lingerer *lingerer = port_turn_deaf(own_port) ? calloc(1, sizeof(*lingerer)) : NULL;

        if (!lingerer || !arm_timer(manager)) {
                free(lingerer);
                port_close(own_port);
                return;
        }
        port_take_all(own_port);
        lingerer->port = own_port;
        lingerer->until = clock_monotonic() + LINGER;
        list_append(&manager->lingering.ports, &lingerer->link);
}

bool lingering_is_in_way(const struct lingering *lingering, const struct port_request *request) {
        struct lingerer *lingerer;

        list_for_each(lingerer, (struct list *)&lingering->ports, link)
                if (port_is_in_way(lingerer->port, request))
                        return true;
        return false;
}

void lingering_drop(struct lingering *lingering, const struct service *service) {
        struct lingerer *lingerer;

        list_for_each(lingerer, &lingering->ports, link)
                if (lingerer->port->service == service)
                        lingerer_free(lingerer);
}
