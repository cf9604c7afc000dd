/* What the broker has answered about its services, taken apart. Keys that are not known here are passed over, and
 * what an older broker does not say is 0 or "". */
#pragma once

#include "base/strlist.h"

#include <stdbool.h>
#include <systemd/sd-bus.h>

struct view_refusal {
        const char *reason;
        uint64_t count;
};

/* Numbers with their names; the broker says which there are. */
struct view_counts {
        struct view_count {
                const char *name;
                uint64_t value;
        } * items;
        size_t count;
};

struct view_process {
        uint32_t pid;
        uint64_t since; /* microseconds on the wall clock, like all times here */
        const char *generation;
        const char *state;
        const char *peer; /* "" for a server */
};

struct view_histogram {
        uint64_t count;
        uint64_t sum;
        const uint64_t *bounds;
        const uint64_t *classes;
        size_t class_count; /* of both */
};

/* Texts and histograms are borrowed from the message. */
struct service_view {
        const char *name, *service, *description, *state, *reason, *status_text, *last_exit;
        uint32_t worker, process_count, main_pid, spares, stored, connections;
        int outdated;
        uint64_t since, until, watchdog, accepted, datagrams, ended, failed, starts, restarts, refused_count;
        struct strlist listen;
        struct strlist names;
        struct view_refusal *refusals;
        size_t refusal_count;
        struct view_process *processes;
        size_t listed_count; /* of processes */
        struct view_histogram start_latency;
        struct view_histogram ready_latency;
        struct view_histogram duration;
        struct view_counts requests;
        struct view_counts workers;
        struct view_counts request_classes; /* replies by how long they took, in milliseconds */
        struct view_histogram request_latency;
};

struct view {
        sd_bus_message *message; /* owned */
        struct service_view *services;
        size_t count;
        size_t room;
        bool full; /* everything about them was asked for, processes and histograms too */
};

#define VIEW_NULL ((struct view){0})

/* Takes OWN_MESSAGE apart, the answer to ListServices or GetService. RET is to be freed in any case. 0 or a negative
 * errno. */
int view_read(sd_bus_message *own_message, struct view *ret);
void view_deinit(struct view *view);

/* How long ago TIME was, by the wall clock; how long it is until then. */
uint64_t view_age(uint64_t time);
uint64_t view_left(uint64_t time);
