#include "core/manager.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/arrival.h"
#include "core/banner.h"
#include "core/claim.h"
#include "core/command.h"
#include "core/datagram.h"
#include "core/orphans.h"
#include "core/servicefsm.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>

#define IDLE_CONNECTIONS_MAX 256
#define DRAIN_MARGIN (50 * USEC_PER_MSEC) /* for what takes a moment to end */
#define SWEEP_DELAY (100 * USEC_PER_MSEC)

/* Flapping at a limit is one event, not thousands. */
static const struct rate_limit shortage_tell_limit = {.burst = 1, .interval = 5 * USEC_PER_SEC};
/* What clients can bring about, as often as they like. */
static const struct rate_limit client_tell_limit = {.burst = 20, .interval = 10 * USEC_PER_SEC};

int manager_init(struct manager *manager, enum launch_mode mode, struct inherit *own_inherit) {
        int r;

        *manager = (struct manager){.inherit = *own_inherit, .null_fd = -EBADF, .started_at = clock_wall()};
        for (size_t i = 0; i < SPARE_FDS; i++)
                manager->spare_fds[i] = -EBADF;
        *own_inherit = INHERIT_NULL;
        list_init(&manager->services);
        list_init(&manager->leaving);
        list_init(&manager->companions);
        list_init(&manager->short_services);
        list_init(&manager->buried);
        list_init(&manager->commands);
        list_init(&manager->idle_connections);
        blocklist_init(&manager->blocked);
        arrival_headers_init(&manager->headers);
        banner_partings_init(&manager->partings);
        lingering_init(&manager->lingering);
        manager->surroundings = SURROUNDINGS_NULL;
        manager->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (manager->null_fd < 0)
                return err_raise(-errno);
        manager_take_spares(manager);
        r = planmake_base_init(&manager->base);
        if (r == 0)
                r = launcher_new(mode, &manager->launcher);
        if (r == 0)
                r = sd_event_new(&manager->event);
        if (r < 0)
                return err_raise(r);
        manager->headers.event = manager->partings.event = manager->event;
        process_host_init(&manager->host, manager->event, manager->launcher, manager->null_fd);
        return orphans_watch(manager);
}

static void free_services(struct manager *manager, struct list *services) {
        struct service *service;

        list_for_each(service, services, link) {
                service_abandon(service);
                if (services == &manager->services)
                        HASH_DEL(manager->by_name, service);
                service_free(service);
        }
}

void manager_deinit(struct manager *manager) {
        struct connection *connection;

        if (!manager->services.next)
                return;
        free_services(manager, &manager->services);
        free_services(manager, &manager->leaving);
        lingering_deinit(&manager->lingering);
        waitlist_deinit(&manager->headers);
        waitlist_deinit(&manager->partings);
        blocklist_deinit(&manager->blocked);
        list_for_each(connection, &manager->idle_connections, link)
                free(connection);
        process_host_deinit(&manager->host);
        /* What a child still reads is left to the end of us both. */
        program_sweep(&manager->buried, manager->launcher);
        commands_deinit(manager);
        manager->sweep_timer = sd_event_source_disable_unref(manager->sweep_timer);
        manager->drain_timer = sd_event_source_disable_unref(manager->drain_timer);
        manager->log_drain = sd_event_source_disable_unref(manager->log_drain);
        idleexit_deinit(manager);
        manager->datagram_ports = datagram_ports_free(manager->datagram_ports);
        manager->sigchld = sd_event_source_disable_unref(manager->sigchld);
        manager->orphan_timer = sd_event_source_disable_unref(manager->orphan_timer);
        manager->launcher = launcher_free(manager->launcher);
        manager->event = sd_event_unref(manager->event);
        planmake_base_deinit(&manager->base);
        broker_def_deinit(&manager->broker);
        inherit_deinit(&manager->inherit);
        broker_def_deinit(&manager->broker);
        manager_lend_spares(manager);
        manager->null_fd = fd_close(manager->null_fd);
}

static int on_log_writable(sd_event_source *source, int fd UNUSED, uint32_t events UNUSED, void *userdata UNUSED) {
        if (log_flush() == 0)
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return 0;
}

/* Log lines are written when nothing else is to be done. What a slow reader leaves waits until he takes more. */
static void flush_log(struct manager *manager) {
        if (log_flush() == 0)
                return;
        if (!manager->log_drain)
                sd_event_add_io(manager->event, &manager->log_drain, log_fd(), EPOLLOUT, on_log_writable, NULL);
        else
                sd_event_source_set_enabled(manager->log_drain, SD_EVENT_ON);
}

int manager_run(struct manager *manager) {
        int r;

        for (;;) {
                r = sd_event_prepare(manager->event);
                if (r == 0) {
                        flush_log(manager);
                        r = sd_event_wait(manager->event, USEC_INFINITY);
                }
                if (r > 0)
                        r = sd_event_dispatch(manager->event);
                if (sd_event_get_state(manager->event) == SD_EVENT_FINISHED)
                        return manager->exit_status;
                if (r < 0)
                        return err_raise(r);
        }
}

static void check_drained(struct manager *manager) {
        if (manager->draining && list_is_empty(&manager->services) && list_is_empty(&manager->leaving))
                sd_event_exit(manager->event, 0);
}

/* Relayed connections are ended by us alone, so that this is their end, and no process is left behind with them. */
static bool cut_connections(struct manager *manager) {
        struct service *service;
        bool any = false;

        list_for_each(service, &manager->leaving, link)
                any = service_cut_connections(service) || any;
        return any;
}

/* The time that processes which were told to end still have: some asked for more, some were told under an older
 * definition. */
static usec_t last_kill_time(const struct manager *manager) {
        const struct process *process;
        usec_t last = 0;

        list_for_each(process, &manager->host.running, host_link)
                if (process_kill_time(process) != USEC_INFINITY)
                        last = MAX_OF(last, process_kill_time(process));
        return last;
}

static int on_drain_timer(sd_event_source *source, uint64_t now UNUSED, void *userdata) {
        struct manager *manager = userdata;
        usec_t last = last_kill_time(manager);
        struct process *process;
        size_t left = 0;

        if (last > clock_monotonic()) {
                sd_event_source_set_time(source, usec_add(last, DRAIN_MARGIN));
                sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
                return 0;
        }
        if (cut_connections(manager)) {
                sd_event_source_set_time_relative(source, DRAIN_MARGIN);
                sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
                return 0;
        }
        list_for_each(process, &manager->host.running, host_link) {
                left++;
                if (process->reason == PROCESS_ENDED)
                        process_stop(process, PROCESS_STOPPED);
                else
                        process_kill(process, SIGKILL);
        }
        log_event(LOG_LEVEL_WARNING, LOG_FIELDS(LOG_INTEGER("processes", (int64_t)left)),
                  "stop_grace_period is over, leaving them behind");
        sd_event_exit(manager->event, 0);
        return 0;
}

void manager_drain(struct manager *manager, int status) {
        struct service *service;
        usec_t grace = 0;

        if (manager->draining)
                return;
        manager->draining = true;
        manager->exit_status = status;
        if (manager->on_drain)
                manager->on_drain(manager->on_drain_userdata);
        list_for_each(service, &manager->services, link)
                grace = MAX_OF(grace, service->def->stop_grace_period);
        list_for_each(service, &manager->leaving, link)
                grace = MAX_OF(grace, service->def->stop_grace_period);
        list_for_each(service, &manager->services, link)
                manager_dismiss(manager, service);
        check_drained(manager);
        if (grace != USEC_INFINITY)
                sd_event_add_time_relative(manager->event, &manager->drain_timer, CLOCK_MONOTONIC, grace + DRAIN_MARGIN,
                                           0, on_drain_timer, manager);
}

void manager_kill(struct manager *manager) {
        struct process *process;

        list_for_each(process, &manager->host.running, host_link)
                process_kill(process, SIGKILL);
        if (manager->exit_status == 0)
                manager->exit_status = 1;
        sd_event_exit(manager->event, 0);
}

struct service *manager_find(struct manager *manager, const char *name) {
        struct service *service;

        HASH_FIND_STR(manager->by_name, name, service);
        return service;
}

void manager_add(struct manager *manager, struct service *service) {
        list_append(&manager->services, &service->link);
        HASH_ADD_KEYPTR(hh, manager->by_name, service->name, strlen(service->name), service);
        manager->service_count += service->worker == 1;
        claim_join(service);
}

void manager_dismiss(struct manager *manager, struct service *service) {
        list_remove(&service->link);
        HASH_DEL(manager->by_name, service);
        manager->service_count -= service->worker == 1;
        list_append(&manager->leaving, &service->link);
        servicefsm_post(service, SERVICE_EV_STOP);
}

void manager_on_service_gone(struct manager *manager, struct service *own_service) {
        service_free(own_service);
        check_drained(manager);
}

void manager_on_main_ended(struct manager *manager, int status) {
        log_event(LOG_LEVEL_INFO, LOG_FIELDS(LOG_INTEGER("status", status)), "the main service has ended");
        manager_drain(manager, status);
}

void manager_on_freed(struct manager *manager) {
        struct list waiting;
        struct service *service;

        idleexit_on_process_end(manager);
        if (list_is_empty(&manager->short_services))
                return;
        /* Out of the list first: who finds it still short goes back in. */
        waiting = manager->short_services;
        waiting.next->prev = waiting.prev->next = &waiting;
        list_init(&manager->short_services);
        while ((service = list_first(&waiting, struct service, short_link))) {
                list_remove(&service->short_link);
                servicefsm_post(service, SERVICE_EV_ROOM);
        }
}

static void arm_sweep(struct manager *manager);

static int on_sweep_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        struct manager *manager = userdata;

        if (program_sweep(&manager->buried, manager->launcher))
                arm_sweep(manager);
        return 0;
}

static void arm_sweep(struct manager *manager) {
        if (manager->sweep_timer) {
                sd_event_source_set_time_relative(manager->sweep_timer, SWEEP_DELAY);
                sd_event_source_set_enabled(manager->sweep_timer, SD_EVENT_ONESHOT);
                return;
        }
        sd_event_add_time_relative(manager->event, &manager->sweep_timer, CLOCK_MONOTONIC, SWEEP_DELAY, 0,
                                   on_sweep_timer, manager);
}

void manager_bury(struct manager *manager, struct program *own_program) {
        list_append(&manager->buried, &own_program->link);
        if (program_sweep(&manager->buried, manager->launcher))
                arm_sweep(manager);
}

bool manager_may_tell_shortage(struct manager *manager) {
        return rate_take(&manager->shortage_told, &shortage_tell_limit, manager_now(manager));
}

bool manager_may_tell_of_clients(struct manager *manager) {
        return rate_take(&manager->clients_told, &client_tell_limit, manager_now(manager));
}

uint32_t manager_load(struct manager *manager) {
        return surroundings_load(&manager->surroundings, manager_now(manager));
}

unsigned manager_minute_of_day(struct manager *manager) {
        return surroundings_minute(&manager->surroundings);
}

void manager_lend_spares(struct manager *manager) {
        for (size_t i = 0; i < SPARE_FDS; i++)
                manager->spare_fds[i] = fd_close(manager->spare_fds[i]);
}

void manager_take_spares(struct manager *manager) {
        for (size_t i = 0; i < SPARE_FDS; i++)
                if (manager->spare_fds[i] < 0)
                        manager->spare_fds[i] = fcntl(manager->null_fd, F_DUPFD_CLOEXEC, 3);
}

usec_t manager_now(struct manager *manager) {
        uint64_t now;

        /* Before the first iteration there is none. */
        if (sd_event_now(manager->event, CLOCK_MONOTONIC, &now) < 0)
                return clock_monotonic();
        return now;
}

struct connection *manager_take_connection(struct manager *manager) {
        struct connection *connection = list_first(&manager->idle_connections, struct connection, link);

        if (connection) {
                list_remove(&connection->link);
                manager->idle_connection_count--;
        } else {
                connection = malloc(sizeof(*connection));
                if (!connection)
                        return NULL;
                list_init(&connection->link);
        }
        connection->fd = -EBADF;
        connection->local_known = connection->proxied = connection->placed = connection->muxed = false;
        connection->ticket = NULL;
        return connection;
}

void manager_return_connection(struct manager *manager, struct connection *own_connection) {
        if (!own_connection)
                return;
        assert(own_connection->fd < 0);
        idleexit_on_end(manager);
        if (manager->idle_connection_count >= IDLE_CONNECTIONS_MAX) {
                free(own_connection);
                return;
        }
        list_append(&manager->idle_connections, &own_connection->link);
        manager->idle_connection_count++;
}
