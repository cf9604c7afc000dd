#include "client/show.h"
#include "client/text.h"

#include <stdio.h>
#include <time.h>

#define LABEL_WIDTH 13
#define PROCESSES_MAX 20

/* Bars: where nobody says how wide a line may be, and at most, so that they still can be compared. */
#define BAR_WIDTH 30
#define BAR_WIDTH_MIN 4
#define BAR_WIDTH_MAX 60
#define BOUND_WIDTH 9

/* The end of a line that began with LABEL; "" for what goes on with the line before. */
static void add_label(struct buf *out, const char *label) {
        buf_printf(out, "%*s%s ", LABEL_WIDTH - 1, label, label[0] ? ":" : " ");
}

static void add_time(struct buf *out, uint64_t time) {
        time_t seconds = (time_t)(time / USEC_PER_SEC);
        char text[40] = "";
        struct tm tm;

        if (localtime_r(&seconds, &tm))
                strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
        buf_printf(out, "%s (", text);
        text_add_age(out, view_age(time));
        buf_add_string(out, " ago)");
}

static void add_state(struct buf *out, const struct service_view *service, const struct terminal *terminal) {
        enum terminal_colour colour = show_state_colour(service->state);

        add_label(out, "State");
        buf_add_string(out, terminal_begin(terminal, colour));
        text_add_safe(out, service->state, terminal->utf8);
        buf_printf(out, "%s since ", terminal_end(terminal, colour));
        add_time(out, service->since);
        if (service->until > 0) {
                buf_add_string(out, ", for another ");
                text_add_age(out, view_left(service->until));
        }
        buf_add_char(out, '\n');
}

static void add_text(struct buf *out, const char *label, const char *text, bool utf8) {
        if (text[0] == '\0')
                return;
        add_label(out, label);
        text_add_safe(out, text, utf8);
        buf_add_char(out, '\n');
}

static void add_sockets(struct buf *out, const struct service_view *service, bool utf8) {
        for (size_t i = 0; i < service->listen.count; i++) {
                add_label(out, i == 0 ? "Listen" : "");
                text_add_safe(out, service->listen.items[i], utf8);
                if (i < service->names.count) {
                        buf_add_string(out, " (");
                        text_add_safe(out, service->names.items[i], utf8);
                        buf_add_char(out, ')');
                }
                buf_add_char(out, '\n');
        }
}

static void add_processes(struct buf *out, const struct service_view *service, bool utf8) {
        add_label(out, "Processes");
        buf_printf(out, "%u\n", service->process_count);
        for (size_t i = 0; i < service->listed_count && i < PROCESSES_MAX; i++) {
                const struct view_process *process = &service->processes[i];
                AUTO(buf_deinit) struct buf age = BUF_NULL;

                text_add_age(&age, view_age(process->since));
                add_label(out, "");
                buf_printf(out, "%-8u %-9s %-8s %-12s ", process->pid, process->state, process->generation,
                           buf_text(&age));
                text_add_safe(out, process->peer, utf8);
                while (out->size > 0 && !out->failed && out->data[out->size - 1] == ' ')
                        out->data[--out->size] = '\0';
                buf_add_char(out, '\n');
        }
        if (service->listed_count > PROCESSES_MAX) {
                add_label(out, "");
                buf_printf(out, "and %zu more\n", service->listed_count - PROCESSES_MAX);
        }
}

static void add_server(struct buf *out, const struct service_view *service) {
        if (service->main_pid > 0) {
                add_label(out, "Server");
                buf_printf(out, "process %u", service->main_pid);
                if (service->watchdog > 0) {
                        buf_add_string(out, ", watchdog ");
                        text_add_duration(out, service->watchdog);
                }
                buf_add_char(out, '\n');
        }
        if (service->stored > 0) {
                add_label(out, "Stored");
                buf_printf(out, "%u descriptor%s\n", service->stored, service->stored == 1 ? "" : "s");
        }
}

static void add_spares(struct buf *out, const struct service_view *service) {
        if (service->spares == 0)
                return;
        add_label(out, "Spare");
        buf_printf(out, "%u process%s wait%s for a connection\n", service->spares, service->spares == 1 ? "" : "es",
                   service->spares == 1 ? "s" : "");
}

static void add_counters(struct buf *out, const struct service_view *service, bool utf8) {
        add_label(out, "Connections");
        buf_printf(out, "%u now, %llu accepted, %llu failed\n", service->connections,
                   (unsigned long long)service->accepted, (unsigned long long)service->failed);
        if (service->datagrams > 0) {
                add_label(out, "Datagrams");
                buf_printf(out, "%llu taken\n", (unsigned long long)service->datagrams);
        }
        add_label(out, "Ended");
        buf_printf(out, "%llu in all, connections and servers\n", (unsigned long long)service->ended);
        if (service->starts > 0) {
                add_label(out, "Started");
                buf_printf(out, "%llu server%s, %llu of them since one had ended\n",
                           (unsigned long long)service->starts, service->starts == 1 ? "" : "s",
                           (unsigned long long)service->restarts);
        }
        if (service->refused_count == 0)
                return;
        add_label(out, "Refused");
        buf_printf(out, "%llu (", (unsigned long long)service->refused_count);
        for (size_t i = 0; i < service->refusal_count; i++) {
                buf_add_string(out, i > 0 ? ", " : "");
                text_add_safe(out, service->refusals[i].reason, utf8);
                buf_printf(out, " %llu", (unsigned long long)service->refusals[i].count);
        }
        buf_add_string(out, ")\n");
}

static void add_counts(struct buf *out, const char *label, const struct view_counts *counts, const char *unit,
                       bool utf8) {
        if (counts->count == 0)
                return;
        add_label(out, label);
        for (size_t i = 0; i < counts->count; i++) {
                buf_add_string(out, i > 0 ? ", " : "");
                text_add_safe(out, counts->items[i].name, utf8);
                buf_printf(out, "%s %llu", unit, (unsigned long long)counts->items[i].value);
        }
        buf_add_char(out, '\n');
}

/* What the label, the bound and the number, which is no higher than HIGHEST, leave of the line. */
static size_t bar_width(const struct terminal *terminal, uint64_t highest) {
        size_t others = LABEL_WIDTH + 1 + BOUND_WIDTH + 2;

        if (terminal->width == 0)
                return BAR_WIDTH;
        for (; highest > 0; highest /= 10)
                others++;
        return terminal->width < others + BAR_WIDTH_MIN ? BAR_WIDTH_MIN
                                                        : MIN_OF(terminal->width - others, (size_t)BAR_WIDTH_MAX);
}

static void add_histogram(struct buf *out, const char *label, const struct view_histogram *histogram,
                          const struct terminal *terminal) {
        size_t first = histogram->class_count, last = 0;
        uint64_t highest = 0;
        size_t width;

        if (histogram->count == 0)
                return;
        for (size_t i = 0; i < histogram->class_count; i++) {
                if (histogram->classes[i] == 0)
                        continue;
                first = MIN_OF(first, i);
                last = i;
                highest = MAX_OF(highest, histogram->classes[i]);
        }
        width = bar_width(terminal, highest);
        add_label(out, label);
        buf_printf(out, "%llu measured, mean ", (unsigned long long)histogram->count);
        text_add_duration(out, histogram->sum / histogram->count);
        buf_add_char(out, '\n');
        for (size_t i = first; i <= last && i < histogram->class_count; i++) {
                AUTO(buf_deinit) struct buf bound = BUF_NULL;

                text_add_duration(&bound, histogram->bounds[i]);
                add_label(out, "");
                buf_printf(out, "%s%6s ",
                           histogram->bounds[i] == USEC_INFINITY ? "   "
                           : terminal->utf8                      ? " ≤ "
                                                                 : "<= ",
                           buf_text(&bound));
                text_add_bar(out, &(struct text_bar){histogram->classes[i], highest, width, terminal->utf8});
                buf_printf(out, " %llu\n", (unsigned long long)histogram->classes[i]);
        }
}

static void add_head(struct buf *out, const struct view *view, const struct service_view *service,
                     const struct terminal *terminal) {
        enum terminal_colour colour = show_state_colour(service->state);

        buf_printf(out, "%s%s%s ", terminal_begin(terminal, colour), terminal->utf8 ? "●" : "*",
                   terminal_end(terminal, colour));
        text_add_safe(out, service->name, terminal->utf8);
        if (service->worker == 1 && service->description[0]) {
                buf_add_string(out, " - ");
                text_add_safe(out, service->description, terminal->utf8);
        }
        if (service->worker == 1 && view->count > 1)
                buf_printf(out, " (%zu workers)", view->count);
        buf_add_char(out, '\n');
}

void show_detail(const struct view *view, const struct terminal *terminal, struct buf *out) {
        bool utf8 = terminal->utf8;

        for (size_t i = 0; i < view->count; i++) {
                const struct service_view *service = &view->services[i];

                if (i > 0)
                        buf_add_char(out, '\n');
                add_head(out, view, service, terminal);
                add_state(out, service, terminal);
                add_text(out, "Reason", service->reason, utf8);
                add_text(out, "Status", service->status_text, utf8);
                if (service->outdated)
                        add_text(out, "Outdated",
                                 strcmp(service->state, "replacing") == 0
                                         ? "its server was started under an older definition, and is being replaced"
                                         : "its server was started under an older definition, and keeps it",
                                 utf8);
                add_sockets(out, service, utf8);
                add_server(out, service);
                add_processes(out, service, utf8);
                add_spares(out, service);
                add_counters(out, service, utf8);
                add_counts(out, "Requests", &service->requests, "", utf8);
                add_counts(out, "Workers", &service->workers, "", utf8);
                add_counts(out, "Replies", &service->request_classes, " ms", utf8);
                add_text(out, "Last exit", service->last_exit, utf8);
                add_histogram(out, "Start latency", &service->start_latency, terminal);
                add_histogram(out, "Duration", &service->duration, terminal);
                add_histogram(out, "Ready after", &service->ready_latency, terminal);
                add_histogram(out, "Reply time", &service->request_latency, terminal);
        }
}
