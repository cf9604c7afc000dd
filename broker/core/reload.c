#include "core/reload.h"

#include "base/err.h"
#include "base/log.h"
#include "conf/confdir.h"
#include "core/access.h"
#include "core/arrival.h"
#include "core/change.h"
#include "core/fdstore.h"
#include "core/idle.h"
#include "core/idleexit.h"
#include "core/servicefsm.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

/* The sockets that nobody wants any more are closed before the others change hands. */
static void release_ports(struct service *service) {
        for (size_t i = 0; i < service->port_count; i++)
                if (!service->ports[i]->stays)
                        lingering_add(service->manager, service->ports[i]);
        free(service->ports);
        service->ports = NULL;
        service->port_count = 0;
}

/* The kernel looks at some options once, when the socket is bound, and has no way back to its own default for
 * others. */
static void apply_options(const struct service *service, struct port *port, const struct listen_def *def) {
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        int r = port_apply(port, def, &why);

        log_event(LOG_LEVEL_WARNING,
                  LOG_FIELDS(LOG_STRING("service", service->name), LOG_STRING("error", r < 0 ? buf_text(&why) : NULL)),
                  "options of its open socket were changed: ipv6_only, free_bind, transparent, pipe_size and "
                  "options that were taken away stay as they were until it is opened anew");
}

static void adopt_port(struct service *service, const struct change *change, struct port *port) {
        const struct listen_def *def = &change->def->listen.items[port->next_listen_index];
        /* Its old definition may be gone already, with the service it belonged to. */
        bool changed = port->stays && port->options_differ;

        port->service = service;
        port->name = def->name;
        port->listen_index = port->next_listen_index;
        /* Whether it is watched is for the state of its new service to say. */
        port_watch(port, false);
        if (changed)
                apply_options(service, port, def);
        port->def = def;
        port->stays = port->opened_up = false;
        strlist_deinit(&port->old_links);
}

static void log_listening(const struct service *service) {
        for (size_t i = 0; i < service->port_count; i++) {
                AUTO(buf_deinit) struct buf address = BUF_NULL;

                port_format_bound(service->ports[i], &address);
                log_event(LOG_LEVEL_INFO,
                          LOG_FIELDS(LOG_STRING("service", service->name), LOG_STRING("address", buf_text(&address)),
                                     LOG_STRING("name", service->ports[i]->name)),
                          "listening");
        }
}

static bool same_rate(const struct rate_limit *a, const struct rate_limit *b) {
        return a->burst == b->burst && a->interval == b->interval;
}

/* Those who are in stay in; what cps has counted goes on counting while it says the same. */
static void take_admission(struct service *service, struct change *change, const struct service_def *old_def) {
        const struct access *old = service->admission.access;

        if (old && change->access && same_rate(&old_def->cps, &service->def->cps)) {
                change->access->rate = old->rate;
                change->access->rate_over_until = old->rate_over_until;
        }
        access_free(service->admission.access);
        service->admission.access = take_ptr(change->access);
        limits_set(&service->admission.limits, service->def->instances);
}

/* Limits, restarts, how it is stopped: nothing that a running program would have to be started again for. */
static void commit_same_program(struct change *change) {
        struct service *service = change->service;
        struct service_def *old_def = service->def;

        for (size_t i = 0; i < service->port_count; i++) {
                struct port *port = service->ports[i];

                port->def = &change->def->listen.items[port->listen_index];
                port->name = port->def->name;
        }
        service->def = take_ptr(change->def);
        if (service->program)
                program_set_policy(service->program, service->def);
        take_admission(service, change, old_def);
        service_def_free(old_def);
        if (service->state == SERVICE_RUNNING && service_current_server(service))
                idle_begin(service);
        /* A place more or one less, another delay, start: boot: what it waits for may be over. */
        if (!service_has_server_state(service))
                servicefsm_post(service, SERVICE_EV_CHANGED);
}

static void commit_change(struct reload *reload, struct change *change) {
        struct service *service = change->service;
        struct service_def *old_def = service->def;

        for (size_t i = 0; i < change->port_count; i++)
                adopt_port(service, change, change->ports[i]);
        service->ports = take_ptr(change->ports);
        service->port_count = change->port_count;
        service_set_program(service, take_ptr(change->program));
        service->def = take_ptr(change->def);
        take_admission(service, change, old_def);
        if (service->def->fd_store == 0)
                service->fdstore = fdstore_free(service->fdstore);
        /* Accepted under the old definition, and no program takes any now: nobody can serve them. */
        if (service->def->wait || service->def->sensor > 0)
                arrival_drop_all(service);
        if (change->is_new)
                manager_add(reload->manager, service);
        else
                service_def_free(old_def);
        log_listening(service);
        if (change->is_new)
                servicefsm_post(service, change_stays_halted(change) ? SERVICE_EV_HALT : SERVICE_EV_OPEN);
        else
                servicefsm_post(service, SERVICE_EV_CHANGED);
}

/* A name that there is no memory for is missing in the report, and nothing else is wrong. */
static void note(struct strlist *names, const char *name) {
        if (strlist_add(names, name) < 0)
                log_warning("reload: no memory for the report on '%s'", name);
}

/* Services of the old set that the new one does not have. */
static void dismiss_missing(struct reload *reload, struct reload_report *report) {
        struct service *service;

        list_for_each(service, &reload->manager->services, link)
                service->wanted = false;
        for (size_t i = 0; i < reload->count; i++)
                reload->changes[i].service->wanted = true;
        list_for_each(service, &reload->manager->services, link) {
                if (service->wanted)
                        continue;
                log_event(LOG_LEVEL_INFO, LOG_FIELDS(LOG_STRING("service", service->name)), "removed");
                if (service->worker == 1)
                        note(&report->removed, service->name);
                release_ports(service);
                manager_dismiss(reload->manager, service);
        }
}

/* From this many sockets on, a copy of the descriptor table for every start costs more than the wait it saves. */
#define MANY_PORTS 100

void reload_choose_table(struct manager *manager) {
        struct service *service;
        size_t ports = 0;

        list_for_each(service, &manager->services, link)
                ports += service->port_count;
        launcher_share_table(manager->launcher, ports > MANY_PORTS);
}

/* Several workers are one service. */
static void count(const struct change *change, struct reload_report *report) {
        if (change->first)
                return;
        if (change->keep)
                report->kept++;
        else
                note(change->is_new ? &report->added : &report->changed, change->name);
}

static void commit(struct reload *reload, struct reload_report *report) {
        struct companion *companion;

        dismiss_missing(reload, report);
        for (size_t i = 0; i < reload->count; i++)
                if (!reload->changes[i].keep && !reload->changes[i].same_program && !reload->changes[i].is_new)
                        release_ports(reload->changes[i].service);
        for (size_t i = 0; i < reload->count; i++) {
                struct change *change = &reload->changes[i];

                count(change, report);
                if (change->keep)
                        service_def_free(change->def);
                else if (change->same_program)
                        commit_same_program(change);
                else
                        commit_change(reload, change);
        }
        reload_choose_table(reload->manager);
        list_for_each(companion, &reload->manager->companions, link)
                companion->commit(companion);
        free(reload->changes);
}

static size_t count_workers(const struct def_set *set) {
        size_t workers = 0;

        for (size_t i = 0; i < set->count; i++)
                workers += service_def_copies(set->services[i]);
        return workers;
}

/* Every worker has a copy of the definition. */
static bool add_workers(struct reload *reload, struct service_def *own_def) {
        struct change *first = &reload->changes[reload->count++];

        *first = (struct change){.def = own_def, .worker = 1};
        snprintf(first->name, sizeof(first->name), "%s", own_def->name);
        for (unsigned worker = 2; worker <= service_def_copies(own_def); worker++) {
                struct change *change = &reload->changes[reload->count++];

                *change = (struct change){.def = service_def_copy(own_def), .worker = worker, .first = first};
                snprintf(change->name, sizeof(change->name), "%s/%u", own_def->name, worker);
                if (!change->def)
                        return false;
        }
        return true;
}

/* Takes the services that are to run out of SET. False when memory ran out. */
static bool take_enabled(struct reload *reload, struct def_set *set) {
        reload->changes = calloc(count_workers(set) + 1, sizeof(*reload->changes));
        if (!reload->changes)
                return false;
        for (size_t i = 0; i < set->count; i++)
                if (set->services[i]->enabled && !add_workers(reload, take_ptr(set->services[i])))
                        return false;
        return true;
}

static void prepare_companions(struct reload *reload, const struct broker_def *def) {
        size_t errors = reload->diag->errors;
        struct companion *companion;

        list_for_each(companion, &reload->manager->companions, link)
                companion->prepare(companion, def, reload->diag);
        if (reload->diag->errors > errors)
                reload->bind_failed = true;
}

static void prepare(struct reload *reload, const struct broker_def *def) {
        struct service *service;

        list_for_each(service, &reload->manager->services, link)
                service->keeps_ports = false;
        for (size_t i = 0; i < reload->count; i++)
                change_classify(reload, &reload->changes[i]);
        for (size_t i = 0; i < reload->count; i++)
                change_prepare(reload, &reload->changes[i]);
        prepare_companions(reload, def);
        for (size_t i = 0; i < reload->count && !diag_has_errors(reload->diag); i++)
                change_begin(reload, &reload->changes[i]);
}

static void discard(struct reload *reload) {
        struct companion *companion;
        struct service *service;

        list_for_each(companion, &reload->manager->companions, link)
                companion->discard(companion);
        for (size_t i = 0; i < reload->count; i++)
                change_discard(&reload->changes[i]);
        list_for_each(service, &reload->manager->services, link)
                for (size_t i = 0; i < service->port_count; i++)
                        port_take_back(service->ports[i]);
        free(reload->changes);
}

/* Workers of one service, with the definition it has. */
static bool take_halted(struct reload *reload, struct service *const *services, size_t count) {
        reload->changes = calloc(count, sizeof(*reload->changes));
        if (!reload->changes)
                return false;
        for (size_t i = 0; i < count; i++) {
                struct change *change = &reload->changes[reload->count++];

                *change = (struct change){
                        .def = service_def_copy(services[i]->def),
                        .worker = services[i]->worker,
                        .first = i > 0 ? &reload->changes[0] : NULL,
                        .service = services[i],
                        .reopens = true,
                };
                snprintf(change->name, sizeof(change->name), "%s", services[i]->name);
                if (!change->def)
                        return false;
        }
        return true;
}

bool reload_reopen(struct manager *manager, struct service *const *services, size_t count, struct diag *diag) {
        struct reload reload = {.manager = manager, .diag = diag};

        if (!take_halted(&reload, services, count))
                diag_error(diag, NULL, NULL, "out of memory");
        for (size_t i = 0; i < reload.count && !diag_has_errors(diag); i++)
                change_prepare(&reload, &reload.changes[i]);
        for (size_t i = 0; i < reload.count && !diag_has_errors(diag); i++)
                change_begin(&reload, &reload.changes[i]);
        if (diag_has_errors(diag)) {
                discard(&reload);
                return false;
        }
        for (size_t i = 0; i < reload.count; i++)
                commit_change(&reload, &reload.changes[i]);
        reload_choose_table(manager);
        free(reload.changes);
        for (size_t i = 0; i < count; i++)
                servicefsm_post(services[i], SERVICE_EV_RESUME);
        return true;
}

enum reload_outcome reload_apply(struct manager *manager, struct def_set *own_set, struct reload_report *ret,
                                 struct diag *diag) {
        struct reload reload = {.manager = manager, .diag = diag};

        if (take_enabled(&reload, own_set)) {
                prepare(&reload, &own_set->broker);
        } else {
                diag_error(diag, NULL, NULL, "out of memory");
                reload.bind_failed = true;
        }
        if (diag_has_errors(diag)) {
                discard(&reload);
                def_set_free(own_set);
                return reload.bind_failed ? RELOAD_FAILED : RELOAD_BAD_DEFINITIONS;
        }
        commit(&reload, ret);
        if (!broker_def_equal(&manager->broker, &own_set->broker))
                note(&ret->changed, RELOAD_BROKER);
        broker_def_deinit(&manager->broker);
        manager->broker = own_set->broker;
        own_set->broker = (struct broker_def){0};
        idleexit_apply(manager);
        def_set_free(own_set);
        malloc_trim(0);
        return RELOAD_DONE;
}

/* To the log, and line by line to REPORT. */
static void tell_diag(const struct diag *diag, struct reload_report *report) {
        enum diag_level level;

        for (size_t i = 0;; i++) {
                AUTO(buf_deinit) struct buf text = BUF_NULL;

                if (!diag_format_entry(diag, i, &text, &level))
                        return;
                log_event(level == DIAG_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, NULL, "%s", buf_text(&text));
                note(&report->messages, buf_text(&text));
        }
}

enum reload_outcome reload_from(struct manager *manager, const struct strlist *paths, struct reload_report *ret) {
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        struct def_set *set = confdir_load(paths, &diag);
        enum reload_outcome outcome = RELOAD_BAD_DEFINITIONS;

        *ret = RELOAD_REPORT_NULL;
        if (set)
                outcome = reload_apply(manager, set, ret, &diag);
        if (outcome == RELOAD_DONE)
                log_set_style(manager->broker.log_format, manager->broker.log_level);
        tell_diag(&diag, ret);
        if (outcome != RELOAD_DONE) {
                manager->reloads_failed++;
                log_error("reload: nothing has changed, the definitions in force stay");
                return outcome;
        }
        manager->reloads_done++;
        log_event(LOG_LEVEL_INFO,
                  LOG_FIELDS(LOG_INTEGER("added", (int64_t)ret->added.count),
                             LOG_INTEGER("changed", (int64_t)ret->changed.count),
                             LOG_INTEGER("removed", (int64_t)ret->removed.count), LOG_INTEGER("kept", ret->kept)),
                  "reloaded");
        return outcome;
}

void reload_report_deinit(struct reload_report *report) {
        strlist_deinit(&report->added);
        strlist_deinit(&report->changed);
        strlist_deinit(&report->removed);
        strlist_deinit(&report->messages);
}

void reload_check(const struct def_set *set, struct diag *diag) {
        struct planmake_base base = PLANMAKE_BASE_NULL;

        if (planmake_base_init(&base) < 0)
                return;
        for (size_t i = 0; i < set->count; i++) {
                const struct service_def *def = set->services[i];
                AUTO(freep) const char **names = calloc(def->listen.count + 1, sizeof(*names));
                const struct planmake_request request = {
                        .base = &base, .def = def, .fd_names = names, .fd_count = def->wait ? def->listen.count : 0};
                struct launch_plan plan = PLAN_NULL;

                for (size_t j = 0; names && j < def->listen.count; j++)
                        names[j] = def->listen.items[j].name;
                if (names && def->enabled && def->sensor == 0)
                        planmake(&request, &plan, diag);
                plan_deinit(&plan);
        }
        planmake_base_deinit(&base);
}
