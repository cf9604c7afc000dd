#include "client/show.h"

#include <jansson.h>

/* Counts do not get near 2^63. */
static json_t *integer(uint64_t value) {
        return json_integer((json_int_t)value);
}

static json_t *seconds(uint64_t usec) {
        return json_real((double)usec / (double)USEC_PER_SEC);
}

static json_t *list_of(const struct strlist *list) {
        json_t *array = json_array();

        for (size_t i = 0; i < list->count; i++)
                json_array_append_new(array, json_string(list->items[i]));
        return array;
}

static json_t *refusals_of(const struct service_view *service) {
        json_t *object = json_object();

        for (size_t i = 0; i < service->refusal_count; i++)
                json_object_set_new(object, service->refusals[i].reason, integer(service->refusals[i].count));
        return object;
}

static json_t *processes_of(const struct service_view *service) {
        json_t *array = json_array();

        for (size_t i = 0; i < service->listed_count; i++) {
                const struct view_process *process = &service->processes[i];

                json_array_append_new(array,
                                      json_pack("{s:o, s:o, s:s, s:s, s:s}", "pid", integer(process->pid), "since",
                                                seconds(process->since), "generation", process->generation, "state",
                                                process->state, "peer", process->peer));
        }
        return array;
}

static json_t *histogram_of(const struct view_histogram *histogram) {
        json_t *classes = json_array();

        for (size_t i = 0; i < histogram->class_count; i++)
                json_array_append_new(
                        classes,
                        json_pack("{s:o, s:o}", "up_to",
                                  histogram->bounds[i] == USEC_INFINITY ? json_null() : seconds(histogram->bounds[i]),
                                  "count", integer(histogram->classes[i])));
        return json_pack("{s:o, s:o, s:o}", "count", integer(histogram->count), "sum", seconds(histogram->sum),
                         "classes", classes);
}

static json_t *counts_of(const struct view_counts *counts) {
        json_t *object = json_object();

        for (size_t i = 0; i < counts->count; i++)
                json_object_set_new(object, counts->items[i].name, integer(counts->items[i].value));
        return object;
}

static void add_requests(json_t *object, const struct service_view *service) {
        if (service->requests.count == 0)
                return;
        json_object_set_new(object, "requests", counts_of(&service->requests));
        json_object_set_new(object, "workers", counts_of(&service->workers));
        json_object_set_new(object, "request_classes", counts_of(&service->request_classes));
        json_object_set_new(object, "request_latency", histogram_of(&service->request_latency));
}

static json_t *service_of(const struct service_view *service, bool full) {
        json_t *object = json_object();

        json_object_set_new(object, "name", json_string(service->name));
        json_object_set_new(object, "service", json_string(service->service));
        json_object_set_new(object, "worker", integer(service->worker));
        json_object_set_new(object, "description", json_string(service->description));
        json_object_set_new(object, "state", json_string(service->state));
        json_object_set_new(object, "since", seconds(service->since));
        json_object_set_new(object, "until", service->until > 0 ? seconds(service->until) : json_null());
        json_object_set_new(object, "reason", json_string(service->reason));
        json_object_set_new(object, "status_text", json_string(service->status_text));
        json_object_set_new(object, "outdated", json_boolean(service->outdated));
        json_object_set_new(object, "listen", list_of(&service->listen));
        json_object_set_new(object, "names", list_of(&service->names));
        json_object_set_new(object, "process_count", integer(service->process_count));
        json_object_set_new(object, "main_pid", service->main_pid > 0 ? integer(service->main_pid) : json_null());
        json_object_set_new(object, "watchdog", service->watchdog > 0 ? seconds(service->watchdog) : json_null());
        json_object_set_new(object, "spare_processes", integer(service->spares));
        json_object_set_new(object, "stored_descriptors", integer(service->stored));
        json_object_set_new(object, "connections", integer(service->connections));
        json_object_set_new(object, "accepted", integer(service->accepted));
        json_object_set_new(object, "datagrams", integer(service->datagrams));
        json_object_set_new(object, "ended", integer(service->ended));
        json_object_set_new(object, "failed", integer(service->failed));
        json_object_set_new(object, "starts", integer(service->starts));
        json_object_set_new(object, "restarts", integer(service->restarts));
        json_object_set_new(object, "refused_count", integer(service->refused_count));
        json_object_set_new(object, "refused", refusals_of(service));
        json_object_set_new(object, "last_exit", json_string(service->last_exit));
        if (full) {
                json_object_set_new(object, "processes", processes_of(service));
                json_object_set_new(object, "start_latency", histogram_of(&service->start_latency));
                json_object_set_new(object, "duration", histogram_of(&service->duration));
                json_object_set_new(object, "ready_latency", histogram_of(&service->ready_latency));
                add_requests(object, service);
        }
        return object;
}

static void free_jsonp(json_t **value) {
        json_decref(*value);
}

void show_json(const struct view *view, bool compact, struct buf *out) {
        AUTO(free_jsonp) json_t *services = json_array();
        AUTO(free_jsonp) json_t *top = json_pack("{s:O}", "services", services);
        AUTO(freep) char *text = NULL;

        for (size_t i = 0; i < view->count; i++)
                json_array_append_new(services, service_of(&view->services[i], view->full));
        text = json_dumps(top, (compact ? JSON_COMPACT : JSON_INDENT(2)) | JSON_REAL_PRECISION(16));
        if (!text) {
                out->failed = true;
                return;
        }
        buf_add_string(out, text);
        buf_add_char(out, '\n');
}
