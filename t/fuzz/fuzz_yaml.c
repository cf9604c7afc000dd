/* Whole definition files: whatever stands in one, it is refused with messages, or printed as a file that loads again,
 * means the same, and is printed the same. */
#include "fuzz.h"

#include "conf/confdir.h"
#include "conf/schema.h"

#include <string.h>

static void print_set(const struct def_set *set, struct buf *out) {
        broker_def_print(&set->broker, out);
        buf_add_string(out, "services:\n");
        for (size_t i = 0; i < set->count; i++)
                service_def_print(set->services[i], out);
}

static void check_same(const struct def_set *a, const struct def_set *b, const char *shown) {
        MUST(a->count == b->count, "%s", shown);
        MUST(section_equal(&section_broker, &a->broker, &b->broker), "%s", shown);
        for (size_t i = 0; i < a->count; i++) {
                const struct service_def *other = def_set_find(b, a->services[i]->name);

                MUST(other == b->services[i], "%s", shown);
                MUST(service_def_same(a->services[i], other), "%s", shown);
                MUST(service_def_equal(a->services[i], other), "%s", shown);
        }
}

static void read_back(const struct def_set *set) {
        AUTO(buf_deinit) struct buf shown = BUF_NULL, again = BUF_NULL, messages = BUF_NULL;
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        struct def_set *back;

        print_set(set, &shown);
        back = confdir_load_text("shown.yaml", &shown, &diag);
        diag_format(&diag, &messages);
        MUST(back, "%s%s", buf_text(&messages), buf_text(&shown));
        check_same(set, back, buf_text(&shown));
        print_set(back, &again);
        MUST(strcmp(buf_text(&shown), buf_text(&again)) == 0, "%s\n---\n%s", buf_text(&shown), buf_text(&again));
        def_set_free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO(buf_deinit) struct buf text = BUF_NULL, messages = BUF_NULL;
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        struct def_set *set;

        buf_add(&text, (const char *)data, size);
        set = confdir_load_text("fuzz.yaml", &text, &diag);
        diag_format(&diag, &messages);
        MUST(set || diag.errors > 0, "refused without a word");
        MUST(!set || diag.errors == 0, "%s", buf_text(&messages));
        if (set)
                read_back(set);
        def_set_free(set);
        return 0;
}
