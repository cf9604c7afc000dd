#include "import/unitfile.h"

#include "base/err.h"
#include "base/utf8.h"

#include <errno.h>
#include <strings.h>

#define BLANKS " \t\r\n\f\v"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

struct reader {
        const char *p;
        const char *end;
        struct mark mark;   /* of the line that is being read */
        struct buf line;    /* lines that a backslash joins */
        struct mark start;  /* where it begins */
        struct buf section; /* the current one */
        bool has_section;   /* one has begun */
        bool is_full;       /* and that was said */
        struct unitfile *unit;
        struct diag *diag;
};

void unitfile_deinit(struct unitfile *unit) {
        for (size_t i = 0; i < unit->count; i++) {
                free(unit->items[i].section);
                free(unit->items[i].name);
                free(unit->items[i].value);
        }
        free(unit->items);
        *unit = UNITFILE_NULL;
}

static bool is_blank(char c) {
        return c != '\0' && strchr(BLANKS, c) != NULL;
}

/* Cuts blanks off both ends of the SIZE bytes at *TEXT. */
static size_t trim(const char **text, size_t size) {
        for (; size > 0 && is_blank(**text); size--)
                (*text)++;
        while (size > 0 && is_blank((*text)[size - 1]))
                size--;
        return size;
}

static int add_entry(struct reader *reader, const char *name, size_t name_size, const char *value, size_t value_size) {
        struct unitfile *unit = reader->unit;
        struct unit_entry *entry;

        if (unit->count == UNITFILE_MAX) {
                if (!reader->is_full)
                        diag_error(reader->diag, &reader->start, NULL, "there are more than %d lines", UNITFILE_MAX);
                reader->is_full = true;
                return 0;
        }
        if (unit->count == unit->room) {
                size_t room = MAX_OF(unit->room * 2, (size_t)16);
                struct unit_entry *items = reallocarray(unit->items, room, sizeof(*items));

                if (!items)
                        return err_raise(-ENOMEM);
                unit->items = items;
                unit->room = room;
        }
        entry = &unit->items[unit->count];
        *entry = (struct unit_entry){
                .section = strdup(buf_text(&reader->section)),
                .name = strndup(name, name_size),
                .value = strndup(value, value_size),
                .mark = reader->start,
        };
        unit->count++; /* from here on it is freed with the others */
        return entry->section && entry->name && entry->value ? 0 : err_raise(-ENOMEM);
}

static int read_section(struct reader *reader, const char *text, size_t size) {
        if (text[size - 1] != ']') {
                diag_error(reader->diag, &reader->start, NULL, "a section has a [ without its ]");
                return 0;
        }
        buf_clear(&reader->section);
        buf_add(&reader->section, text + 1, size - 2);
        reader->has_section = true;
        return buf_failed(&reader->section) ? err_raise(-ENOMEM) : 0;
}

static bool is_text(const char *text, size_t size) {
        for (const char *p = text; p < text + size;) {
                size_t n = utf8_sequence((const unsigned char *)p);

                if (n == 0 || *p == '\0')
                        return false;
                p += n;
        }
        return true;
}

/* One line, or several that are joined. */
static int read_logical_line(struct reader *reader) {
        const char *text = buf_text(&reader->line), *equals;
        size_t size = trim(&text, reader->line.size), name_size;

        if (size == 0)
                return 0;
        if (!is_text(text, size)) {
                diag_warning(reader->diag, &reader->start, NULL, "the line is not UTF-8, and means nothing to systemd");
                return 0;
        }
        if (text[0] == '[')
                return read_section(reader, text, size);
        equals = memchr(text, '=', size);
        if (!equals || equals == text) {
                diag_warning(reader->diag, &reader->start, NULL, "the line is no NAME=VALUE, and means nothing");
                return 0;
        }
        name_size = (size_t)(equals - text);
        size -= name_size + 1;
        equals++;
        if (!reader->has_section) {
                diag_warning(reader->diag, &reader->start, NULL, "%.*s stands in no section, and means nothing",
                             (int)MIN_OF(name_size, (size_t)64), text);
                return 0;
        }
        name_size = trim(&text, name_size);
        size = trim(&equals, size);
        return add_entry(reader, text, name_size, equals, size);
}

/* Whether the line goes on in the next one: it ends in a backslash that no other one takes its meaning from. */
static bool goes_on(const struct buf *line) {
        bool escaped = false;

        for (size_t i = 0; i < line->size; i++)
                escaped = !escaped && line->data[i] == '\\';
        return escaped;
}

/* Comments are left out also between lines that a backslash joins. */
static bool is_comment(const char *line, size_t size) {
        size = trim(&line, size);
        return size > 0 && (*line == '#' || *line == ';');
}

static int end_line(struct reader *reader) {
        int r;

        if (buf_failed(&reader->line))
                return err_raise(-ENOMEM);
        r = read_logical_line(reader);
        buf_clear(&reader->line);
        return r;
}

static int read_line(struct reader *reader, const char *line, size_t size) {
        const char *text = line;

        if (is_comment(line, size))
                return 0;
        if (size > 0 && line[size - 1] == '\r')
                size--;
        if (reader->line.size == 0) {
                size_t rest = trim(&text, size);

                reader->start = reader->mark;
                reader->start.column = rest > 0 ? (unsigned)(text - line) + 1 : 1;
        }
        buf_add(&reader->line, line, size);
        if (goes_on(&reader->line)) {
                reader->line.data[reader->line.size - 1] = ' ';
                return 0;
        }
        return end_line(reader);
}

static int read_lines(struct reader *reader) {
        int r = 0;

        for (; r >= 0 && reader->p < reader->end; reader->mark.line++) {
                const char *end = memchr(reader->p, '\n', (size_t)(reader->end - reader->p));
                size_t size = (size_t)((end ? end : reader->end) - reader->p);

                r = read_line(reader, reader->p, size);
                reader->p += size + (end != NULL);
        }
        return r >= 0 && reader->line.size > 0 ? end_line(reader) : r;
}

int unitfile_parse(const char *file, const struct buf *text, struct unitfile *ret, struct diag *diag) {
        struct reader reader = {
                .p = buf_text(text),
                .end = buf_text(text) + text->size,
                .mark = {.file = file, .line = 1, .column = 1},
                .unit = ret,
                .diag = diag,
        };
        int r;

        if (strncmp(reader.p, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
                reader.p += strlen(BYTE_ORDER_MARK);
        r = read_lines(&reader);
        buf_deinit(&reader.line);
        buf_deinit(&reader.section);
        return r;
}

const struct unit_entry *unitfile_last(const struct unitfile *unit, const char *section, const char *name) {
        for (size_t i = unit->count; i-- > 0;)
                if (strcmp(unit->items[i].section, section) == 0 && strcmp(unit->items[i].name, name) == 0)
                        return &unit->items[i];
        return NULL;
}

bool unitfile_read_bool(const char *text, bool *ret) {
        static const char *const names[] = {"0", "1", "no", "yes", "n", "y", "false", "true", "f", "t", "off", "on"};

        for (size_t i = 0; i < LENGTH_OF(names); i++)
                if (strcasecmp(text, names[i]) == 0) {
                        *ret = i % 2 == 1;
                        return true;
                }
        return false;
}
