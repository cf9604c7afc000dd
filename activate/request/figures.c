#include "activate/request/figures.h"

#include "activate/say.h"
#include "base/clock.h"
#include "base/number.h"

static void say_requests(const struct server *server, const struct handoff_tally *tally) {
        const struct answers *answers = &server->answers;
        AUTO(buf_deinit) struct buf line = BUF_NULL;

        buf_printf(&line, "Requests: total %llu", (unsigned long long)answers_total(answers));
        for (size_t i = 0; i < HANDOFF_ANSWER_N; i++)
                buf_printf(&line, ", %s %llu", answers_names[i], (unsigned long long)answers->counts[i]);
        buf_printf(&line, ", delayed %llu, waiting %zu", (unsigned long long)answers->delayed, tally->waiting);
        say_note("%s", buf_text(&line));
        say_note("Workers: idle %zu, busy %zu, leaving %zu, spawns %llu", tally->idle, tally->busy, tally->leaving,
                 (unsigned long long)server->spawns);
        say_note("Connections: %zu now", server->intake.count);
}

static void say_classes(const struct answers *answers) {
        AUTO(buf_deinit) struct buf line = BUF_NULL;

        for (size_t i = 0; i < ANSWERS_CLASSES; i++)
                buf_printf(&line, "%s%s ms %llu", i > 0 ? ", " : "Replies: ", answers_class_names[i],
                           (unsigned long long)answers->classes[i]);
        say_note("%s", buf_text(&line));
}

static void say_histogram(const struct histogram *histogram) {
        AUTO(buf_deinit) struct buf line = BUF_NULL;

        if (histogram->count == 0)
                return;
        buf_add_string(&line, "Reply time: mean ");
        number_add_duration(&line, histogram->sum / histogram->count);
        for (size_t i = 0; i < HISTOGRAM_CLASSES; i++) {
                if (histogram->classes[i] == 0)
                        continue;
                buf_add_string(&line, ", <= ");
                number_add_duration(&line, histogram_bounds[i]);
                buf_printf(&line, " %llu", (unsigned long long)histogram->classes[i]);
        }
        say_note("%s", buf_text(&line));
}

void figures_say(const struct server *server) {
        struct handoff_tally tally = {0};

        server->handoff->ops->tally(server->handoff, &tally);
        say_requests(server, &tally);
        say_classes(&server->answers);
        say_histogram(&server->answers.latency);
}

/* Nobody needs microseconds here. */
static void add_seconds(struct buf *out, usec_t time) {
        buf_printf(out, "%llu.%03llus", (unsigned long long)(time / USEC_PER_SEC),
                   (unsigned long long)(time % USEC_PER_SEC / USEC_PER_MSEC));
}

void figures_say_workers(const struct server *server) {
        usec_t now = clock_monotonic();
        struct process *process;

        list_for_each(process, &server->handoff->processes, link) {
                AUTO(buf_deinit) struct buf line = BUF_NULL;
                struct handoff_worker worker;

                handoff_describe(server->handoff, process, &worker);
                buf_printf(&line, "worker %d: %s for ", process->launched.pid, worker.state ? worker.state : "leaving");
                add_seconds(&line, worker.state && now > worker.since ? now - worker.since : 0);
                buf_printf(&line, ", %llu requests, running for ", (unsigned long long)worker.served);
                add_seconds(&line, now > process->started_at ? now - process->started_at : 0);
                say_note("%s", buf_text(&line));
        }
}
