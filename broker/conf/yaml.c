/* The only file that knows libyaml. Its events are read recursively, which YAML_DEPTH_MAX bounds. */
#include "conf/yaml.h"

#include "conf/nameset.h"
#include "conf/pairs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct yaml_reader {
        yaml_parser_t parser;
        struct yaml_document *document;
        const struct buf *text;
        struct nameset anchors;
        unsigned depth;
        struct diag *diag;
};

static const struct node *read_node(struct yaml_reader *reader, const yaml_event_t *event);

void yaml_document_deinit(struct yaml_document *document) {
        arena_deinit(&document->arena);
        *document = YAML_DOCUMENT_NULL;
}

bool node_is_null(const struct node *node) {
        static const char *const words[] = {"", "~", "null", "Null", "NULL"};

        if (node->kind != NODE_SCALAR || node->quoted)
                return false;
        for (size_t i = 0; i < LENGTH_OF(words); i++)
                if (strcmp(node->text, words[i]) == 0)
                        return true;
        return false;
}

PRINTF_LIKE(3, 4)
static void report(struct yaml_reader *reader, const yaml_mark_t *at, const char *format, ...) {
        const struct mark mark = {
                .file = reader->document->name,
                .line = (unsigned)at->line + 1,
                .column = (unsigned)at->column + 1,
        };
        char text[512];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        diag_error(reader->diag, &mark, NULL, "%s", text);
}

static void report_memory(struct yaml_reader *reader) {
        report(reader, &reader->parser.mark, "cannot be read: out of memory");
}

/* The line a mark of libyaml is in, or NULL past the end. */
static const char *line_at(const struct buf *text, const yaml_mark_t *at) {
        const char *p = buf_text(text), *end = p + text->size;

        for (size_t line = 0; line < at->line && p; line++) {
                p = memchr(p, '\n', (size_t)(end - p));
                p = p ? p + 1 : NULL;
        }
        return p;
}

/* Whether the line looks like it has an IPv6 address without quotes. */
static bool line_has_ipv6(const struct buf *text, const yaml_mark_t *at) {
        const char *line = line_at(text, at);
        size_t n = line ? strcspn(line, "\n") : 0;

        return n > 0 && (memmem(line, n, "[:", 2) || memmem(line, n, "]:", 2));
}

/* The character at a mark, which counts characters; '\0' past the end. */
static char character_at(const struct buf *text, const yaml_mark_t *at) {
        const char *p = line_at(text, at), *end = buf_text(text) + text->size;

        if (!p)
                return '\0';
        for (size_t column = 0; column < at->column && p < end; column++)
                do
                        p++;
                while (p < end && ((unsigned char)*p & 0xc0) == 0x80);
        return p < end ? *p : '\0';
}

/* Whether the last line that has anything in it, before this one, starts with a key whose colon no blank follows, or
 * with a comment of C's; libyaml takes both for a text that goes on. */
static const char *hint_line_before(const struct buf *text, yaml_mark_t at) {
        while (at.line-- > 0) {
                const char *line = line_at(text, &at);
                size_t blanks = line ? strspn(line, " -") : 0;
                size_t key = line ? strcspn(line + blanks, ":#\"'{}[], \n") : 0;
                char behind = line && key > 0 && line[blanks + key] == ':' ? line[blanks + key + 1] : ' ';

                if (!line || line[blanks] == '\n' || line[blanks] == '#')
                        continue;
                if (strncmp(line + blanks, "//", 2) == 0)
                        return "; comments start with #";
                return strchr(" \t\r\n", behind) ? NULL : "; a blank is missing after a colon above";
        }
        return NULL;
}

/* Whether something follows what was in quotes. */
static bool is_behind_quotes(const struct buf *text, const yaml_mark_t *at) {
        const char *line = line_at(text, at);
        size_t n = line ? strcspn(line, "\n") : 0;

        for (n = MIN_OF(n, at->column); n > 0 && line[n - 1] == ' ';)
                n--;
        return n > 0 && (line[n - 1] == '"' || line[n - 1] == '\'');
}

/* What people usually meant when libyaml gives up there. */
static const char *syntax_hint(const struct yaml_reader *reader) {
        const yaml_parser_t *parser = &reader->parser;
        const char *hint = NULL;

        switch (character_at(reader->text, &parser->problem_mark)) {
        case '\t':
                return "; indent with spaces, not with tabs";
        case '@':
                return "; a text that starts with @ needs quotes: \"@name\"";
        case '`':
        case '%':
                return "; a text that starts with this character needs quotes";
        }
        if (strstr(parser->problem, "mapping values are not allowed"))
                hint = hint_line_before(reader->text, parser->problem_mark);
        if (hint)
                return hint;
        if (strstr(parser->problem, "<document start>"))
                return "; a definition file starts with a key such as services:";
        if (strstr(parser->problem, "could not find expected ':'"))
                return "; write KEY: VALUE, with a blank after the colon";
        if (strstr(parser->problem, "mapping values are not allowed"))
                return "; a text with ': ' in it needs quotes, and keys of one mapping start in the same column";
        if (parser->context && strstr(parser->context, "alias"))
                return "; a text that starts with * needs quotes";
        if (parser->context && strstr(parser->context, "anchor"))
                return "; a text that starts with & needs quotes";
        if (is_behind_quotes(reader->text, &parser->problem_mark))
                return "; nothing can follow the closing quote, put quotes around all of it";
        if (line_has_ipv6(reader->text, &parser->problem_mark))
                return "; an IPv6 address needs quotes: \"[::1]:80\"";
        if (parser->context && strstr(parser->context, "block mapping"))
                return "; keys of one mapping start in the same column";
        return "";
}

/* Reader errors (bytes that are not UTF-8) come with an offset instead of a mark. */
static void report_encoding(struct yaml_reader *reader) {
        const char *text = buf_text(reader->text);
        size_t end = MIN_OF(reader->parser.problem_offset, reader->text->size);
        unsigned line = 1, column = 1;

        for (size_t i = 0; i < end; i++) {
                column++;
                if (text[i] == '\n') {
                        line++;
                        column = 1;
                }
        }
        diag_error(reader->diag, &(struct mark){reader->document->name, line, column}, NULL, "is not UTF-8 text: %s",
                   reader->parser.problem);
}

static void report_syntax(struct yaml_reader *reader) {
        const yaml_parser_t *parser = &reader->parser;
        char context[160] = "";

        if (parser->error == YAML_READER_ERROR) {
                report_encoding(reader);
                return;
        }
        if (!parser->problem) {
                report(reader, &parser->mark, "cannot be read: out of memory");
                return;
        }
        if (parser->context && parser->context_mark.line != parser->problem_mark.line)
                snprintf(context, sizeof(context), " (%s that begins in line %zu)", parser->context,
                         parser->context_mark.line + 1);
        else if (parser->context)
                snprintf(context, sizeof(context), " (%s)", parser->context);
        report(reader, &parser->problem_mark, "is not YAML: %s%s%s", parser->problem, context, syntax_hint(reader));
}

static bool next_event(struct yaml_reader *reader, yaml_event_t *ret) {
        if (yaml_parser_parse(&reader->parser, ret))
                return true;
        report_syntax(reader);
        return false;
}

static void *allocate(struct yaml_reader *reader, size_t count, size_t size) {
        size_t total;
        void *p = __builtin_mul_overflow(count, size, &total) ? NULL : arena_alloc(&reader->document->arena, total);

        if (!p)
                report_memory(reader);
        return p;
}

static struct node *make_node(struct yaml_reader *reader, enum node_kind kind, const yaml_event_t *event) {
        struct node *node = allocate(reader, 1, sizeof(*node));

        if (node)
                *node = (struct node){
                        .kind = kind,
                        .line = (unsigned)event->start_mark.line + 1,
                        .column = (unsigned)event->start_mark.column + 1,
                        .weight = 1,
                };
        return node;
}

/* Says once what is wrong and leaves a node that everybody skips. */
static const struct node *make_broken(struct yaml_reader *reader, const yaml_event_t *event) {
        return make_node(reader, NODE_BROKEN, event);
}

/* YAML's own types say no more than the text does, but that a text is meant. Others are programs' own. */
static bool check_tag(struct yaml_reader *reader, const yaml_event_t *event, const yaml_char_t *tag, bool *ret_text) {
        static const char prefix[] = "tag:yaml.org,2002:";
        const char *name = (const char *)tag;

        *ret_text = false;
        if (!name)
                return true;
        if (strcmp(name, "!") == 0) {
                *ret_text = true;
                return true;
        }
        if (strncmp(name, prefix, sizeof(prefix) - 1) == 0) {
                *ret_text = strcmp(name + sizeof(prefix) - 1, "str") == 0;
                return true;
        }
        report(reader, &event->start_mark, "the tag '%.80s' means nothing here; remove it", name);
        return false;
}

static const struct node *read_scalar(struct yaml_reader *reader, const yaml_event_t *event) {
        size_t n = event->data.scalar.length;
        bool is_text;
        struct node *node;

        if (!check_tag(reader, event, event->data.scalar.tag, &is_text))
                return make_broken(reader, event);
        if (memchr(event->data.scalar.value, '\0', n)) {
                report(reader, &event->start_mark, "a text cannot contain the byte 0");
                return make_broken(reader, event);
        }
        node = make_node(reader, NODE_SCALAR, event);
        if (!node)
                return NULL;
        node->quoted = is_text || event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        node->text = allocate(reader, n + 1, 1);
        if (!node->text)
                return NULL;
        memcpy(node->text, event->data.scalar.value, n);
        node->text[n] = '\0';
        return node;
}

/* Aliases share their node, so memory does not grow with them; the work of whoever walks the tree would. */
static bool add_weight(struct yaml_reader *reader, struct node *node, size_t weight) {
        node->weight += weight;
        if (node->weight <= YAML_NODES_MAX)
                return true;
        report(reader, &reader->parser.mark, "has more than %zu nodes, those that aliases repeat included",
               YAML_NODES_MAX);
        return false;
}

static const struct node *read_sequence(struct yaml_reader *reader, const yaml_event_t *event) {
        AUTO(pairs_deinit) struct pairs pairs = PAIRS_NULL;
        struct node *node = make_node(reader, NODE_SEQUENCE, event);

        if (!node)
                return NULL;
        for (;;) {
                AUTO(yaml_event_delete) yaml_event_t item = {0};
                struct node_pair pair = {0};

                if (!next_event(reader, &item))
                        return NULL;
                if (item.type == YAML_SEQUENCE_END_EVENT)
                        break;
                pair.value = read_node(reader, &item);
                if (!pair.value || !add_weight(reader, node, pair.value->weight))
                        return NULL;
                if (pairs_add(&pairs, pair) < 0) {
                        report_memory(reader);
                        return NULL;
                }
        }
        node->count = pairs.count;
        node->items = allocate(reader, pairs.count, sizeof(const struct node *));
        for (size_t i = 0; node->items && i < pairs.count; i++)
                node->items[i] = pairs.items[i].pair.value;
        return node->items ? node : NULL;
}

/* Reads the key of a pair; NULL when the file is beyond reading. With *RET_SKIP it was reported, and its value is to be
 * skipped. */
static const struct node *read_key(struct yaml_reader *reader, const yaml_event_t *event, bool *ret_skip) {
        const struct node *key = read_node(reader, event);

        *ret_skip = false;
        if (!key || key->kind == NODE_BROKEN) {
                *ret_skip = true;
        } else if (key->kind != NODE_SCALAR) {
                report(reader, &event->start_mark, "a key is a word, not a %s",
                       key->kind == NODE_SEQUENCE ? "list" : "mapping");
                *ret_skip = true;
        } else if (key->text[0] == '\0') {
                report(reader, &event->start_mark, "a value has no key in front of its colon");
                *ret_skip = true;
        }
        return key;
}

static const struct node *read_mapping(struct yaml_reader *reader, const yaml_event_t *event) {
        AUTO(pairs_deinit) struct pairs pairs = PAIRS_NULL;
        struct node *node = make_node(reader, NODE_MAPPING, event);

        if (!node)
                return NULL;
        for (;;) {
                AUTO(yaml_event_delete) yaml_event_t key_event = {0};
                AUTO(yaml_event_delete) yaml_event_t value_event = {0};
                struct node_pair pair;
                bool skip;

                if (!next_event(reader, &key_event))
                        return NULL;
                if (key_event.type == YAML_MAPPING_END_EVENT)
                        break;
                pair.key = read_key(reader, &key_event, &skip);
                if (!pair.key || !next_event(reader, &value_event))
                        return NULL;
                pair.value = read_node(reader, &value_event);
                if (!pair.value || !add_weight(reader, node, pair.value->weight + 1))
                        return NULL;
                if (!skip && pairs_add(&pairs, pair) < 0) {
                        report_memory(reader);
                        return NULL;
                }
        }
        if (pairs_finish(&pairs, reader->document->name, reader->diag) < 0) {
                report_memory(reader);
                return NULL;
        }
        node->count = pairs.count;
        node->pairs = allocate(reader, pairs.count, sizeof(*node->pairs));
        for (size_t i = 0; node->pairs && i < pairs.count; i++)
                node->pairs[i] = pairs.items[i].pair;
        return node->pairs ? node : NULL;
}

static const struct node *read_alias(struct yaml_reader *reader, const yaml_event_t *event) {
        const char *name = (const char *)event->data.alias.anchor;
        const struct nameset_item *found = nameset_find(&reader->anchors, name);

        if (found)
                return found->thing;
        report(reader, &event->start_mark,
               "the alias *%.80s has no anchor &%.80s before it; a text that starts with * needs quotes", name, name);
        return make_broken(reader, event);
}

/* An anchor is known from the end of its node on, so that nothing can contain itself. */
static const struct node *note_anchor(struct yaml_reader *reader, const yaml_char_t *anchor, const struct node *node) {
        if (!anchor || !node)
                return node;
        if (nameset_put(&reader->anchors, (const char *)anchor, &(struct nameset_item){.thing = node}) < 0) {
                report_memory(reader);
                return NULL;
        }
        return node;
}

static const struct node *read_collection(struct yaml_reader *reader, const yaml_event_t *event, bool mapping) {
        const yaml_char_t *tag = mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag;
        const yaml_char_t *anchor = mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
        const struct node *node;
        bool is_text, tag_fits;

        if (++reader->depth > YAML_DEPTH_MAX) {
                report(reader, &event->start_mark, "is nested more than %d levels deep", YAML_DEPTH_MAX);
                return NULL;
        }
        tag_fits = check_tag(reader, event, tag, &is_text);
        node = mapping ? read_mapping(reader, event) : read_sequence(reader, event);
        reader->depth--;
        if (node && !tag_fits)
                node = make_broken(reader, event);
        return note_anchor(reader, anchor, node);
}

static const struct node *read_node(struct yaml_reader *reader, const yaml_event_t *event) {
        switch (event->type) {
        case YAML_SCALAR_EVENT:
                return note_anchor(reader, event->data.scalar.anchor, read_scalar(reader, event));
        case YAML_SEQUENCE_START_EVENT:
                return read_collection(reader, event, false);
        case YAML_MAPPING_START_EVENT:
                return read_collection(reader, event, true);
        case YAML_ALIAS_EVENT:
                return read_alias(reader, event);
        default:
                report(reader, &event->start_mark, "is not YAML");
                return NULL;
        }
}

/* Walks the stream: one document at most. */
static bool read_stream(struct yaml_reader *reader) {
        bool seen = false;

        for (;;) {
                AUTO(yaml_event_delete) yaml_event_t event = {0};

                if (!next_event(reader, &event))
                        return false;
                switch (event.type) {
                case YAML_STREAM_END_EVENT:
                        return true;
                case YAML_STREAM_START_EVENT:
                case YAML_DOCUMENT_END_EVENT:
                        break;
                case YAML_DOCUMENT_START_EVENT:
                        if (!seen) {
                                seen = true;
                                break;
                        }
                        report(reader, &event.start_mark, "a second document begins here; a file holds one");
                        return false;
                default:
                        reader->document->root = read_node(reader, &event);
                        if (!reader->document->root)
                                return false;
                }
        }
}

bool yaml_parse(const char *name, const struct buf *text, struct yaml_document *ret, struct diag *diag) {
        AUTO(nameset_deinit) struct nameset anchors = NAMESET_NULL;
        struct yaml_document document = {.name = name};
        struct yaml_reader reader = {.document = &document, .text = text, .diag = diag};
        bool ok;

        if (!yaml_parser_initialize(&reader.parser)) {
                diag_error(diag, &(struct mark){.file = name}, NULL, "cannot be read: out of memory");
                return false;
        }
        yaml_parser_set_input_string(&reader.parser, (const unsigned char *)buf_text(text), text->size);
        ok = read_stream(&reader);
        yaml_parser_delete(&reader.parser);
        anchors = reader.anchors;
        if (!ok) {
                yaml_document_deinit(&document);
                return false;
        }
        if (document.root && node_is_null(document.root))
                document.root = NULL;
        *ret = document;
        return true;
}
