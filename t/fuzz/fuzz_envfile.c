/* Files of environment variables: what was understood can be written in double quotes and is understood the same. */
#include "fuzz.h"

#include "conf/envfile.h"

#include <string.h>

static void write_value(struct buf *out, const char *value) {
        buf_add_string(out, "=\"");
        for (; *value; value++) {
                if (strchr("\"\\$", *value))
                        buf_add_char(out, '\\');
                buf_add_char(out, *value);
        }
        buf_add_char(out, '"');
}

static void read_back(const struct envfile *envfile) {
        AUTO(envfile_deinit) struct envfile back = ENVFILE_NULL;
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        AUTO(buf_deinit) struct buf text = BUF_NULL, messages = BUF_NULL;

        for (size_t i = 0; i < envfile->count; i++) {
                buf_printf(&text, "export\t%s ", envfile->items[i].name);
                if (envfile->items[i].value)
                        write_value(&text, envfile->items[i].value);
                buf_add_string(&text, " # comment\r\n");
        }
        MUST(envfile_parse("back.env", &text, &back, &diag) == 0, "out of memory");
        diag_format(&diag, &messages);
        MUST(!diag_has_errors(&diag), "%s%s", buf_text(&messages), buf_text(&text));
        MUST(back.count == envfile->count, "%s", buf_text(&text));
        for (size_t i = 0; i < back.count; i++) {
                const struct envfile_entry *a = &envfile->items[i], *b = &back.items[i];

                MUST(strcmp(a->name, b->name) == 0, "%s", buf_text(&text));
                MUST(!a->value == !b->value && (!a->value || strcmp(a->value, b->value) == 0), "%s", buf_text(&text));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO(envfile_deinit) struct envfile envfile = ENVFILE_NULL;
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        AUTO(buf_deinit) struct buf text = BUF_NULL, messages = BUF_NULL;

        buf_add(&text, (const char *)data, size);
        MUST(envfile_parse("fuzz.env", &text, &envfile, &diag) == 0, "out of memory");
        diag_format(&diag, &messages);
        for (size_t i = 0; i < envfile.count; i++) {
                const struct envfile_entry *entry = &envfile.items[i];

                MUST(entry->name[0] != '\0' && !strchr(entry->name, '='), "%s", entry->name);
                MUST(entry->mark.line > 0 && entry->mark.column > 0, "%s", entry->name);
        }
        read_back(&envfile);
        return 0;
}
