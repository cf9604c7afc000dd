/* The state table of core/servicefsm.c, cell by cell: which events each state expects, and that an impossible one is
 * caught. What the cells do is shown by the program tests. */
#include "core/servicefsm.h"
#include "unit.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define BIT(event) (1U << SERVICE_EV_##event)

/* What an order can ask of a service that has no server, and of one that has. */
#define ORDERS (BIT(RESTART) | BIT(KILL) | BIT(HALT))
#define CLAIMS (BIT(CLAIM) | BIT(UNCLAIM))

static const unsigned expected[SERVICE_STATE_N] = {
        [SERVICE_STOPPED] = BIT(OPEN) | BIT(ENDED) | BIT(STOP) | BIT(HALT),
        [SERVICE_LISTENING] = BIT(TRAFFIC) | BIT(FULL) | BIT(PAUSE) | BIT(ENDED) | BIT(PLACE) | BIT(CHANGED) |
                              BIT(STOP) | ORDERS | BIT(CLAIM),
        [SERVICE_FULL] = BIT(PAUSE) | BIT(ENDED) | BIT(PLACE) | BIT(CHANGED) | BIT(STOP) | ORDERS | BIT(CLAIM),
        [SERVICE_STARTING] = BIT(ENDED) | BIT(TIMER) | BIT(CHANGED) | BIT(STOP) | BIT(READY) | ORDERS | CLAIMS,
        [SERVICE_RUNNING] =
                BIT(ENDED) | BIT(CHANGED) | BIT(STOP) | BIT(READY) | BIT(IDLE) | BIT(REPLACE) | ORDERS | CLAIMS,
        [SERVICE_REPLACING] = BIT(ENDED) | BIT(TIMER) | BIT(CHANGED) | BIT(STOP) | BIT(READY) | ORDERS | CLAIMS,
        [SERVICE_STOPPING] = BIT(ENDED) | BIT(CHANGED) | BIT(STOP) | BIT(READY) | ORDERS | CLAIMS,
        [SERVICE_PAUSED] = BIT(PAUSE) | BIT(ENDED) | BIT(PLACE) | BIT(ROOM) | BIT(TIMER) | BIT(CHANGED) | BIT(STOP) |
                           ORDERS | BIT(CLAIM),
        [SERVICE_BACKOFF] = BIT(ENDED) | BIT(TIMER) | BIT(CHANGED) | BIT(STOP) | ORDERS | BIT(CLAIM),
        [SERVICE_CLAIMED] = BIT(PAUSE) | BIT(ENDED) | BIT(PLACE) | BIT(CHANGED) | BIT(STOP) | ORDERS | BIT(UNCLAIM),
        [SERVICE_HALTED] =
                BIT(ENDED) | BIT(CHANGED) | BIT(STOP) | BIT(READY) | BIT(KILL) | BIT(HALT) | BIT(RESUME) | BIT(UNCLAIM),
        [SERVICE_LEAVING] = BIT(ENDED) | BIT(STOP) | BIT(READY) | BIT(UNCLAIM),
};

static void test_cells(void **state UNUSED) {
        for (int s = 0; s < SERVICE_STATE_N; s++)
                for (int e = 0; e < SERVICE_EVENT_N; e++) {
                        bool possible = servicefsm_cell(s, e) != NULL;

                        if (possible != !!(expected[s] & 1U << e))
                                fail_msg("state %s, event %d: %s", service_state_names[s], e,
                                         possible ? "should be impossible" : "is missing");
                }
}

static void test_names(void **state UNUSED) {
        for (int s = 0; s < SERVICE_STATE_N; s++)
                assert_non_null(service_state_names[s]);
}

/* In a child, which must not run cmocka's assertions: it ends by abort(3) or comes back with 0. */
static bool aborts(enum service_state s, enum service_event e) {
        struct service service = {.state = s};
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
                close(STDERR_FILENO);
                servicefsm_post(&service, e);
                _exit(0);
        }
        waitpid(pid, &status, 0);
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_impossible(void **state UNUSED) {
        for (int s = 0; s < SERVICE_STATE_N; s++)
                for (int e = 0; e < SERVICE_EVENT_N; e++)
                        if (!(expected[s] & 1U << e))
                                assert_true(aborts(s, e));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cells),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_impossible),
        };

        return cmocka_run_group_tests_name("servicefsm", tests, NULL, NULL);
}
