/* org.sockbroker.Manager: what can be asked of the broker as a whole, and orders. */
#include "base/nearest.h"
#include "ctl/buspeer.h"
#include "ctl/report.h"
#include "ctl/upgrade.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

int bus_no_service(const struct manager *manager, const char *name, sd_bus_error *error) {
        AUTO(freep) const char **names = calloc(manager->service_count + 1, sizeof(*names));
        const struct service *service;
        const char *nearest = NULL;
        size_t count = 0;

        list_for_each(service, &manager->services, link)
                if (names && service->worker == 1 && count < manager->service_count)
                        names[count++] = service->name;
        if (names)
                nearest = nearest_name(name, names, count);
        if (nearest)
                return sd_bus_error_setf(error, BUS_ERROR_NO_SERVICE, "there is no service '%s'; did you mean '%s'?",
                                         name, nearest);
        return sd_bus_error_setf(error, BUS_ERROR_NO_SERVICE, "there is no service '%s'", name);
}

/* Those that are leaving as well: their processes still run. */
static int append_services(sd_bus_message *reply, const struct list *services) {
        const struct service *service;
        int r = 0;

        list_for_each(service, services, link) {
                if (r >= 0)
                        r = bus_service_append(reply, service, false);
        }
        return r;
}

static int on_list_services(sd_bus_message *call, void *userdata, sd_bus_error *error UNUSED) {
        const struct bus_peer *peer = userdata;
        sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        if (r >= 0)
                r = append_services(reply, &peer->bus->setup.manager->services);
        if (r >= 0)
                r = append_services(reply, &peer->bus->setup.manager->leaving);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r;
}

/* A worker by its own name, or the service with all its workers, which follow each other. */
static int append_workers(sd_bus_message *reply, const struct manager *manager, const struct service *first) {
        const struct list *at = &first->link;
        int r;

        do {
                const struct service *service = list_entry(at, struct service, link);

                if (service != first && (first->worker != 1 || strcmp(service->def->name, first->def->name) != 0))
                        return 0;
                r = bus_service_append(reply, service, true);
                at = at->next;
        } while (r >= 0 && at != &manager->services);
        return r;
}

static int on_get_service(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const struct bus_peer *peer = userdata;
        struct manager *manager = peer->bus->setup.manager;
        sd_bus_message *reply = NULL;
        const struct service *service;
        const char *name;
        int r = sd_bus_message_read(call, "s", &name);

        if (r < 0)
                return r;
        service = manager_find(manager, name);
        if (!service)
                return bus_no_service(manager, name, error);
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        if (r >= 0)
                r = append_workers(reply, manager, service);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r;
}

/* Methods are called as the orders are, but for their first letter. */
static int on_order(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const char *member = sd_bus_message_get_member(call);

        for (unsigned i = 0; i < COMMAND_N; i++)
                if (strcasecmp(member, command_verb_names[i]) == 0)
                        return bus_order_give(userdata, call, i, error);
        return -EINVAL;
}

static int fail_reload(enum reload_outcome outcome, const struct reload_report *report, sd_bus_error *error) {
        const char *name = outcome == RELOAD_BAD_DEFINITIONS ? BUS_ERROR_DEFINITIONS : BUS_ERROR_FAILED;
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        for (size_t i = 0; i < report->messages.count; i++) {
                buf_add_string(&text, i > 0 ? "\n" : "");
                buf_add_valid(&text, report->messages.items[i]);
        }
        return sd_bus_error_set(error, name, buf_text(&text));
}

static int append_report(sd_bus_message *reply, const struct reload_report *report) {
        int r = bus_append_texts(reply, &report->added);

        if (r >= 0)
                r = bus_append_texts(reply, &report->changed);
        if (r >= 0)
                r = bus_append_texts(reply, &report->removed);
        if (r >= 0)
                r = sd_bus_message_append(reply, "u", report->kept);
        return r < 0 ? r : bus_append_texts(reply, &report->messages);
}

static int on_reload(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        AUTO(reload_report_deinit) struct reload_report report = RELOAD_REPORT_NULL;
        const struct bus *bus = ((const struct bus_peer *)userdata)->bus;
        sd_bus_message *reply = NULL;
        enum reload_outcome outcome;
        int r;

        if (bus->setup.manager->draining)
                return sd_bus_error_set(error, BUS_ERROR_REFUSED, "the broker is about to end");
        outcome = report_reload(bus->setup.manager, bus->setup.paths, &report);
        if (outcome != RELOAD_DONE)
                return fail_reload(outcome, &report, error);
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = append_report(reply, &report);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r;
}

static int on_upgrade(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return bus_upgrade_begin(userdata, call, error);
}

static const struct bus *bus_of(void *userdata) {
        return ((const struct bus_peer *)userdata)->bus;
}

static int get_version(sd_bus *connection UNUSED, const char *path UNUSED, const char *interface UNUSED,
                       const char *property UNUSED, sd_bus_message *reply, void *userdata, sd_bus_error *error UNUSED) {
        return sd_bus_message_append(reply, "s", bus_of(userdata)->setup.version);
}

static int get_pid(sd_bus *connection UNUSED, const char *path UNUSED, const char *interface UNUSED,
                   const char *property UNUSED, sd_bus_message *reply, void *userdata UNUSED,
                   sd_bus_error *error UNUSED) {
        return sd_bus_message_append(reply, "u", (uint32_t)getpid());
}

static int get_started(sd_bus *connection UNUSED, const char *path UNUSED, const char *interface UNUSED,
                       const char *property UNUSED, sd_bus_message *reply, void *userdata, sd_bus_error *error UNUSED) {
        return sd_bus_message_append(reply, "t", bus_of(userdata)->started);
}

static int get_service_count(sd_bus *connection UNUSED, const char *path UNUSED, const char *interface UNUSED,
                             const char *property UNUSED, sd_bus_message *reply, void *userdata,
                             sd_bus_error *error UNUSED) {
        return sd_bus_message_append(reply, "u", (uint32_t)bus_of(userdata)->setup.manager->service_count);
}

static int get_upgrades(sd_bus *connection UNUSED, const char *path UNUSED, const char *interface UNUSED,
                        const char *property UNUSED, sd_bus_message *reply, void *userdata,
                        sd_bus_error *error UNUSED) {
        const struct bus *bus = bus_of(userdata);

        return sd_bus_message_append(reply, "u", bus->upgrade ? (uint32_t)upgrade_count(bus->upgrade) : 0U);
}

static int get_draining(sd_bus *connection UNUSED, const char *path UNUSED, const char *interface UNUSED,
                        const char *property UNUSED, sd_bus_message *reply, void *userdata,
                        sd_bus_error *error UNUSED) {
        return sd_bus_message_append(reply, "b", bus_of(userdata)->setup.manager->draining);
}

static int get_definitions(sd_bus *connection UNUSED, const char *path UNUSED, const char *interface UNUSED,
                           const char *property UNUSED, sd_bus_message *reply, void *userdata,
                           sd_bus_error *error UNUSED) {
        return bus_append_texts(reply, bus_of(userdata)->setup.paths);
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("ListServices", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", services), on_list_services, 0),
        SD_BUS_METHOD_WITH_ARGS("GetService", SD_BUS_ARGS("s", name), SD_BUS_RESULT("aa{sv}", workers), on_get_service,
                                0),
        SD_BUS_METHOD_WITH_ARGS("Start", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, on_order, 0),
        SD_BUS_METHOD_WITH_ARGS("Stop", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, on_order, 0),
        SD_BUS_METHOD_WITH_ARGS("Restart", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, on_order, 0),
        SD_BUS_METHOD_WITH_ARGS("Kill", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, on_order, 0),
        SD_BUS_METHOD_WITH_ARGS("Replace", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, on_order, 0),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("as", added, "as", changed, "as", removed, "u", kept, "as", warnings),
                                on_reload, 0),
        SD_BUS_METHOD_WITH_ARGS("Upgrade", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_upgrade, 0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Pid", "u", get_pid, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Started", "t", get_started, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Definitions", "as", get_definitions, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("ServiceCount", "u", get_service_count, 0, 0),
        SD_BUS_PROPERTY("Upgrades", "u", get_upgrades, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Draining", "b", get_draining, 0, 0),
        SD_BUS_VTABLE_END,
};

int bus_manager_add(struct bus_peer *peer) {
        return sd_bus_add_object_vtable(peer->connection, NULL, BUS_PATH, "org.sockbroker.Manager", manager_vtable,
                                        peer);
}
