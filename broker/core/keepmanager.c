/* All of a broker on its way to the next binary (core/keep.h): what services share, and the services. */
#include "base/err.h"
#include "base/fd.h"
#include "core/idle.h"
#include "core/keep.h"
#include "core/orphans.h"
#include "core/reload.h"
#include "core/servicefsm.h"

#include <stdio.h>
#include <string.h>

static void inherit_save(const struct inherit *inherit, struct state_out out) {
        struct state_out list = state_put_list(out, "inherited");

        for (size_t i = 0; i < inherit->count; i++) {
                struct state_out entry = state_add_object(list);

                state_put_fd(entry, "fd", inherit->items[i].fd);
                state_put_text(entry, "name", inherit->items[i].name);
                state_put_flag(entry, "non_blocking", inherit->items[i].non_blocking);
        }
}

static void inherit_restore(struct inherit *inherit, struct state_in in) {
        struct state_in list = state_get_list(in, "inherited");

        if (state_count(list) == 0)
                return;
        inherit->items = calloc(state_count(list), sizeof(*inherit->items));
        for (size_t i = 0; inherit->items && i < state_count(list); i++) {
                struct inherited *item = &inherit->items[inherit->count++];

                item->fd = state_take_fd(state_entry(list, i), "fd");
                item->name = state_get_text(state_entry(list, i), "name");
                item->non_blocking = state_get_flag(state_entry(list, i), "non_blocking");
                if (!item->name)
                        state_reader_fail(in.reader, "an inherited socket has no name");
        }
        if (!inherit->items)
                state_reader_fail(in.reader, "memory ran out");
}

/* What the broker was started with, before it raised it for itself. */
static void nofile_save(const struct planmake_base *base, struct state_out out) {
        state_put_flag(out, "nofile_raised", base->nofile_raised);
        state_put_bytes(out, "nofile", &base->nofile, sizeof(base->nofile));
}

static void nofile_restore(struct planmake_base *base, struct state_in in) {
        struct rlimit limit;

        if (!state_get_flag(in, "nofile_raised") ||
            state_get_bytes(in, "nofile", &limit, sizeof(limit)) != sizeof(limit))
                return;
        base->nofile = limit;
        base->nofile_raised = true;
}

static void waiter_save(const struct waiter *waiter, struct state_out out) {
        state_put_text(out, "service", waiter->service ? waiter->service->name : NULL);
        state_put_usec(out, "late_at", waiter->late_at);
        connection_save(waiter->connection, out);
}

static void waitlist_save(const struct waitlist *list, struct state_out out, const char *key) {
        struct state_out waiting = state_put_list(out, key);
        const struct waiter *waiter;

        list_for_each(waiter, &list->waiting, link)
                waiter_save(waiter, state_add_object(waiting));
}

static void waiter_restore(struct manager *manager, struct waitlist *list, struct state_in in) {
        AUTO(freep) char *name = state_get_text(in, "service");
        struct service *service = name ? manager_find(manager, name) : NULL;
        struct connection *connection;

        if (name && !service) {
                state_reader_fail(in.reader, "a connection waits for service %s, which is not there", name);
                return;
        }
        connection = connection_restore(manager, service, in);
        if (connection && waitlist_add_until(list, service, connection, state_get_usec(in, "late_at")) < 0)
                state_reader_fail(in.reader, "a connection that waits cannot be watched");
}

static void waitlist_restore(struct manager *manager, struct waitlist *list, struct state_in in, const char *key) {
        struct state_in waiting = state_get_list(in, key);

        for (size_t i = 0; i < state_count(waiting); i++)
                waiter_restore(manager, list, state_entry(waiting, i));
}

static void save_group(void *userdata, int pidfd, usec_t until) {
        const struct state_out *list = userdata;
        struct state_out entry = state_add_object(*list);

        state_put_fd(entry, "pidfd", pidfd);
        state_put_usec(entry, "until", until);
}

static void save_groups(struct manager *manager, struct state_out out) {
        struct state_out list = state_put_list(out, "remains");

        remains_each(&manager->host.remains, save_group, &list);
}

static void restore_groups(struct manager *manager, struct state_in in) {
        struct state_in list = state_get_list(in, "remains");

        for (size_t i = 0; i < state_count(list); i++) {
                struct state_in entry = state_entry(list, i);
                int pidfd = state_take_fd(entry, "pidfd");

                if (pidfd >= 0 && remains_restore(&manager->host.remains, pidfd, state_get_usec(entry, "until")) < 0)
                        state_reader_fail(in.reader, "what is left of a process group cannot be watched");
        }
}

static void save_numbers(const struct manager *manager, struct state_out out) {
        state_put_usec(out, "started_at", manager->started_at);
        state_put_integer(out, "reloads_done", (int64_t)manager->reloads_done);
        state_put_integer(out, "reloads_failed", (int64_t)manager->reloads_failed);
        state_put_usec(out, "alive_at", manager->idleexit.since);
}

static void restore_numbers(struct manager *manager, struct state_in in) {
        if (state_has(in, "started_at"))
                manager->started_at = state_get_usec(in, "started_at");
        manager->reloads_done = (uint64_t)state_get_integer(in, "reloads_done", 0);
        manager->reloads_failed = (uint64_t)state_get_integer(in, "reloads_failed", 0);
        if (state_has(in, "alive_at"))
                manager->idleexit.since = state_get_usec(in, "alive_at");
        idleexit_apply(manager);
}

static void companions_save(const struct manager *manager, struct state_out out) {
        struct state_out object = state_put_object(out, "companions");
        const struct companion *companion;

        list_for_each(companion, &manager->companions, link)
                companion->save(companion, state_put_object(object, companion->name));
}

static void companions_restore(struct manager *manager, struct state_in in) {
        struct state_in object = state_get_object(in, "companions");
        struct companion *companion;

        list_for_each(companion, &manager->companions, link)
                companion->restore(companion, state_get_object(object, companion->name));
}

/* Whoever had claimed sockets has lost his connection to us. */
static void end_claims(struct manager *manager) {
        struct service *service;

        list_for_each(service, &manager->services, link)
                if (service->state == SERVICE_CLAIMED)
                        servicefsm_post(service, SERVICE_EV_UNCLAIM);
}

void manager_begin_again(struct manager *manager) {
        end_claims(manager);
        manager_resume_idle(manager);
}

void manager_pause_idle(struct manager *manager) {
        struct service *service;

        list_for_each(service, &manager->services, link)
                idle_end(service);
}

void manager_resume_idle(struct manager *manager) {
        struct service *service;

        list_for_each(service, &manager->services, link)
                if (service->state == SERVICE_RUNNING)
                        idle_begin(service);
}

void manager_save(struct manager *manager, struct state_out out) {
        struct state_out services = state_put_list(out, "services"), leaving = state_put_list(out, "leaving");
        const struct service *service;

        broker_def_save(&manager->broker, state_put_object(out, "broker"));
        save_numbers(manager, out);
        inherit_save(&manager->inherit, out);
        nofile_save(&manager->base, out);
        list_for_each(service, &manager->services, link)
                service_save(service, state_add_object(services));
        list_for_each(service, &manager->leaving, link)
                service_save(service, state_add_object(leaving));
        waitlist_save(&manager->headers, out, "headers");
        waitlist_save(&manager->partings, out, "partings");
        save_groups(manager, out);
        blocklist_save(&manager->blocked, out, "blocked");
        companions_save(manager, out);
        state_put_bytes(out, "log", log_waiting(), log_waiting_size());
}

static void restore_log(const struct manager *manager, struct state_in in) {
        AUTO(buf_deinit) struct buf waiting = BUF_NULL;

        state_get_buf(in, "log", &waiting);
        if (in.reader->trial)
                return;
        log_set_style(manager->broker.log_format, manager->broker.log_level);
        log_continue(buf_text(&waiting), waiting.size);
}

void manager_restore(struct manager *manager, struct state_in in) {
        struct state_in services = state_get_list(in, "services"), leaving = state_get_list(in, "leaving");

        broker_def_restore(&manager->broker, state_get_object(in, "broker"));
        restore_log(manager, in);
        inherit_restore(&manager->inherit, in);
        nofile_restore(&manager->base, in);
        for (size_t i = 0; i < state_count(services) && !state_reader_failed(in.reader); i++)
                service_restore(manager, state_entry(services, i), false);
        for (size_t i = 0; i < state_count(leaving) && !state_reader_failed(in.reader); i++)
                service_restore(manager, state_entry(leaving, i), true);
        if (state_reader_failed(in.reader))
                return;
        waitlist_restore(manager, &manager->headers, in, "headers");
        waitlist_restore(manager, &manager->partings, in, "partings");
        restore_groups(manager, in);
        blocklist_restore(&manager->blocked, in, "blocked");
        restore_numbers(manager, in);
        companions_restore(manager, in);
        reload_choose_table(manager);
        /* A signal that tells of them may have been taken already. */
        orphans_look(manager);
}
