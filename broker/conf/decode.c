#include "conf/decode.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void path_format(const struct path *path, struct buf *out) {
        if (!path)
                return;
        path_format(path->up, out);
        if (!path->name)
                buf_printf(out, "[%zu]", path->index);
        else
                buf_printf(out, "%s%s", out->size > 0 ? "." : "", path->name);
}

struct mark decode_mark(const struct decoder *dec, const struct node *node) {
        return (struct mark){.file = dec->file, .line = node->line, .column = node->column};
}

PRINTF_LIKE(4, 0)
static void report(struct decoder *dec, const struct node *node, enum diag_level level, const char *format,
                   va_list args) {
        AUTO(buf_deinit) struct buf path = BUF_NULL;
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        const struct mark mark = decode_mark(dec, node);

        path_format(dec->path, &path);
        buf_vprintf(&text, format, args);
        if (level == DIAG_ERROR)
                diag_error(dec->diag, &mark, path.size > 0 ? buf_text(&path) : NULL, "%s", buf_text(&text));
        else
                diag_warning(dec->diag, &mark, path.size > 0 ? buf_text(&path) : NULL, "%s", buf_text(&text));
}

void decode_error(struct decoder *dec, const struct node *node, const char *format, ...) {
        va_list args;

        va_start(args, format);
        report(dec, node, DIAG_ERROR, format, args);
        va_end(args);
}

void decode_warning(struct decoder *dec, const struct node *node, const char *format, ...) {
        va_list args;

        va_start(args, format);
        report(dec, node, DIAG_WARNING, format, args);
        va_end(args);
}

bool decode_no_memory(struct decoder *dec, const struct node *node) {
        decode_error(dec, node, "cannot be read: out of memory");
        return false;
}

struct quote quote_text(const char *text) {
        struct quote quote;
        size_t n = strnlen(text, QUOTE_MAX + 1);

        if (n <= QUOTE_MAX) {
                memcpy(quote.text, text, n + 1);
                return quote;
        }
        /* Not in the middle of a UTF-8 sequence. */
        for (n = QUOTE_MAX; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
                n--;
        memcpy(quote.text, text, n);
        strcpy(quote.text + n, "...");
        return quote;
}

/* What is odd about a text that no key of this kind takes. */
static const char *find_slip(const struct node *node) {
        if (node->kind != NODE_SCALAR || node->quoted)
                return "";
        if (strchr(node->text, '#'))
                return "; a comment needs a blank before its #";
        return strchr(node->text, '$') ? "; nothing is expanded here" : "";
}

static void refuse(struct decoder *dec, const struct key *key, const struct node *node, const char *problem) {
        AUTO(buf_deinit) struct buf expected = BUF_NULL;

        key->type->describe(key, &expected);
        decode_error(dec, node, "%s; write %s%s", problem, buf_text(&expected), find_slip(node));
}

bool decode_refuse(struct decoder *dec, const struct key *key, const struct node *node) {
        AUTO(buf_deinit) struct buf problem = BUF_NULL;

        if (node->kind == NODE_BROKEN)
                return false;
        if (node->kind == NODE_SEQUENCE)
                buf_add_string(&problem, "is a list");
        else if (node->kind == NODE_MAPPING)
                buf_add_string(&problem, "is a mapping");
        else if (node_is_null(node))
                buf_add_string(&problem, "has no value");
        else
                buf_printf(&problem, "'%s' is not %s", quote_text(node->text).text, key->type->name);
        refuse(dec, key, node, buf_text(&problem));
        return false;
}

bool decode_out_of_range(struct decoder *dec, const struct key *key, const struct node *node) {
        AUTO(buf_deinit) struct buf problem = BUF_NULL;

        buf_printf(&problem, "'%s' is out of range", quote_text(node->text).text);
        refuse(dec, key, node, buf_text(&problem));
        return false;
}

const char *decode_text(struct decoder *dec, const struct key *key, const struct node *node) {
        if (node->kind == NODE_SCALAR && !node_is_null(node))
                return node->text;
        decode_refuse(dec, key, node);
        return NULL;
}

const char *decode_entry_text(struct decoder *dec, const struct node *node) {
        if (node->kind == NODE_SCALAR && !node_is_null(node))
                return node->text;
        if (node->kind == NODE_SCALAR)
                decode_error(dec, node, "has no value; write a text, or \"\" for an empty one");
        else if (node->kind != NODE_BROKEN)
                decode_error(dec, node, "is a %s; write a text", node->kind == NODE_MAPPING ? "mapping" : "list");
        return NULL;
}

bool decode_items(struct decoder *dec, const struct key *key, const struct node *node, decode_item_fn *each,
                  void *userdata) {
        const struct path *up = dec->path;
        bool ok = true;

        if (node->kind != NODE_SEQUENCE)
                return each(dec, key, node, userdata);
        for (size_t i = 0; i < node->count; i++) {
                const struct path path = {.up = up, .index = i};

                dec->path = &path;
                ok = each(dec, key, node->items[i], userdata) && ok;
        }
        dec->path = up;
        return ok;
}

static void note(struct record *record, const struct key *key, const struct node *value, bool ok) {
        if (!record)
                return;
        record->values[key->id] = value;
        record->origins[key->id] = KEY_WRITTEN;
        record->bad[key->id] = !ok;
}

static bool decode_pair(struct decoder *dec, const struct decode_target *target, const struct node_pair *pair) {
        const struct key *key = section_find(target->section, pair->key->text);
        void *field;
        bool ok;

        if (!key) {
                if (strncmp(pair->key->text, "x-", 2) == 0)
                        return true;
                key = unknown_key(dec, target->section, pair);
                if (key && target->record && target->record->origins[key->id] != KEY_WRITTEN)
                        note(target->record, key, pair->value, false);
                return false;
        }
        field = key_field(key, target->base);
        if (key->type->size > 0)
                key_clear(key, field);
        ok = key->type->decode(dec, key, pair->value, field);
        note(target->record, key, pair->value, ok);
        return ok;
}

bool decode_section(struct decoder *dec, const struct decode_target *target, const struct node *node) {
        const struct path *up = dec->path;
        bool ok = true;

        if (node->kind == NODE_BROKEN)
                return false;
        if (node->kind != NODE_MAPPING) {
                AUTO(buf_deinit) struct buf problem = BUF_NULL;

                if (node->kind == NODE_SEQUENCE)
                        buf_add_string(&problem, "is a list");
                else if (node_is_null(node))
                        buf_add_string(&problem, "has no value");
                else
                        buf_printf(&problem, "'%s' is not a mapping", quote_text(node->text).text);
                if (node->kind == NODE_SCALAR && node->text[strcspn(node->text, ":=")] != '\0')
                        decode_error(dec, node, "%s; write KEY: VALUE, with a blank after the colon",
                                     buf_text(&problem));
                else
                        decode_error(dec, node, "%s; write the keys of %s", buf_text(&problem), target->section->what);
                return false;
        }
        for (size_t i = 0; i < node->count; i++) {
                const struct path path = {.up = up, .name = node->pairs[i].key->text};

                dec->path = &path;
                ok = decode_pair(dec, target, &node->pairs[i]) && ok;
        }
        dec->path = up;
        return ok;
}
