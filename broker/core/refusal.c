#include "core/refusal.h"

#include "base/err.h"
#include "base/log.h"
#include "core/banner.h"
#include "core/manager.h"

#include <errno.h>
#include <sys/socket.h>

/* Refusals are logged when they begin, then once in this time with their number. */
#define TELL_INTERVAL (10 * USEC_PER_SEC)

const char *const refusal_names[REFUSAL_N] = {
        [REFUSAL_HEADER] = "proxy_protocol", [REFUSAL_SENSOR] = "sensor",     [REFUSAL_ADDRESS] = "only_from",
        [REFUSAL_IDENTITY] = "uid",          [REFUSAL_TIME] = "access_times", [REFUSAL_SOURCE] = "per_source",
        [REFUSAL_LOAD] = "max_load",         [REFUSAL_RATE] = "cps",          [REFUSAL_INSTANCES] = "instances",
        [REFUSAL_PUBLIC] = "udp_public",     [REFUSAL_PORT] = "source_port",  [REFUSAL_NAME] = "tcpmux",
};

struct refusals *refusals_free(struct refusals *refusals) {
        if (!refusals)
                return NULL;
        sd_event_source_disable_unref(refusals->timer);
        free(refusals);
        return NULL;
}

static uint64_t refusals_total(const struct refusals *refusals) {
        uint64_t total = 0;

        for (size_t i = 0; i < REFUSAL_N; i++)
                total += refusals->counts[i];
        return total;
}

static int on_timer(sd_event_source *source, uint64_t now UNUSED, void *userdata) {
        struct service *service = userdata;
        struct refusals *refusals = service->refusals;
        uint64_t total = refusals_total(refusals);
        struct log_field fields[REFUSAL_N + 3];
        size_t n = 0;

        if (total == refusals->told)
                return 0;
        fields[n++] = LOG_STRING("service", service->name);
        fields[n++] = LOG_INTEGER("refused", (int64_t)(total - refusals->told));
        for (size_t i = 0; i < REFUSAL_N; i++)
                if (refusals->counts[i] > 0)
                        fields[n++] = LOG_INTEGER(refusal_names[i], (int64_t)refusals->counts[i]);
        fields[n] = (struct log_field){.key = NULL};
        log_event(LOG_LEVEL_WARNING, fields, "connections were refused in the last 10 seconds");
        refusals->told = total;
        sd_event_source_set_time_relative(source, TELL_INTERVAL);
        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
}

static void arm_timer(struct service *service) {
        struct refusals *refusals = service->refusals;

        if (!refusals->timer) {
                sd_event_add_time_relative(service->manager->event, &refusals->timer, CLOCK_MONOTONIC, TELL_INTERVAL, 0,
                                           on_timer, service);
                return;
        }
        sd_event_source_set_time_relative(refusals->timer, TELL_INTERVAL);
        sd_event_source_set_enabled(refusals->timer, SD_EVENT_ONESHOT);
}

void refusals_resume(struct service *service) {
        if (refusals_total(service->refusals) > service->refusals->told)
                arm_timer(service);
}

/* The first one is told at once; those of the next ten seconds together. */
static void tell(struct service *service, const struct connection *connection, enum refusal reason) {
        struct refusals *refusals = service->refusals;
        char peer[CONNECTION_PEER_MAX], proxy[CONNECTION_PEER_MAX];
        int enabled = SD_EVENT_OFF;

        if (refusals->timer)
                sd_event_source_get_enabled(refusals->timer, &enabled);
        if (enabled != SD_EVENT_OFF)
                return;
        log_event(LOG_LEVEL_WARNING,
                  LOG_FIELDS(LOG_STRING("service", service->name),
                             LOG_STRING("peer", connection_format_peer(connection, peer)),
                             LOG_STRING("proxy", connection_format_proxy(connection, proxy)),
                             LOG_STRING("limit", refusal_names[reason])),
                  connection->fd < 0 ? "datagram refused" : "connection refused");
        refusals->told = refusals_total(refusals);
        arm_timer(service);
}

void refusal_note(struct service *service, const struct connection *connection, enum refusal reason) {
        if (!service->refusals)
                service->refusals = calloc(1, sizeof(*service->refusals));
        /* Without memory it is refused all the same. */
        if (!service->refusals)
                return;
        service->refusals->counts[reason]++;
        tell(service, connection, reason);
}

/* Who has asked for the service by name is told so in the same way (RFC 1078). */
static bool say_no(const struct connection *connection) {
        return connection->muxed && banner_say(connection, "-Service refused\r\n");
}

void refusal_end(struct service *service, struct connection *own_connection, enum refusal reason) {
        const struct service_def *def = service->def;
        const struct linger reset = {.l_onoff = 1};
        bool said = false;

        refusal_note(service, own_connection, reason);
        if (def->refuse_with == REFUSE_WITH_RESET) {
                setsockopt(own_connection->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        } else if (reason != REFUSAL_HEADER) {
                said = say_no(own_connection);
                said = banner_send(own_connection, def->banner) || said;
                said = banner_send(own_connection, def->banner_fail) || said;
        }
        if (said) {
                banner_part(service->manager, own_connection);
                return;
        }
        connection_close(own_connection);
        manager_return_connection(service->manager, own_connection);
}
