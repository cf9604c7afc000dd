#include "conf/envfile.h"

#include "base/err.h"
#include "conf/refuse.h"

#include <errno.h>
#include <string.h>

struct reader {
        const char *p;
        const char *end;
        const char *line_start;
        struct mark mark; /* of the line; the column is set when needed */
        struct diag *diag;
};

void envfile_deinit(struct envfile *envfile) {
        for (size_t i = 0; i < envfile->count; i++) {
                free(envfile->items[i].name);
                free(envfile->items[i].value);
        }
        free(envfile->items);
        *envfile = ENVFILE_NULL;
}

static int add(struct envfile *envfile, char *own_name, char *own_value, const struct mark *mark) {
        if (envfile->count == envfile->room) {
                size_t room = MAX_OF(envfile->room * 2, (size_t)8);
                struct envfile_entry *items = reallocarray(envfile->items, room, sizeof(*items));

                if (!items) {
                        free(own_name);
                        free(own_value);
                        return err_raise(-ENOMEM);
                }
                envfile->items = items;
                envfile->room = room;
        }
        envfile->items[envfile->count++] = (struct envfile_entry){own_name, own_value, *mark};
        return 0;
}

static struct mark mark_here(const struct reader *reader, const char *at) {
        struct mark mark = reader->mark;

        mark.column = 1;
        for (const char *p = reader->line_start; p < at; p++)
                mark.column += ((unsigned char)*p & 0xc0) != 0x80;
        return mark;
}

static bool at_line_end(const struct reader *reader) {
        return reader->p == reader->end || *reader->p == '\n' ||
               (*reader->p == '\r' && (reader->p + 1 == reader->end || reader->p[1] == '\n'));
}

static void skip_blanks(struct reader *reader) {
        while (reader->p < reader->end && (*reader->p == ' ' || *reader->p == '\t'))
                reader->p++;
}

static void skip_line(struct reader *reader) {
        while (reader->p < reader->end && *reader->p != '\n')
                reader->p++;
}

static void count_newline(struct reader *reader) {
        reader->mark.line++;
        reader->line_start = reader->p + 1;
}

/* Between single quotes everything stands for itself, newlines too, but \', which is '; between double quotes a
 * backslash makes n, t, r what they are in C, and takes their meaning from ", \ and $. */
static bool read_quoted(struct reader *reader, struct buf *value) {
        const struct mark start = mark_here(reader, reader->p);
        struct mark after;
        char quote = *reader->p++;

        for (; reader->p < reader->end && *reader->p != quote; reader->p++) {
                static const char escapes[] = "nrt\"\\$", meanings[] = "\n\r\t\"\\$";
                const char *escape = NULL;

                if (*reader->p == '\n')
                        count_newline(reader);
                if (quote == '"' && *reader->p == '\\' && reader->p + 1 < reader->end && reader->p[1] != '\0')
                        escape = strchr(escapes, reader->p[1]);
                if (quote == '\'' && *reader->p == '\\' && reader->p + 1 < reader->end && reader->p[1] == '\'')
                        reader->p++;
                if (escape)
                        reader->p++;
                buf_add_char(value, escape ? meanings[escape - escapes] : *reader->p);
        }
        if (reader->p == reader->end) {
                diag_error(reader->diag, &start, NULL, "has a %s that is not closed", quote == '"' ? "\"" : "'");
                return false;
        }
        reader->p++;
        skip_blanks(reader);
        if (at_line_end(reader) || *reader->p == '#')
                return true;
        after = mark_here(reader, reader->p);
        diag_error(reader->diag, &after, NULL, "has text after the closing quote");
        return false;
}

/* Up to a comment, which needs a blank before it, or the end of the line; blanks at the end do not count. */
static void read_plain(struct reader *reader, struct buf *value) {
        const char *start = reader->p, *last = start;

        for (; !at_line_end(reader); reader->p++) {
                bool blank = *reader->p == ' ' || *reader->p == '\t';

                if (*reader->p == '#' && (reader->p == start || reader->p[-1] == ' ' || reader->p[-1] == '\t'))
                        break;
                if (!blank)
                        last = reader->p + 1;
        }
        buf_add(value, start, (size_t)(last - start));
}

static char *read_name(struct reader *reader, struct mark *ret_mark) {
        static const char export[] = "export";
        const size_t n = sizeof(export) - 1;
        const char *start;

        if ((size_t)(reader->end - reader->p) > n && strncmp(reader->p, export, n) == 0 &&
            (reader->p[n] == ' ' || reader->p[n] == '\t')) {
                reader->p += n;
                skip_blanks(reader);
        }
        start = reader->p;
        *ret_mark = mark_here(reader, start);
        while (!at_line_end(reader) && !strchr("=: \t#", *reader->p))
                reader->p++;
        return strndup(start, (size_t)(reader->p - start));
}

/* Reads NAME=VALUE, NAME: VALUE or NAME; the reader is behind its blanks. */
static int read_entry(struct reader *reader, struct envfile *ret) {
        AUTO(buf_deinit) struct buf value = BUF_NULL;
        struct mark mark;
        AUTO(freep) char *name = read_name(reader, &mark);
        const char *problem;
        bool has_value;

        if (!name)
                return err_raise(-ENOMEM);
        problem = refuse_env_name(name);
        if (problem) {
                diag_error(reader->diag, &mark, NULL, "'%.64s' %s", name, problem);
                return 0;
        }
        skip_blanks(reader);
        has_value = reader->p < reader->end && (*reader->p == '=' || *reader->p == ':');
        if (has_value) {
                reader->p++;
                skip_blanks(reader);
                if (!at_line_end(reader) && (*reader->p == '"' || *reader->p == '\'')) {
                        if (!read_quoted(reader, &value))
                                return 0;
                } else {
                        read_plain(reader, &value);
                }
        } else if (!at_line_end(reader) && *reader->p != '#') {
                mark = mark_here(reader, reader->p);
                diag_error(reader->diag, &mark, NULL, "has a blank in the name; write NAME=VALUE");
                return 0;
        }
        if (!has_value)
                return add(ret, take_ptr(name), NULL, &mark);
        if (buf_failed(&value))
                return err_raise(-ENOMEM);
        return add(ret, take_ptr(name), buf_take(&value), &mark);
}

int envfile_parse(const char *name, const struct buf *text, struct envfile *ret, struct diag *diag) {
        static const char bom[] = "\xef\xbb\xbf";
        const char *start = buf_text(text);
        struct reader reader = {
                .p = strncmp(start, bom, 3) == 0 ? start + 3 : start,
                .end = start + text->size,
                .mark = {.file = name, .line = 1},
                .diag = diag,
        };
        int r = 0;

        if (memchr(start, '\0', text->size)) {
                diag_error(diag, &(struct mark){.file = name}, NULL, "has the byte 0 in it");
                return 0;
        }
        reader.line_start = reader.p;
        while (reader.p < reader.end && r == 0) {
                skip_blanks(&reader);
                if (!at_line_end(&reader) && *reader.p != '#')
                        r = read_entry(&reader, ret);
                skip_line(&reader);
                if (reader.p < reader.end) {
                        count_newline(&reader);
                        reader.p++;
                }
        }
        return r;
}
