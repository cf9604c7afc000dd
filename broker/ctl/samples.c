/* There may be thousands of services: what stands in every line is put together without printf(3), which would take
 * most of the time. */
#include "ctl/samples.h"

#include <stdio.h>
#include <string.h>

static const char *ending(const struct metric *metric) {
        return metric->type == METRIC_COUNTER ? "_total" : metric->type == METRIC_INFO ? "_info" : "";
}

void samples_escape(const char *text, struct buf *out) {
        for (const char *p = text; *p; p++)
                if (*p == '\n')
                        buf_add(out, "\\n", 2);
                else if (*p == '"' || *p == '\\')
                        buf_add(out, (const char[]){'\\', *p}, 2);
                else
                        buf_add_char(out, *p);
}

static void add_label(struct buf *out, char before, const char *name, const char *value) {
        buf_add_char(out, before);
        buf_add_string(out, name);
        buf_add(out, "=\"", 2);
        samples_escape(value, out);
        buf_add_char(out, '"');
}

static void add_number(struct buf *out, uint64_t number) {
        char text[20];
        size_t at = sizeof(text);

        do
                text[--at] = (char)('0' + number % 10);
        while (number /= 10);
        buf_add(out, text + at, sizeof(text) - at);
}

static void add_seconds(struct buf *out, usec_t time) {
        buf_printf(out, "%llu.%06u", (unsigned long long)(time / USEC_PER_SEC), (unsigned)(time % USEC_PER_SEC));
}

/* Begins a line, up to the blank before the number. SERVICE may be NULL, and LABEL. */
static void begin(struct writer *w, const char *name, const char *end, const struct service *service,
                  const struct label *label) {
        char before = '{';

        buf_add_string(w->out, name);
        buf_add_string(w->out, end);
        if (service) {
                add_label(w->out, before, "service", service->def->name);
                before = ',';
        }
        if (service && (service->worker > 1 || service_def_copies(service->def) > 1)) {
                char number[16];

                snprintf(number, sizeof(number), "%u", service->worker);
                add_label(w->out, before, "worker", number);
        }
        if (label)
                add_label(w->out, before, label->name, label->value);
        if (service || label)
                buf_add_char(w->out, '}');
        buf_add_char(w->out, ' ');
}

void samples_add(struct writer *w, const struct metric *metric, const struct service *service,
                 const struct label *label, uint64_t value) {
        begin(w, metric->name, ending(metric), service, label);
        add_number(w->out, value);
        buf_add_char(w->out, '\n');
}

void samples_add_histogram(struct writer *w, const struct metric *metric, const struct service *service,
                           const struct histogram *histogram) {
        uint64_t count = 0;

        for (size_t i = 0; i < HISTOGRAM_CLASSES; i++) {
                usec_t bound = histogram_bounds[i];
                char text[32] = "+Inf";

                /* A canonical float, which is "1.0" and not "1". */
                if (bound != USEC_INFINITY) {
                        size_t n = (size_t)snprintf(text, sizeof(text), "%llu.%06u",
                                                    (unsigned long long)(bound / USEC_PER_SEC),
                                                    (unsigned)(bound % USEC_PER_SEC));

                        while (text[n - 1] == '0' && text[n - 2] != '.')
                                text[--n] = '\0';
                }
                count += histogram->classes[i];
                begin(w, metric->name, "_bucket", service, &(struct label){"le", text});
                add_number(w->out, count);
                buf_add_char(w->out, '\n');
        }
        begin(w, metric->name, "_count", service, NULL);
        add_number(w->out, histogram->count);
        buf_add_char(w->out, '\n');
        begin(w, metric->name, "_sum", service, NULL);
        add_seconds(w->out, histogram->sum);
        buf_add_char(w->out, '\n');
}

void samples_add_time(struct writer *w, const struct metric *metric, usec_t time) {
        begin(w, metric->name, "", NULL, NULL);
        add_seconds(w->out, time);
        buf_add_char(w->out, '\n');
}

/* In the older format the endings are part of the name, and there are fewer types. */
void samples_add_head(struct writer *w, const struct metric *metric) {
        static const char *const types[EXPOSITION_FORMAT_N][METRIC_TYPE_N] = {
                [EXPOSITION_OPENMETRICS] = {"counter", "gauge", "histogram", "info", "stateset"},
                [EXPOSITION_TEXT] = {"counter", "gauge", "histogram", "gauge", "gauge"},
        };
        const char *end = w->format == EXPOSITION_TEXT ? ending(metric) : "";

        buf_printf(w->out, "# HELP %s%s %s\n", metric->name, end, metric->help);
        buf_printf(w->out, "# TYPE %s%s %s\n", metric->name, end, types[w->format][metric->type]);
        if (w->format == EXPOSITION_OPENMETRICS && metric->unit)
                buf_printf(w->out, "# UNIT %s %s\n", metric->name, metric->unit);
}
