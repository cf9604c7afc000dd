/* The key tables themselves: whole, and telling the truth about defaults and examples. */
#include "unit.h"

#include "conf/decode.h"
#include "conf/print.h"
#include "conf/servicedef.h"
#include "conf/types.h"

#include <stdio.h>

static void test_ids(void **state UNUSED) {
        size_t seen[SERVICE_KEY_N] = {0};

        section_for_each(key, &section_service) seen[key->id]++;
        for (size_t i = 0; i < SERVICE_KEY_N; i++)
                assert_int_equal(seen[i], 1);
}

static void test_texts(void **state UNUSED) {
        for (size_t i = 0; i < schema_section_count; i++) {
                section_for_each(key, schema_sections[i]) {
                        AUTO(buf_deinit) struct buf text = BUF_NULL;
                        size_t n = strlen(key->meaning);

                        assert_ptr_equal(section_find(schema_sections[i], key->name), key);
                        assert_yes(key->meaning[n - 1] == '.');
                        assert_non_null(key->example);
                        assert_yes(key->required || key->fallback || key->fallback_means ||
                                   schema_sections[i] == &section_top || key->type == &type_mapping);
                        key->type->describe(key, &text);
                        assert_yes(text.size > 0);
                        assert_yes(!key->required || schema_sections[i] != &section_service || key->missing);
                }
        }
        assert_null(section_find(&section_service, "no such key"));
}

/* An example must be something the key takes, and must survive copying, comparing and printing. */
static void check_value(const struct key *key, const char *written) {
        AUTO(buf_deinit) struct buf text = BUF_NULL, out = BUF_NULL;
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        AUTO(yaml_document_deinit) struct yaml_document document = YAML_DOCUMENT_NULL;
        _Alignas(max_align_t) char field[FIELD_SIZE_MAX] = {0}, copy[FIELD_SIZE_MAX] = {0};
        struct decoder dec = {.diag = &diag};
        struct printer printer = {.out = &out, .indent = 0};

        buf_printf(&text, "%s: %s\n", key->name, written);
        assert_yes(yaml_parse("example", &text, &document, &diag));
        key_clear(key, field);
        if (!key->type->decode(&dec, key, document.root->pairs[0].value, field)) {
                buf_clear(&text);
                diag_format(&diag, &text);
                fail_msg("%s: %s: %s", key->name, written, buf_text(&text));
        }
        assert_int_equal(diag.errors, 0);
        key_clear(key, copy);
        assert_yes(key_copy(key, field, copy));
        assert_yes(key_equal(key, field, copy));
        key->type->print(key, field, &printer);
        assert_yes(out.size > 1 && out.data[out.size - 1] == '\n');
        key_clear(key, copy);
        key_clear(key, field);
        key_clear(key, field);
        assert_yes(key_equal(key, field, copy));
}

/* Some are line ends, which have to be quoted. */
static void check_fallback(const struct key *key) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        if (strchr(key->fallback, '\n'))
                print_text(&text, key->fallback);
        else
                buf_add_string(&text, key->fallback);
        check_value(key, buf_text(&text));
}

static void test_examples(void **state UNUSED) {
        for (size_t i = 0; i < schema_section_count; i++)
                section_for_each(key, schema_sections[i]) {
                        if (key->type->size == 0 || key->type == &type_node)
                                continue;
                        check_value(key, key->example);
                        if (key->fallback)
                                check_fallback(key);
                }
}

static void test_defaults(void **state UNUSED) {
        struct service_def def = {0}, copy = {0};

        assert_yes(section_set_defaults(&section_service, &def));
        assert_yes(def.enabled);
        assert_no(def.wait);
        assert_int_equal(def.handoff, HANDOFF_AUTO);
        assert_int_equal(def.start, START_ON_DEMAND);
        assert_int_equal(def.stop_signal, 15);
        assert_yes(def.stop_grace_period == 10 * USEC_PER_SEC);
        assert_int_equal(def.restart, RESTART_NO);
        assert_yes(def.restart_delay == 100 * USEC_PER_MSEC);
        assert_yes(def.restart_delay_max == 30 * USEC_PER_SEC);
        assert_int_equal(def.trigger_limit.burst, 20);
        assert_yes(def.max_runtime == USEC_INFINITY);
        assert_yes(def.groups);
        assert_yes(def.umask == UMASK_UNSET);
        assert_yes(def.nice == ADJUSTMENT_UNSET);
        assert_yes(def.pass_environment.all);
        assert_int_equal(def.stderr_to.kind, OUTPUT_LOG);
        assert_int_equal(def.instances, 100);
        assert_yes(def.per_source.limit == COUNT_UNLIMITED);
        assert_int_equal(def.when_full, WHEN_FULL_WAIT);
        assert_yes(section_copy(&section_service, &def, &copy));
        assert_yes(section_equal(&section_service, &def, &copy));
        assert_yes(service_def_equal(&def, &copy));
        copy.instances = 5;
        assert_no(section_equal(&section_service, &def, &copy));
        assert_yes(service_def_equal(&def, &copy)); /* no program would notice */
        copy.umask = 022;
        assert_no(service_def_equal(&def, &copy));
        section_clear(&section_service, &def);
        section_clear(&section_service, &copy);
}

static void test_listen_options(void **state UNUSED) {
        struct listen_def a = {0}, b = {0};

        assert_yes(section_set_defaults(&section_listen, &a));
        assert_yes(section_copy(&section_listen, &a, &b));
        assert_int_equal(a.options.socket_mode, 0666);
        assert_int_equal(a.options.directory_mode, 0755);
        assert_yes(a.options.remove_on_stop);
        assert_int_equal(a.options.backlog, OPTION_UNSET);
        assert_int_equal(a.options.keep_alive.on, OPTION_UNSET);
        assert_int_equal(a.options.receive_buffer, OPTION_UNSET);
        assert_yes(listen_options_equal(&a.options, &b.options));
        b.name = strdup("x"); /* not an option */
        assert_yes(listen_options_equal(&a.options, &b.options));
        b.options.keep_alive.probes = 5;
        assert_no(listen_options_equal(&a.options, &b.options));
        b.options.keep_alive.probes = OPTION_UNSET;
        b.options.bind_to_device = strdup("lo");
        assert_no(listen_options_equal(&a.options, &b.options));
        section_clear(&section_listen, &a);
        section_clear(&section_listen, &b);
}

static void check_text(const char *text, const char *expected) {
        AUTO(buf_deinit) struct buf out = BUF_NULL, again = BUF_NULL;
        AUTO(yaml_document_deinit) struct yaml_document document = YAML_DOCUMENT_NULL;
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;

        print_text(&out, text);
        assert_string_equal(buf_text(&out), expected);
        buf_printf(&again, "[%s]", buf_text(&out));
        assert_yes(yaml_parse("text", &again, &document, &diag));
        assert_string_equal(document.root->items[0]->text, text);
}

static void test_print_text(void **state UNUSED) {
        check_text("plain", "plain");
        check_text("/usr/bin/x-y_z.1@a%b+c=d", "/usr/bin/x-y_z.1@a%b+c=d");
        check_text("--verbose", "--verbose");
        check_text("-n", "-n");
        check_text("", "\"\"");
        check_text("-", "\"-\"");
        check_text("-5", "\"-5\"");
        check_text("---", "\"---\"");
        check_text("5", "\"5\"");
        check_text("yes", "\"yes\"");
        check_text("Null", "\"Null\"");
        check_text("~", "\"~\"");
        check_text("n", "\"n\"");
        check_text("a b", "\"a b\"");
        check_text("a: b", "\"a: b\"");
        check_text("[::1]:80", "\"[::1]:80\"");
        check_text("\"\\\n\t\r\x01\x7f", "\"\\\"\\\\\\n\\t\\u000d\\u0001\\u007f\"");
        check_text("äöü", "\"äöü\"");
        check_text("\xc2\x85\xe2\x80\xa8\xf0\x9f\x98\x80", "\"\\u0085\\u2028\xf0\x9f\x98\x80\"");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ids),
                cmocka_unit_test(test_texts),
                cmocka_unit_test(test_examples),
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_listen_options),
                cmocka_unit_test(test_print_text),
        };

        return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
