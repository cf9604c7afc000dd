#include "core/measures.h"
#include "unit.h"

#include "net/connection.h"

static void test_outcomes(void **state UNUSED) {
        static const struct {
                struct process_end end;
                enum outcome outcome;
        } cases[] = {
                {{.exit = {CLD_EXITED, 0}}, OUTCOME_OK},
                {{.exit = {CLD_EXITED, 3}}, OUTCOME_FAILED},
                {{.exit = {CLD_KILLED, SIGKILL}}, OUTCOME_SIGNAL},
                {{.exit = {CLD_DUMPED, SIGSEGV}}, OUTCOME_SIGNAL},
                {{.exit = {CLD_KILLED, SIGTERM}, .reason = PROCESS_STOPPED}, OUTCOME_STOPPED},
                {{.exit = {CLD_EXITED, 0}, .reason = PROCESS_STOPPED}, OUTCOME_STOPPED},
                {{.exit = {CLD_KILLED, SIGTERM}, .reason = PROCESS_OVERRAN}, OUTCOME_OVERRAN},
                {{.exit = {CLD_EXITED, 127}, .launch_failed = true}, OUTCOME_LAUNCH_FAILED},
        };

        for (size_t i = 0; i < LENGTH_OF(cases); i++)
                assert_int_equal(measures_outcome(&cases[i].end), cases[i].outcome);
}

static void test_connection(void **state UNUSED) {
        struct connection connection = {.accepted_at = 1000};
        const struct process process = {.connection = &connection, .started_at = 1300};
        const struct process_end end = {
                .exit = {CLD_EXITED, 0}, .ended_at = 2000, .started_at = 1300, .connection = &connection};
        struct measures *measures = NULL;

        measures_started(&measures, &process);
        assert_non_null(measures);
        assert_int_equal(measures->start_latency.count, 1);
        assert_int_equal(measures->start_latency.sum, 300);
        measures_ended(&measures, &end);
        assert_int_equal(measures->duration.sum, 1000);
        assert_int_equal(measures->connections[OUTCOME_OK], 1);
        /* A clock that seems to go back is no time at all. */
        connection.accepted_at = 5000;
        measures_ended(&measures, &end);
        assert_int_equal(measures->duration.sum, 1000);
        assert_int_equal(measures->duration.count, 2);
        free(measures);
}

static void test_server(void **state UNUSED) {
        const struct process process = {.started_at = 1300};
        const struct process_end end = {.exit = {CLD_EXITED, 1}, .ended_at = 2000, .started_at = 1300};
        struct measures *measures = NULL;

        measures_started(&measures, &process);
        measures_ended(&measures, &end);
        measures_restarted(&measures);
        assert_int_equal(measures->start_latency.count, 0);
        assert_int_equal(measures->duration.count, 0);
        assert_int_equal(measures->servers[OUTCOME_FAILED], 1);
        assert_int_equal(measures->restarts, 1);
        measures_ready(&measures, 1000);
        assert_int_equal(measures->ready_latency.sum, 1000);
        free(measures);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_outcomes),
                cmocka_unit_test(test_connection),
                cmocka_unit_test(test_server),
        };

        return cmocka_run_group_tests_name("measures", tests, NULL, NULL);
}
