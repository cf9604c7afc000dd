#include "core/claim.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/manager.h"
#include "core/servicefsm.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool is_worker_of(const struct service *service, const char *name) {
        return strcmp(service->def->name, name) == 0;
}

/* The broker's own user, and root, can do anything to it anyway. */
static bool may_always(uid_t uid) {
        return uid == 0 || uid == geteuid();
}

static bool may_claim(const struct service_def *def, uid_t uid) {
        for (size_t i = 0; def->claim && i < def->claim->names.count; i++)
                if (def->claim->ids[i] == uid)
                        return true;
        return may_always(uid);
}

bool claim_is_open_to_others(const struct manager *manager) {
        const struct service *service;

        list_for_each(service, &manager->services, link)
                if (service->def->claim)
                        return true;
        return false;
}

bool claim_may_any(const struct manager *manager, uid_t uid) {
        const struct service *service;

        list_for_each(service, &manager->services, link)
                if (may_claim(service->def, uid))
                        return true;
        return false;
}

static void tell_refusal(struct service *service, const struct claim_request *request) {
        service->counters.claims_refused++;
        if (!manager_may_tell_of_clients(service->manager))
                return;
        log_event(LOG_LEVEL_WARNING,
                  LOG_FIELDS(LOG_STRING("service", service->name), LOG_INTEGER("uid", request->uid),
                             LOG_INTEGER("pid", request->pid)),
                  "claim refused");
}

static bool has_sockets(const struct service *service) {
        return service->port_count > 0 && service->state != SERVICE_STOPPED && service->state != SERVICE_HALTED;
}

/* What keeps anybody from having it now. */
static enum claim_outcome find_obstacle(const struct service *first, struct buf *why) {
        const struct service *service;

        if (first->claim) {
                buf_printf(why, "service '%s' is claimed already, by pid %d of uid %u", first->name, first->claim->pid,
                           first->claim->uid);
                return CLAIM_BUSY;
        }
        list_for_each(service, &first->manager->services, link) {
                if (!is_worker_of(service, first->name) || has_sockets(service))
                        continue;
                buf_printf(why,
                           first->def->listen.count == 0 ? "service '%s' has no sockets"
                                                         : "service '%s' has been stopped",
                           first->name);
                return CLAIM_STOPPED;
        }
        return CLAIM_DONE;
}

static enum claim_outcome look_up(struct manager *manager, const struct claim_request *request, struct service **ret,
                                  struct buf *why) {
        struct service *first = manager_find(manager, request->service);

        /* NAME/2 is no service of its own. */
        if (first && !is_worker_of(first, request->service))
                first = NULL;
        if (first && may_claim(first->def, request->uid)) {
                *ret = first;
                return find_obstacle(first, why);
        }
        if (first)
                tell_refusal(first, request);
        /* Strangers do not learn what services there are. */
        if (first || !may_always(request->uid)) {
                buf_printf(why, "uid %u may not claim a service '%s'", request->uid, request->service);
                return CLAIM_REFUSED;
        }
        buf_printf(why, "there is no service '%s'", request->service);
        return CLAIM_UNKNOWN;
}

/* As a server of the service would get them. Where there is one they are as it has made them: a server that waits for
 * several at once would be held by one that blocks. */
static void prepare_ports(struct service *service) {
        const struct service_def *def = service->def;
        bool alone = service_server_count(service) == 0;

        for (size_t i = 0; i < service->port_count; i++) {
                struct port *port = service->ports[i];

                port->shared = true;
                if (!alone)
                        continue;
                fd_set_nonblock(port->fd, def->wait && def->non_blocking);
                listen_rewind(&port->addr, port->fd);
        }
}

void claim_join(struct service *service) {
        const struct service *first = manager_find(service->manager, service->def->name);

        if (!first || first == service || !first->claim)
                return;
        service->claim = first->claim;
        service->claim->services++;
        log_event(LOG_LEVEL_WARNING, LOG_FIELDS(LOG_STRING("service", service->name)),
                  "the service is claimed: who connects to its new worker waits until the claim is over");
}

static struct claim *claim_free(struct claim *claim) {
        if (claim)
                free(claim->name);
        free(claim);
        return NULL;
}

static struct claim *claim_new(struct manager *manager, const struct claim_request *request) {
        struct claim *claim = malloc(sizeof(*claim));

        if (!claim)
                return NULL;
        *claim = (struct claim){
                .manager = manager,
                .name = strdup(request->service),
                .uid = request->uid,
                .pid = request->pid,
                .since = manager_now(manager),
                .ended = request->ended,
                .userdata = request->userdata,
        };
        return claim->name ? claim : claim_free(claim);
}

enum claim_outcome claim_begin(struct manager *manager, const struct claim_request *request, struct claim **ret,
                               struct buf *why) {
        struct service *first, *service;
        enum claim_outcome outcome = look_up(manager, request, &first, why);
        struct claim *claim;

        if (outcome != CLAIM_DONE)
                return outcome;
        claim = claim_new(manager, request);
        if (!claim) {
                buf_add_string(why, "out of memory");
                return CLAIM_FAILED;
        }
        list_for_each(service, &manager->services, link) {
                if (!is_worker_of(service, claim->name))
                        continue;
                service->claim = claim;
                claim->services++;
                servicefsm_post(service, SERVICE_EV_CLAIM);
                prepare_ports(service);
        }
        log_event(LOG_LEVEL_INFO,
                  LOG_FIELDS(LOG_STRING("service", claim->name), LOG_INTEGER("uid", claim->uid),
                             LOG_INTEGER("pid", claim->pid)),
                  "claimed");
        *ret = claim;
        return CLAIM_DONE;
}

struct claim *claim_end(struct claim *claim) {
        struct service *service;

        if (!claim)
                return NULL;
        if (claim->services > 0)
                log_event(LOG_LEVEL_INFO,
                          LOG_FIELDS(LOG_STRING("service", claim->name), LOG_INTEGER("pid", claim->pid),
                                     LOG_DURATION("duration", manager_now(claim->manager) - claim->since)),
                          "given back");
        list_for_each(service, &claim->manager->services, link) {
                if (service->claim != claim)
                        continue;
                service->claim = NULL;
                servicefsm_post(service, SERVICE_EV_UNCLAIM);
        }
        return claim_free(claim);
}

int claim_each_socket(const struct claim *claim, int (*each)(void *userdata, int fd, const char *name),
                      void *userdata) {
        const struct service *service;
        int r = 0;

        list_for_each(service, &claim->manager->services, link)
                for (size_t i = 0; service->claim == claim && i < service->port_count && r >= 0; i++)
                        r = each(userdata, service->ports[i]->fd, service->ports[i]->name);
        return r < 0 ? r : 0;
}

void claim_forget(struct service *service) {
        struct claim *claim = take_ptr(service->claim);

        if (!claim || --claim->services > 0)
                return;
        log_event(LOG_LEVEL_WARNING, LOG_FIELDS(LOG_STRING("service", claim->name), LOG_INTEGER("pid", claim->pid)),
                  "the claim is over: the sockets are closed");
        claim->ended(claim->userdata);
}
