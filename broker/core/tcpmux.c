#include "core/tcpmux.h"

#include "base/log.h"
#include "core/arrival.h"
#include "core/banner.h"
#include "core/manager.h"

#include <strings.h>
#include <sys/socket.h>

static bool can_be_asked_for(const struct service *service) {
        return service->def->tcpmux != TCPMUX_NO && service_accepts(service) && service->program &&
               service->state != SERVICE_HALTED && service->state != SERVICE_CLAIMED;
}

/* As it is written, or else in whatever case (RFC 1078). */
static struct service *find(struct manager *manager, const char *name) {
        struct service *service = manager_find(manager, name);

        if (service && can_be_asked_for(service))
                return service;
        list_for_each(service, &manager->services, link)
                if (can_be_asked_for(service) && strcasecmp(service->name, name) == 0)
                        return service;
        return NULL;
}

void tcpmux_list(struct manager *manager, struct buf *out) {
        const struct service *service;

        list_for_each(service, &manager->services, link)
                if (can_be_asked_for(service))
                        buf_printf(out, "%s\r\n", service->name);
}

/* Who asks by name has no queue to wait in until the program is there. Limits say no for themselves, and who finds a
 * shortage is kept. */
static bool has_program(struct service *service) {
        if (service->state != SERVICE_PAUSED && admission_holds_back(service) == REFUSAL_NONE)
                arrival_may_begin(service);
        return service->state != SERVICE_PAUSED || service->pause != PAUSE_PROGRAM;
}

static void send_away(struct service *service, struct connection *own_connection) {
        refusal_note(service, own_connection, REFUSAL_NAME);
        banner_say(own_connection, "-Service not available\r\n");
        banner_part(service->manager, own_connection);
}

void tcpmux_forward(struct service *service, struct connection *own_connection, const char *name) {
        struct service *other = find(service->manager, name);
        char peer[CONNECTION_PEER_MAX];

        limits_return(&service->admission.limits, own_connection);
        if (!other || !has_program(other)) {
                send_away(service, own_connection);
                return;
        }
        if (log_is_enabled(LOG_LEVEL_INFO)) {
                connection_format_peer(own_connection, peer);
                log_event(LOG_LEVEL_INFO,
                          LOG_FIELDS(LOG_STRING("service", service->name), LOG_STRING("peer", peer),
                                     LOG_STRING("to", other->name)),
                          "connection goes to the service that was asked for");
        }
        arrival_forward(other, own_connection);
}
