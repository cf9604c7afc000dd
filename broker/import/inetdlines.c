#include "import/inetdlines.h"

#include "base/buf.h"
#include "base/err.h"

#include <errno.h>

#define OFF_MARK "#<off>#"

struct reader {
        const char *p;
        const char *end;
        unsigned line; /* the number of the line that P is in */
        struct inetd_lines *lines;
};

static void line_deinit(struct inetd_line *line) {
        free(line->text);
        strlist_deinit(&line->words);
        for (size_t i = 0; i < line->option_count; i++) {
                free(line->options[i].key);
                strlist_deinit(&line->options[i].values);
        }
        free(line->options);
}

void inetd_lines_deinit(struct inetd_lines *lines) {
        for (size_t i = 0; i < lines->count; i++)
                line_deinit(&lines->items[i]);
        free(lines->items);
        *lines = INETD_LINES_NULL;
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t';
}

/* Where the line that P is in ends, without its newline. */
static const char *line_end(const struct reader *reader) {
        const char *newline = memchr(reader->p, '\n', (size_t)(reader->end - reader->p));

        return newline ? newline : reader->end;
}

static void skip_line(struct reader *reader) {
        reader->p = line_end(reader);
        if (reader->p < reader->end) {
                reader->p++;
                reader->line++;
        }
}

/* Adds what is left of the line that P is in, without the carriage return that some systems put at its end. */
static void take_line(struct reader *reader, struct buf *text) {
        const char *end = line_end(reader);

        buf_add(text, reader->p, (size_t)(end - reader->p) - (end > reader->p && end[-1] == '\r'));
        skip_line(reader);
}

static const char *skip_blanks(const char *p) {
        while (is_blank(*p) || *p == '\n')
                p++;
        return p;
}

/* Adds the word at P to WORD, as NetBSD, FreeBSD and GNU inetd take it: either quote holds everything up to the next
 * one of its kind together. Returns where it ends, or NULL where a quote stays open. */
static const char *read_word(const char *p, bool quotes, struct buf *word) {
        char quote = '\0';

        for (; *p && (quote || (!is_blank(*p) && *p != '\n')); p++) {
                if (quotes && *p == quote)
                        quote = '\0';
                else if (quotes && !quote && (*p == '\'' || *p == '"'))
                        quote = *p;
                else
                        buf_add_char(word, *p);
        }
        return quote ? NULL : p;
}

static int split_words(const char *text, bool quotes, struct strlist *ret) {
        AUTO(strlist_deinit) struct strlist words = STRLIST_NULL;
        const char *p = skip_blanks(text);

        while (*p) {
                AUTO(buf_deinit) struct buf word = BUF_NULL;

                buf_add_string(&word, "");
                p = read_word(p, quotes, &word);
                if (!p)
                        return -EINVAL;
                if (strlist_consume(&words, buf_take(&word)) < 0)
                        return err_raise(-ENOMEM);
                p = skip_blanks(p);
        }
        *ret = words;
        words = STRLIST_NULL;
        return 0;
}

/* A quote that stays open is one that was meant as such: OpenBSD and Debian know no others. */
static int find_words(struct inetd_line *line, const char *text) {
        int r;

        line->quoted = strpbrk(text, "'\"") != NULL;
        r = split_words(text, line->quoted, &line->words);
        if (r == -EINVAL) {
                line->quoted = false;
                r = split_words(text, false, &line->words);
        }
        return r;
}

static bool is_one_of(const char *word, const char *const *names) {
        for (; *names; names++)
                if (strcmp(word, *names) == 0)
                        return true;
        return false;
}

/* Whether a line could stand for itself, from its type and its wait field. */
static bool looks_complete(const char *text) {
        static const char *const types[] = {"stream", "dgram", "raw", "rdm", "seqpacket", NULL};
        AUTO(strlist_deinit) struct strlist words = STRLIST_NULL;

        if (split_words(text, false, &words) < 0 || words.count < 6 || !is_one_of(words.items[1], types))
                return false;
        return strncmp(words.items[3], "wait", 4) == 0 || strncmp(words.items[3], "nowait", 6) == 0;
}

/* Whether the line at P goes on with the one before: it begins with a blank, and is neither a comment nor a service. */
static bool is_continuation(const struct reader *reader) {
        const char *end = line_end(reader), *p = reader->p;
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        if (p == end || !is_blank(*p))
                return false;
        while (p < end && is_blank(*p))
                p++;
        if (*p == '#')
                return false;
        buf_add(&text, p, (size_t)(end - p));
        return !looks_complete(buf_text(&text));
}

/* A line with everything that belongs to it. */
static void take_logical_line(struct reader *reader, struct buf *text) {
        take_line(reader, text);
        while (reader->p < reader->end && is_continuation(reader)) {
                buf_add_char(text, '\n');
                take_line(reader, text);
        }
}

static struct inetd_line *add_line(struct reader *reader, enum inetd_line_kind kind) {
        struct inetd_lines *lines = reader->lines;
        struct inetd_line *items = reallocarray(lines->items, lines->count + 1, sizeof *items);

        if (!items)
                return NULL;
        lines->items = items;
        items[lines->count] = (struct inetd_line){.kind = kind, .line = reader->line};
        return &items[lines->count++];
}

static int read_comment(struct reader *reader) {
        struct inetd_line *line = add_line(reader, INETD_COMMENT);
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        if (!line)
                return err_raise(-ENOMEM);
        take_line(reader, &text);
        line->text = buf_take(&text);
        if (!line->text)
                return err_raise(-ENOMEM);
        if (line->text[1] == '@') {
                line->kind = INETD_POLICY;
                return split_words(line->text + 2, false, &line->words);
        }
        if (strncmp(line->text, OFF_MARK, strlen(OFF_MARK)) != 0)
                return 0;
        line->kind = INETD_ENTRY;
        line->off = true;
        return find_words(line, line->text + strlen(OFF_MARK));
}

/* NAME on or NAME off, with a comment behind it perhaps, is where the other notation begins. Returns the length of what
 * was found; 0: nothing. */
static size_t find_switch(const char *p, const char *end, bool *ret_off) {
        const char *start = p;

        while (p < end && *p != '\n' && !is_blank(*p))
                p++;
        while (p < end && is_blank(*p))
                p++;
        for (int off = 0; off < 2; off++) {
                const char *word = off ? "off" : "on";
                size_t size = strlen(word);

                if ((size_t)(end - p) < size || memcmp(p, word, size) != 0)
                        continue;
                p += size;
                if (p < end && !is_blank(*p) && *p != '\n' && *p != '\r' && *p != '#')
                        return 0;
                *ret_off = off;
                return (size_t)(p - start);
        }
        return 0;
}

/* Blanks, ends of lines and comments between the parts of a definition. */
static void skip_space(struct reader *reader) {
        while (reader->p < reader->end) {
                if (*reader->p == '#') {
                        reader->p = line_end(reader);
                } else if (*reader->p == '\n') {
                        skip_line(reader);
                } else if (is_blank(*reader->p) || *reader->p == '\r') {
                        reader->p++;
                } else {
                        return;
                }
        }
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What a backslash between quotes stands for; P is behind it. NULL: nothing that is known. */
static const char *read_escape(const char *p, const char *end, struct buf *word) {
        static const char names[] = "\\ntr'\"", meanings[] = "\\\n\t\r'\"";
        const char *name = p < end && *p ? strchr(names, *p) : NULL;

        if (name) {
                buf_add_char(word, meanings[name - names]);
                return p + 1;
        }
        if (end - p >= 3 && *p == 'x' && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0 && (p[1] != '0' || p[2] != '0')) {
                buf_add_char(word, (char)(hex_digit(p[1]) << 4 | hex_digit(p[2])));
                return p + 3;
        }
        return NULL;
}

/* P is at the quote. Returns why it cannot be read, or NULL. */
static const char *read_quoted(struct reader *reader, struct buf *word) {
        char quote = *reader->p++;

        while (reader->p < reader->end && *reader->p != '\n' && *reader->p != quote) {
                if (*reader->p != '\\') {
                        buf_add_char(word, *reader->p++);
                        continue;
                }
                const char *next = read_escape(reader->p + 1, reader->end, word);
                if (!next)
                        return "has a backslash before something that it gives no meaning to";
                reader->p = next;
        }
        if (reader->p == reader->end || *reader->p != quote)
                return "has a quote without its end";
        reader->p++;
        return NULL;
}

/* The values of one option, up to the comma or semicolon, which is left where it is. */
static const char *read_values(struct reader *reader, struct strlist *values, bool *ret_quoted) {
        for (;;) {
                AUTO(buf_deinit) struct buf word = BUF_NULL;

                skip_space(reader);
                if (reader->p == reader->end)
                        return "has no semicolon at its end";
                if (*reader->p == ',' || *reader->p == ';')
                        return NULL;
                buf_add_string(&word, "");
                while (reader->p < reader->end && !strchr(" \t\r\n#,;", *reader->p)) {
                        if (*reader->p != '\'' && *reader->p != '"') {
                                buf_add_char(&word, *reader->p++);
                                continue;
                        }
                        *ret_quoted = true;
                        const char *error = read_quoted(reader, &word);
                        if (error)
                                return error;
                }
                if (strlist_consume(values, buf_take(&word)) < 0)
                        return "is more than memory has room for";
        }
}

static struct inetd_option *add_option(struct inetd_line *line, const struct reader *reader) {
        struct inetd_option *options = reallocarray(line->options, line->option_count + 1, sizeof *options);

        if (!options)
                return NULL;
        line->options = options;
        options[line->option_count] = (struct inetd_option){.line = reader->line};
        return &options[line->option_count++];
}

/* One KEY = VALUE…. Returns why it cannot be read, or NULL. */
static const char *read_option(struct reader *reader, struct inetd_line *line) {
        struct inetd_option *option = add_option(line, reader);
        const char *start = reader->p;

        while (reader->p < reader->end && ((*reader->p >= 'a' && *reader->p <= 'z') ||
                                           (*reader->p >= 'A' && *reader->p <= 'Z') || *reader->p == '_'))
                reader->p++;
        if (!option || !(option->key = strndup(start, (size_t)(reader->p - start))))
                return "is more than memory has room for";
        skip_space(reader);
        if (option->key[0] == '\0' || reader->p == reader->end || *reader->p != '=')
                return "has something other than KEY = VALUE";
        reader->p++;
        return read_values(reader, &option->values, &line->quoted);
}

static const char *read_options(struct reader *reader, struct inetd_line *line) {
        for (;;) {
                const char *error;

                skip_space(reader);
                if (reader->p == reader->end)
                        return "has no semicolon at its end";
                error = read_option(reader, line);
                if (error)
                        return error;
                if (*reader->p++ == ';')
                        return NULL;
        }
}

/* Where a definition cannot be read, what is left of its line is left out with it. */
static int read_keyed(struct reader *reader, size_t head_size, bool off) {
        struct inetd_line *line = add_line(reader, INETD_KEYED);
        const char *start = reader->p;
        AUTO(buf_deinit) struct buf head = BUF_NULL;

        if (!line)
                return err_raise(-ENOMEM);
        line->off = off;
        buf_add(&head, start, head_size);
        if (split_words(buf_text(&head), false, &line->words) < 0)
                return err_raise(-ENOMEM);
        reader->p += head_size;
        line->error = read_options(reader, line);
        if (line->error)
                reader->p = line_end(reader);
        line->text = strndup(start, (size_t)(reader->p - start));
        return line->text ? 0 : err_raise(-ENOMEM);
}

static enum inetd_line_kind kind_of(const struct strlist *words) {
        const char *first = words->count > 0 ? words->items[0] : "";

        if (first[0] == '.')
                return INETD_INCLUDE;
        return words->count == 1 && first[0] && first[strlen(first) - 1] == ':' ? INETD_HOST : INETD_ENTRY;
}

/* HOST: SERVICE with a blank between them is HOST:SERVICE. */
static int join_host(struct strlist *words) {
        AUTO(strlist_deinit) struct strlist joined = STRLIST_NULL;
        AUTO(buf_deinit) struct buf first = BUF_NULL;

        if (words->count < 2 || !words->items[0][0] || words->items[0][strlen(words->items[0]) - 1] != ':')
                return 0;
        buf_printf(&first, "%s%s", words->items[0], words->items[1]);
        if (strlist_consume(&joined, buf_take(&first)) < 0)
                return err_raise(-ENOMEM);
        for (size_t i = 2; i < words->count; i++)
                if (strlist_add(&joined, words->items[i]) < 0)
                        return err_raise(-ENOMEM);
        strlist_deinit(words);
        *words = joined;
        joined = STRLIST_NULL;
        return 0;
}

static int read_fields(struct reader *reader, bool indented) {
        struct inetd_line *line = add_line(reader, INETD_ENTRY);
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        int r;

        if (!line)
                return err_raise(-ENOMEM);
        line->indented = indented;
        take_logical_line(reader, &text);
        line->text = buf_take(&text);
        if (!line->text)
                return err_raise(-ENOMEM);
        r = find_words(line, line->text);
        if (r < 0)
                return r;
        line->kind = kind_of(&line->words);
        return join_host(&line->words);
}

/* Reads the line that P is in, or what is left of it behind a semicolon. */
static int read_line(struct reader *reader, bool below_another) {
        size_t head_size;
        bool off, indented = false;

        while (reader->p < reader->end && is_blank(*reader->p)) {
                reader->p++;
                indented = true;
        }
        if (reader->p == reader->end || *reader->p == '\n' || *reader->p == '\r') {
                skip_line(reader);
                return 0;
        }
        if (*reader->p == '#')
                return read_comment(reader);
        head_size = find_switch(reader->p, reader->end, &off);
        return head_size > 0 ? read_keyed(reader, head_size, off) : read_fields(reader, indented && below_another);
}

int inetd_lines_parse(const char *text, struct inetd_lines *ret) {
        AUTO(inetd_lines_deinit) struct inetd_lines lines = INETD_LINES_NULL;
        struct reader reader = {.p = text, .end = text + strlen(text), .line = 1, .lines = &lines};
        unsigned last = 0; /* where the last service ended */

        while (reader.p < reader.end) {
                size_t count = lines.count;
                int r = read_line(&reader, last == reader.line);

                if (r < 0)
                        return r;
                if (lines.count > count && lines.items[count].kind == INETD_ENTRY)
                        last = reader.line;
        }
        *ret = lines;
        lines = INETD_LINES_NULL;
        return 0;
}
