#include "ctl/exposition.h"
#include "ctl/samples.h"
#include "unit.h"

#include <string.h>

/* As much of a broker as the text is about. */
struct world {
        struct manager manager;
        struct service_def def;
        struct service service;
};

static void world_init(struct world *world) {
        *world = (struct world){
                .manager = {.started_at = 1700000000500000, .service_count = 1, .reloads_done = 2},
                .def = {.name = (char *)"web", .workers.max = 1},
                .service = {.name = (char *)"web", .worker = 1, .state = SERVICE_LISTENING},
        };
        list_init(&world->manager.services);
        list_init(&world->manager.leaving);
        list_init(&world->service.retired);
        world->service.def = &world->def;
        world->service.manager = &world->manager;
        list_append(&world->manager.services, &world->service.link);
}

static void assert_has(const struct buf *text, const char *line) {
        if (!strstr(buf_text(text), line))
                print_error("missing: %s", line);
        assert_non_null(strstr(buf_text(text), line));
}

static void assert_lacks(const struct buf *text, const char *part) {
        assert_null(strstr(buf_text(text), part));
}

static void test_openmetrics(void **state UNUSED) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        struct world world;

        world_init(&world);
        world.service.counters.accepted = UINT64_MAX;
        exposition_write(&world.manager, EXPOSITION_OPENMETRICS, &text);
        assert_has(&text, "# TYPE sockbroker_build info\n");
        assert_has(&text, "\nsockbroker_start_time_seconds 1700000000.500000\n");
        assert_has(&text, "# TYPE sockbroker_reloads counter\nsockbroker_reloads_total{result=\"ok\"} 2\n");
        assert_has(&text, "\nsockbroker_connections_accepted_total{service=\"web\"} 18446744073709551615\n");
        assert_has(&text, "\nsockbroker_service_state{service=\"web\",sockbroker_service_state=\"listening\"} 1\n");
        assert_lacks(&text, "_bucket");
        assert_lacks(&text, "reason=");
        assert_string_equal(text.data + text.size - 6, "# EOF\n");
}

static void test_text(void **state UNUSED) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        struct world world;

        world_init(&world);
        exposition_write(&world.manager, EXPOSITION_TEXT, &text);
        assert_has(&text, "# TYPE sockbroker_build_info gauge\n");
        assert_has(&text, "# TYPE sockbroker_reloads_total counter\n");
        assert_has(&text, "# TYPE sockbroker_service_state gauge\n");
        assert_lacks(&text, "# UNIT");
        assert_lacks(&text, "# EOF");
}

static void test_histogram(void **state UNUSED) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        struct measures measures = {.connections = {[OUTCOME_SIGNAL] = 3}};
        struct world world;

        world_init(&world);
        world.service.measures = &measures;
        world.service.counters.failed = 5;
        histogram_add(&measures.duration, 90);
        histogram_add(&measures.duration, 2 * USEC_PER_SEC);
        histogram_add(&measures.duration, 3600 * USEC_PER_SEC);
        exposition_write(&world.manager, EXPOSITION_OPENMETRICS, &text);
        assert_has(&text, "\nsockbroker_connection_duration_seconds_bucket{service=\"web\",le=\"0.0001\"} 1\n");
        assert_has(&text, "\nsockbroker_connection_duration_seconds_bucket{service=\"web\",le=\"1.0\"} 1\n");
        assert_has(&text, "\nsockbroker_connection_duration_seconds_bucket{service=\"web\",le=\"5.0\"} 2\n");
        assert_has(&text, "\nsockbroker_connection_duration_seconds_bucket{service=\"web\",le=\"300.0\"} 2\n");
        assert_has(&text, "\nsockbroker_connection_duration_seconds_bucket{service=\"web\",le=\"+Inf\"} 3\n");
        assert_has(&text, "\nsockbroker_connection_duration_seconds_count{service=\"web\"} 3\n");
        assert_has(&text, "\nsockbroker_connection_duration_seconds_sum{service=\"web\"} 3602.000090\n");
        assert_has(&text, "\nsockbroker_connections_ended_total{service=\"web\",outcome=\"signal\"} 3\n");
        assert_has(&text, "\nsockbroker_connections_ended_total{service=\"web\",outcome=\"launch_failed\"} 5\n");
}

static void test_refusals_and_pause(void **state UNUSED) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        struct refusals refusals = {.counts = {[REFUSAL_ADDRESS] = 7}};
        struct world world;

        world_init(&world);
        world.def.workers.max = 3;
        world.service.worker = 2;
        world.service.refusals = &refusals;
        world.service.state = SERVICE_PAUSED;
        world.service.pause = PAUSE_RATE;
        exposition_write(&world.manager, EXPOSITION_OPENMETRICS, &text);
        assert_has(&text,
                   "\nsockbroker_connections_refused_total{service=\"web\",worker=\"2\",reason=\"only_from\"} 7\n");
        assert_has(&text, "\nsockbroker_service_paused{service=\"web\",worker=\"2\",reason=\"cps\"} 1\n");
        assert_has(&text, "\nsockbroker_service_up{service=\"web\",worker=\"2\"} 0\n");
}

static void test_escape(void **state UNUSED) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        samples_escape("a\"b\\c\nd", &text);
        assert_string_equal(buf_text(&text), "a\\\"b\\\\c\\nd");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_openmetrics), cmocka_unit_test(test_text),
                cmocka_unit_test(test_histogram),   cmocka_unit_test(test_refusals_and_pause),
                cmocka_unit_test(test_escape),
        };

        return cmocka_run_group_tests_name("exposition", tests, NULL, NULL);
}
