/* From definitions to plans: what a supervised server is told in its environment. */
#include "unit.h"

#include "conf/schema.h"
#include "core/planmake.h"

static struct service_def definition(void) {
        struct service_def def = {0};

        assert_yes(section_set_defaults(&section_service, &def));
        def.name = (char *)"web";
        def.wait = true;
        def.handoff = HANDOFF_FDS;
        assert_int_equal(strlist_add(&def.command, "/bin/true"), 0);
        return def;
}

static bool is_dynamic(const struct plan_words *words, size_t index) {
        for (size_t i = 0; i < words->dynamic_count; i++)
                if (words->dynamic[i] == index)
                        return true;
        return false;
}

/* The environment as one text, with a blank behind each entry; of placeholders as they are in the plan. */
static const char *environment(const struct service_def *def, const char *notify_socket) {
        static const char *const names[] = {"http", "https"};
        static char text[1024];
        struct planmake_base base = PLANMAKE_BASE_NULL;
        const struct planmake_request request = {
                .base = &base, .def = def, .fd_names = names, .fd_count = 2, .notify_socket = notify_socket};
        AUTO(buf_deinit) struct buf out = BUF_NULL;
        struct diag diag = {0};
        struct launch_plan plan = PLAN_NULL;

        assert_int_equal(strlist_add(&base.environment, "A=1"), 0);
        assert_int_equal(planmake(&request, &plan, &diag), 0);
        assert_int_equal(plan.listen_pid, def->handoff == HANDOFF_FDS);
        for (size_t i = 0; i < plan.env.count; i++) {
                buf_printf(&out, "%s ", plan.env.items[i]);
                assert_int_equal(is_dynamic(&plan.env, i), strstr(plan.env.items[i], "${") != NULL);
        }
        assert_yes(out.size < sizeof(text));
        memcpy(text, buf_text(&out), out.size + 1);
        plan_deinit(&plan);
        planmake_base_deinit(&base);
        return text;
}

static void test_supervision(void **state UNUSED) {
        struct service_def def = definition();

        assert_no(service_def_is_supervised(&def));
        assert_string_equal(environment(&def, "@s"), "A=1 LISTEN_FDS=2 LISTEN_FDNAMES=http:https ");
        def.ready = READY_NOTIFY;
        assert_string_equal(environment(&def, "@s"), "A=1 LISTEN_FDS=2 LISTEN_FDNAMES=http:https NOTIFY_SOCKET=@s ");
        assert_string_equal(environment(&def, NULL), "A=1 LISTEN_FDS=2 LISTEN_FDNAMES=http:https ");
        def.ready = READY_EXEC;
        def.fd_store = 1;
        assert_string_equal(environment(&def, "@s"), "A=1 NOTIFY_SOCKET=@s ");
        def.fd_store = 0;
        def.handoff = HANDOFF_STDIO;
        assert_string_equal(environment(&def, "@s"), "A=1 ");
        def.watchdog = 1500 * USEC_PER_MSEC;
        assert_string_equal(environment(&def, "@s"), "A=1 NOTIFY_SOCKET=@s WATCHDOG_USEC=1500000 WATCHDOG_PID=${pid} ");
        def.name = NULL;
        section_clear(&section_service, &def);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_supervision),
        };

        return cmocka_run_group_tests_name("planmake", tests, NULL, NULL);
}
