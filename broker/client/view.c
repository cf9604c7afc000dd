#include "client/view.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

struct field {
        const char *key;
        const char *signature;
        size_t offset;
        int (*read)(sd_bus_message *message, void *field, struct service_view *view); /* NULL: a plain value */
};

static int read_list(sd_bus_message *message, void *field, struct service_view *view UNUSED) {
        const char *text;
        int r = sd_bus_message_enter_container(message, 'a', "s");

        while (r >= 0 && (r = sd_bus_message_read(message, "s", &text)) > 0)
                r = strlist_add(field, text);
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int read_refusals(sd_bus_message *message, void *field UNUSED, struct service_view *view) {
        struct view_refusal item;
        int r = sd_bus_message_enter_container(message, 'a', "{st}");

        while (r >= 0 && (r = sd_bus_message_read(message, "{st}", &item.reason, &item.count)) > 0) {
                struct view_refusal *items = reallocarray(view->refusals, view->refusal_count + 1, sizeof(*items));

                if (!items)
                        return -ENOMEM;
                view->refusals = items;
                items[view->refusal_count++] = item;
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int read_counts(sd_bus_message *message, void *field, struct service_view *view UNUSED) {
        struct view_counts *counts = field;
        struct view_count item;
        int r = sd_bus_message_enter_container(message, 'a', "{st}");

        while (r >= 0 && (r = sd_bus_message_read(message, "{st}", &item.name, &item.value)) > 0) {
                struct view_count *items = reallocarray(counts->items, counts->count + 1, sizeof(*items));

                if (!items)
                        return -ENOMEM;
                counts->items = items;
                items[counts->count++] = item;
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

/* Room is doubled: there may be thousands. */
static int add_process(struct service_view *view, const struct view_process *process) {
        size_t n = view->listed_count;

        if ((n & (n - 1)) == 0) {
                struct view_process *items = reallocarray(view->processes, n ? 2 * n : 1, sizeof(*items));

                if (!items)
                        return -ENOMEM;
                view->processes = items;
        }
        view->processes[view->listed_count++] = *process;
        return 0;
}

static int read_processes(sd_bus_message *message, void *field UNUSED, struct service_view *view) {
        struct view_process item;
        int r = sd_bus_message_enter_container(message, 'a', "(utsss)");

        while (r >= 0 && (r = sd_bus_message_read(message, "(utsss)", &item.pid, &item.since, &item.generation,
                                                  &item.state, &item.peer)) > 0)
                r = add_process(view, &item);
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int read_histogram(sd_bus_message *message, void *field, struct service_view *view UNUSED) {
        struct view_histogram *histogram = field;
        const void *bounds, *classes;
        size_t bounds_size = 0, classes_size = 0;
        int r = sd_bus_message_enter_container(message, 'r', "ttatat");

        if (r >= 0)
                r = sd_bus_message_read(message, "tt", &histogram->count, &histogram->sum);
        if (r >= 0)
                r = sd_bus_message_read_array(message, 't', &bounds, &bounds_size);
        if (r >= 0)
                r = sd_bus_message_read_array(message, 't', &classes, &classes_size);
        if (r < 0)
                return r;
        if (bounds_size != classes_size)
                return -EBADMSG;
        histogram->bounds = bounds;
        histogram->classes = classes;
        histogram->class_count = classes_size / sizeof(uint64_t);
        return sd_bus_message_exit_container(message);
}

#define FIELD(member) offsetof(struct service_view, member)

static const struct field fields[] = {
        {"Name", "s", FIELD(name), NULL},
        {"Service", "s", FIELD(service), NULL},
        {"Worker", "u", FIELD(worker), NULL},
        {"Description", "s", FIELD(description), NULL},
        {"State", "s", FIELD(state), NULL},
        {"Since", "t", FIELD(since), NULL},
        {"Until", "t", FIELD(until), NULL},
        {"Reason", "s", FIELD(reason), NULL},
        {"StatusText", "s", FIELD(status_text), NULL},
        {"Outdated", "b", FIELD(outdated), NULL},
        {"Listen", "as", FIELD(listen), read_list},
        {"Names", "as", FIELD(names), read_list},
        {"ProcessCount", "u", FIELD(process_count), NULL},
        {"MainPid", "u", FIELD(main_pid), NULL},
        {"Watchdog", "t", FIELD(watchdog), NULL},
        {"SpareProcesses", "u", FIELD(spares), NULL},
        {"StoredDescriptors", "u", FIELD(stored), NULL},
        {"Connections", "u", FIELD(connections), NULL},
        {"Accepted", "t", FIELD(accepted), NULL},
        {"Datagrams", "t", FIELD(datagrams), NULL},
        {"Ended", "t", FIELD(ended), NULL},
        {"Failed", "t", FIELD(failed), NULL},
        {"Starts", "t", FIELD(starts), NULL},
        {"Restarts", "t", FIELD(restarts), NULL},
        {"RefusedCount", "t", FIELD(refused_count), NULL},
        {"Refused", "a{st}", 0, read_refusals},
        {"LastExit", "s", FIELD(last_exit), NULL},
        {"Processes", "a(utsss)", 0, read_processes},
        {"StartLatency", "(ttatat)", FIELD(start_latency), read_histogram},
        {"ReadyLatency", "(ttatat)", FIELD(ready_latency), read_histogram},
        {"Duration", "(ttatat)", FIELD(duration), read_histogram},
        {"Requests", "a{st}", FIELD(requests), read_counts},
        {"Workers", "a{st}", FIELD(workers), read_counts},
        {"RequestClasses", "a{st}", FIELD(request_classes), read_counts},
        {"RequestLatency", "(ttatat)", FIELD(request_latency), read_histogram},
};

static const struct field *find_field(const char *key, const char *signature) {
        for (size_t i = 0; i < LENGTH_OF(fields); i++)
                if (strcmp(fields[i].key, key) == 0 && strcmp(fields[i].signature, signature) == 0)
                        return &fields[i];
        return NULL;
}

static int read_value(sd_bus_message *message, const char *key, struct service_view *view) {
        const struct field *field;
        const char *signature;
        void *place;
        char type;
        int r = sd_bus_message_peek_type(message, &type, &signature);

        if (r < 0)
                return r;
        field = type == 'v' ? find_field(key, signature) : NULL;
        if (!field)
                return sd_bus_message_skip(message, NULL);
        place = (char *)view + field->offset;
        r = sd_bus_message_enter_container(message, 'v', signature);
        if (r >= 0)
                r = field->read ? field->read(message, place, view)
                                : sd_bus_message_read_basic(message, field->signature[0], place);
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int read_service(sd_bus_message *message, struct service_view *view) {
        const char *key;
        int r;

        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = sd_bus_message_read(message, "s", &key);
                if (r >= 0)
                        r = read_value(message, key, view);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        return r;
}

static struct service_view *add_service(struct view *view) {
        static const char *const nothing = "";

        if (view->count == view->room) {
                size_t room = 2 * view->room + 16;
                struct service_view *services = reallocarray(view->services, room, sizeof(*services));

                if (!services)
                        return NULL;
                view->services = services;
                view->room = room;
        }
        view->services[view->count] = (struct service_view){
                .name = nothing,
                .service = nothing,
                .description = nothing,
                .state = nothing,
                .reason = nothing,
                .status_text = nothing,
                .last_exit = nothing,
                .worker = 1,
        };
        return &view->services[view->count++];
}

int view_read(sd_bus_message *own_message, struct view *ret) {
        sd_bus_message *message = own_message;
        int r;

        *ret = (struct view){.message = message};
        r = sd_bus_message_enter_container(message, 'a', "a{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'a', "{sv}")) > 0) {
                struct service_view *service = add_service(ret);

                r = service ? read_service(message, service) : -ENOMEM;
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        return r;
}

void view_deinit(struct view *view) {
        for (size_t i = 0; i < view->count; i++) {
                strlist_deinit(&view->services[i].listen);
                strlist_deinit(&view->services[i].names);
                free(view->services[i].refusals);
                free(view->services[i].processes);
                free(view->services[i].requests.items);
                free(view->services[i].workers.items);
                free(view->services[i].request_classes.items);
        }
        free(view->services);
        view->message = sd_bus_message_unref(view->message);
}

uint64_t view_age(uint64_t time) {
        uint64_t now = clock_wall();

        return now > time ? now - time : 0;
}

uint64_t view_left(uint64_t time) {
        uint64_t now = clock_wall();

        return time > now ? time - now : 0;
}
