/* What services have counted, on its way to the next binary (core/keep.h). */
#include "core/keep.h"

static void save_counters(const struct service *service, struct state_out out) {
        const struct service_counters *n = &service->counters;

        state_put_integer(out, "accepted", (int64_t)n->accepted);
        state_put_integer(out, "ended", (int64_t)n->ended);
        state_put_integer(out, "failed", (int64_t)n->failed);
        state_put_integer(out, "starts", (int64_t)n->starts);
        state_put_integer(out, "restarts", (int64_t)n->restarts);
        state_put_integer(out, "claims_refused", (int64_t)n->claims_refused);
        state_put_integer(out, "datagrams", (int64_t)n->datagrams);
}

static void restore_counters(struct service *service, struct state_in in) {
        service->counters = (struct service_counters){
                .accepted = (uint64_t)state_get_integer(in, "accepted", 0),
                .ended = (uint64_t)state_get_integer(in, "ended", 0),
                .failed = (uint64_t)state_get_integer(in, "failed", 0),
                .starts = (uint64_t)state_get_integer(in, "starts", 0),
                .restarts = (uint64_t)state_get_integer(in, "restarts", 0),
                .claims_refused = (uint64_t)state_get_integer(in, "claims_refused", 0),
                .datagrams = (uint64_t)state_get_integer(in, "datagrams", 0),
        };
}

static void save_refusals(const struct refusals *refusals, struct state_out out) {
        struct state_out object;

        if (!refusals)
                return;
        object = state_put_object(out, "refusals");
        for (size_t i = 0; i < REFUSAL_N; i++)
                if (refusals->counts[i] > 0)
                        state_put_integer(object, refusal_names[i], (int64_t)refusals->counts[i]);
        state_put_integer(object, "told", (int64_t)refusals->told);
}

static void restore_refusals(struct service *service, struct state_in in) {
        if (!in.json)
                return;
        service->refusals = calloc(1, sizeof(*service->refusals));
        if (!service->refusals) {
                state_reader_fail(in.reader, "memory ran out");
                return;
        }
        for (size_t i = 0; i < REFUSAL_N; i++)
                service->refusals->counts[i] = (uint64_t)state_get_integer(in, refusal_names[i], 0);
        service->refusals->told = (uint64_t)state_get_integer(in, "told", 0);
        refusals_resume(service);
}

static void save_histogram(const struct histogram *histogram, struct state_out out) {
        struct state_out classes = state_put_list(out, "classes");

        state_put_integer(out, "count", (int64_t)histogram->count);
        state_put_usec(out, "sum", histogram->sum);
        for (size_t i = 0; i < HISTOGRAM_CLASSES; i++) {
                struct state_out entry;

                if (histogram->classes[i] == 0)
                        continue;
                entry = state_add_object(classes);
                state_put_usec(entry, "bound", histogram_bounds[i]);
                state_put_integer(entry, "count", (int64_t)histogram->classes[i]);
        }
}

/* By their bounds, since another binary may have other classes: those of a wider one then. */
static void restore_histogram(struct histogram *histogram, struct state_in in) {
        struct state_in classes = state_get_list(in, "classes");

        histogram->count = (uint64_t)state_get_integer(in, "count", 0);
        histogram->sum = state_has(in, "sum") ? state_get_usec(in, "sum") : 0;
        for (size_t i = 0; i < state_count(classes); i++) {
                struct state_in entry = state_entry(classes, i);
                usec_t bound = state_get_usec(entry, "bound");
                size_t class = 0;

                while (class < HISTOGRAM_CLASSES - 1 && histogram_bounds[class] < bound)
                        class ++;
                histogram->classes[class] += (uint64_t)state_get_integer(entry, "count", 0);
        }
}

static void save_outcomes(const uint64_t *counts, struct state_out out) {
        for (size_t i = 0; i < OUTCOME_N; i++)
                if (counts[i] > 0)
                        state_put_integer(out, outcome_names[i], (int64_t)counts[i]);
}

static void restore_outcomes(uint64_t *counts, struct state_in in) {
        for (size_t i = 0; i < OUTCOME_N; i++)
                counts[i] = (uint64_t)state_get_integer(in, outcome_names[i], 0);
}

static void save_answers(const struct answers *answers, struct state_out out) {
        struct state_out classes = state_put_object(out, "classes");

        for (size_t i = 0; i < HANDOFF_ANSWER_N; i++)
                state_put_integer(out, answers_names[i], (int64_t)answers->counts[i]);
        state_put_integer(out, "delayed", (int64_t)answers->delayed);
        save_histogram(&answers->latency, state_put_object(out, "latency"));
        for (size_t i = 0; i < ANSWERS_CLASSES; i++)
                state_put_integer(classes, answers_class_names[i], (int64_t)answers->classes[i]);
}

static void restore_answers(struct measures *measures, struct state_in in) {
        struct state_in classes = state_get_object(in, "classes");
        struct answers *answers = measures->answers = calloc(1, sizeof(*answers));

        if (!answers) {
                state_reader_fail(in.reader, "memory ran out");
                return;
        }
        for (size_t i = 0; i < HANDOFF_ANSWER_N; i++)
                answers->counts[i] = (uint64_t)state_get_integer(in, answers_names[i], 0);
        answers->delayed = (uint64_t)state_get_integer(in, "delayed", 0);
        restore_histogram(&answers->latency, state_get_object(in, "latency"));
        for (size_t i = 0; i < ANSWERS_CLASSES; i++)
                answers->classes[i] = (uint64_t)state_get_integer(classes, answers_class_names[i], 0);
}

static void save_measures(const struct measures *measures, struct state_out out) {
        save_histogram(&measures->start_latency, state_put_object(out, "start_latency"));
        save_histogram(&measures->duration, state_put_object(out, "duration"));
        save_histogram(&measures->ready_latency, state_put_object(out, "ready_latency"));
        save_outcomes(measures->connections, state_put_object(out, "connections"));
        save_outcomes(measures->servers, state_put_object(out, "servers"));
        state_put_integer(out, "restarts", (int64_t)measures->restarts);
        if (measures->answers)
                save_answers(measures->answers, state_put_object(out, "answers"));
}

static void restore_measures(struct service *service, struct state_in in) {
        struct measures *measures = calloc(1, sizeof(*measures));

        if (!measures) {
                state_reader_fail(in.reader, "memory ran out");
                return;
        }
        restore_histogram(&measures->start_latency, state_get_object(in, "start_latency"));
        restore_histogram(&measures->duration, state_get_object(in, "duration"));
        restore_histogram(&measures->ready_latency, state_get_object(in, "ready_latency"));
        restore_outcomes(measures->connections, state_get_object(in, "connections"));
        restore_outcomes(measures->servers, state_get_object(in, "servers"));
        measures->restarts = (uint64_t)state_get_integer(in, "restarts", 0);
        service->measures = measures;
        if (state_has(in, "answers"))
                restore_answers(measures, state_get_object(in, "answers"));
}

void counters_save(const struct service *service, struct state_out out) {
        save_counters(service, out);
        save_refusals(service->refusals, out);
        if (service->measures)
                save_measures(service->measures, state_put_object(out, "measures"));
}

void counters_restore(struct service *service, struct state_in in) {
        restore_counters(service, in);
        restore_refusals(service, state_get_object(in, "refusals"));
        if (state_has(in, "measures"))
                restore_measures(service, state_get_object(in, "measures"));
}
