#include "core/admission.h"

#include "base/log.h"
#include "core/access.h"
#include "core/manager.h"
#include "net/connection.h"

/* What counts as one source. */
static void find_source(const struct service_def *def, const struct connection *connection, struct prefix *ret) {
        connection_source(connection, ret);
        if (ret->family == AF_INET)
                prefix_mask(ret, (unsigned)def->source_prefix.ipv4);
        else if (ret->family == AF_INET6)
                prefix_mask(ret, (unsigned)def->source_prefix.ipv6);
}

static bool has_id(const struct peer_ids_def *list, uint32_t id) {
        for (size_t i = 0; list && i < list->names.count; i++)
                if (list->ids[i] == id)
                        return true;
        return false;
}

bool admission_knows_user(const struct service *service, const struct connection *connection) {
        const struct service_def *def = service->def;

        if (connection->peer.sa.sa_family != AF_UNIX || (!def->uid && !def->gid))
                return true;
        return has_id(def->uid, connection->cred.uid) ||
               (def->gid && connection_peer_has_group(connection, def->gid->ids, def->gid->names.count));
}

static bool speaks_over_unix(const struct connection *connection) {
        return connection->proxied && connection->proxy.sa.sa_family == AF_UNIX;
}

static bool is_time(const struct service *service) {
        const struct day_ranges *times = &service->def->access_times;

        return times->count == 0 || dayranges_contain(times, manager_minute_of_day(service->manager));
}

enum refusal admission_check(struct service *service, const struct connection *connection) {
        const struct service_def *def = service->def;
        struct manager *manager = service->manager;
        struct prefix address;

        if (manager->blocked.count > 0 && def->sensor == 0) {
                connection_source(connection, &address);
                if (blocklist_has(&manager->blocked, &address, manager_now(manager)))
                        return REFUSAL_SENSOR;
        }
        if (!access_allows(service->admission.access, &connection->peer))
                return REFUSAL_ADDRESS;
        /* A proxy was asked before it was believed; whom it speaks for has no credentials of his own. */
        if (!speaks_over_unix(connection) && !admission_knows_user(service, connection))
                return REFUSAL_IDENTITY;
        return is_time(service) ? REFUSAL_NONE : REFUSAL_TIME;
}

/* Whether this one goes beyond cps. Where clients wait, the service has paused before it came to that, or is about
 * to. */
static bool rate_is_over(struct service *service) {
        struct access *access = service->admission.access;
        const struct service_def *def = service->def;
        usec_t now = manager_now(service->manager);

        if (def->cps.burst == 0)
                return false;
        if (def->when_full == WHEN_FULL_WAIT) {
                bucket_take(&access->rate, &def->cps, now);
                return false;
        }
        if (now < access->rate_over_until)
                return true;
        if (bucket_take(&access->rate, &def->cps, now))
                return false;
        access->rate_over_until = now + def->cps_pause;
        return true;
}

static bool load_is_over(struct service *service) {
        const struct service_def *def = service->def;

        return def->max_load > 0 && manager_load(service->manager) >= def->max_load;
}

static enum refusal find_limit(struct service *service, struct connection *connection) {
        if (service->def->when_full == WHEN_FULL_REFUSE && load_is_over(service))
                return REFUSAL_LOAD;
        if (!limits_take_place(&service->admission.limits, connection))
                return REFUSAL_INSTANCES;
        /* Last, so that only those who are let in are counted. */
        return rate_is_over(service) ? REFUSAL_RATE : REFUSAL_NONE;
}

int admission_take(struct service *service, struct connection *connection, enum refusal *ret) {
        struct admission *admission = &service->admission;
        const struct service_def *def = service->def;
        uint32_t limit = access_source_limit(admission->access, &connection->peer, def->per_source.limit);
        int r = SOURCE_OK;

        if (limit != COUNT_UNLIMITED) {
                struct prefix source;

                find_source(def, connection, &source);
                r = limits_take_ticket(&admission->limits, connection, &source, limit);
                if (r < 0)
                        return r;
        }
        *ret = r == SOURCE_FULL ? REFUSAL_SOURCE : find_limit(service, connection);
        if (*ret != REFUSAL_NONE)
                limits_return(&admission->limits, connection);
        return 0;
}

enum refusal admission_take_datagram(struct service *service) {
        if (service->def->when_full == WHEN_FULL_REFUSE && load_is_over(service))
                return REFUSAL_LOAD;
        return rate_is_over(service) ? REFUSAL_RATE : REFUSAL_NONE;
}

enum refusal admission_holds_back(struct service *service) {
        const struct service_def *def = service->def;

        if (def->when_full != WHEN_FULL_WAIT)
                return REFUSAL_NONE;
        if (load_is_over(service))
                return REFUSAL_LOAD;
        if (def->cps.burst == 0 ||
            bucket_has_room(&service->admission.access->rate, &def->cps, manager_now(service->manager)))
                return REFUSAL_NONE;
        return REFUSAL_RATE;
}

int admission_touch_sensor(struct service *service, const struct connection *connection) {
        struct manager *manager = service->manager;
        const struct service_def *def = service->def;
        char peer[CONNECTION_PEER_MAX];
        struct prefix source;
        int r;

        find_source(def, connection, &source);
        r = blocklist_add(&manager->blocked, &source,
                          def->sensor == USEC_INFINITY ? USEC_INFINITY : manager_now(manager) + def->sensor);
        if (r <= 0 || !manager_may_tell_of_clients(manager))
                return r < 0 ? r : 0;
        connection_format_peer(connection, peer);
        log_event(LOG_LEVEL_WARNING,
                  LOG_FIELDS(LOG_STRING("service", service->name), LOG_STRING("peer", peer),
                             LOG_DURATION("seconds", def->sensor)),
                  "sensor touched: refused everywhere from now on");
        return 0;
}
