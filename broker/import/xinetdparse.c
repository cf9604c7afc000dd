/* The grammar of xinetd.conf(5): entries in braces that stand on lines of their own, one assignment a line, words
 * between blanks without any quoting, comments that begin a line. */
#include "base/strlist.h"
#include "import/source.h"
#include "import/xinetd.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define BLANKS " \t\v\f"
#define DEPTH_MAX 16

bool xinetd_is_list(const char *name) {
        static const char *const names[] = {"only_from", "no_access", "log_on_success", "log_on_failure",
                                            "passenv",   "env",       "disabled",       "enabled"};

        for (size_t i = 0; i < LENGTH_OF(names); i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        return false;
}

struct xinetd_attr *xinetd_find(const struct xinetd_entry *entry, const char *name) {
        for (struct xinetd_attr *attr = entry->attrs; attr; attr = attr->next)
                if (strcmp(attr->name, name) == 0)
                        return attr;
        return NULL;
}

static struct xinetd_attr *add_attr(struct sheet *sheet, struct xinetd_entry *entry, const char *name) {
        struct xinetd_attr *attr = sheet_alloc(sheet, sizeof(*attr)), **p = &entry->attrs;

        if (!attr)
                return NULL;
        attr->name = name;
        while (*p)
                p = &(*p)->next;
        return *p = attr;
}

static void add_word(struct sheet *sheet, struct xinetd_attr *attr, const char *text, struct xinetd_line *line) {
        struct xinetd_word *word = sheet_alloc(sheet, sizeof(*word)), **p = &attr->words;

        if (!word)
                return;
        word->text = text;
        word->line = line;
        while (*p)
                p = &(*p)->next;
        *p = word;
}

static bool remove_word(struct xinetd_attr *attr, const char *text) {
        bool found = false;

        for (struct xinetd_word **p = &attr->words; *p;)
                if (strcmp((*p)->text, text) == 0) {
                        (*p)->line->used = true;
                        *p = (*p)->next;
                        found = true;
                } else {
                        p = &(*p)->next;
                }
        return found;
}

/* The line with single blanks, which is also what its words are cut out of. */
static char *collapse(struct sheet *sheet, const char *line) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        while (*(line += strspn(line, BLANKS))) {
                size_t n = strcspn(line, BLANKS);

                if (text.size > 0)
                        buf_add_char(&text, ' ');
                buf_add(&text, line, n);
                line += n;
        }
        if (buf_failed(&text))
                sheet->failed = true;
        return sheet_copy(sheet, buf_text(&text));
}

static struct xinetd_line *add_line(struct sheet *sheet, struct xinetd_entry *entry, const char *text,
                                    const struct mark *mark) {
        struct xinetd_line *line = sheet_alloc(sheet, sizeof(*line)), **p = &entry->lines;

        if (!line)
                return NULL;
        line->text = text;
        line->mark = *mark;
        while (*p)
                p = &(*p)->next;
        return *p = line;
}

/* Takes the name and the operator off the front of *P: '=', '+' or '-'. Returns the name in small letters, since
 * capitals mean nothing to xinetd; NULL when it is no assignment. */
static char *cut_name(struct sheet *sheet, const char **p, char *ret_operator) {
        const char *name = *p + strspn(*p, BLANKS), *rest;
        char *small;
        size_t n = strcspn(name, BLANKS "=+-");

        rest = name + n + strspn(name + n, BLANKS);
        *ret_operator = *rest;
        if (*rest == '+' || *rest == '-')
                rest++;
        if (n == 0 || *rest != '=')
                return NULL;
        *p = rest + 1;
        small = sheet_printf(sheet, "%.*s", (int)n, name);
        for (char *letter = small; letter && *letter; letter++)
                *letter = (char)tolower((unsigned char)*letter);
        return small;
}

/* Words of the assignment LINE, from VALUES on, into the attribute. '=' replaces what the service had, and in
 * defaults it adds to a list as += does. */
static void assign(struct xinetd *xinetd, struct xinetd_entry *entry, struct xinetd_attr *attr, char operator,
                   char * values) {
        struct sheet *sheet = &xinetd->import->sheet;
        struct xinetd_line *line = attr->line;
        char *state;

        if (operator== '=' && entry != & xinetd->defaults)
                attr->words = NULL;
        for (char *word = strtok_r(values, BLANKS, &state); word; word = strtok_r(NULL, BLANKS, &state))
                if (operator!= '-')
                        add_word(sheet, attr, word, line);
                else if (remove_word(attr, word))
                        line->used = true;
}

static void break_entry(struct sheet *sheet, struct xinetd_entry *entry, const struct mark *mark, const char *line,
                        const char *why) {
        if (entry->broken)
                return;
        entry->broken = sheet_printf(sheet, "%s: %s", line ? line : "", why);
        entry->broken_at = *mark;
}

/* Whether a blank stands in front of the operator. */
static bool is_spaced(const char *text) {
        text += strspn(text, BLANKS);
        text += strcspn(text, BLANKS "=+-");
        return *text && strchr(BLANKS, *text);
}

static void read_assignment(struct xinetd *xinetd, struct xinetd_entry *entry, char *text, const struct mark *mark) {
        struct sheet *sheet = &xinetd->import->sheet;
        const char *p = text;
        struct xinetd_attr *attr;
        struct xinetd_line *line;
        char operator, * name, *shown = collapse(sheet, text);

        name = cut_name(sheet, &p, &operator);
        if (!name) {
                break_entry(sheet, entry, mark, shown, "not an assignment");
                return;
        }
        if (!is_spaced(text))
                break_entry(sheet, entry, mark, shown,
                            "xinetd wants a blank in front of the operator, and does not start the service");
        if (operator== '-' && strcmp(name, "env") == 0 && entry != &xinetd->defaults)
                break_entry(sheet, entry, mark, shown, "env knows no -= in xinetd, which does not start the service");
        line = add_line(sheet, entry, shown, mark);
        attr = xinetd_find(entry, name);
        if (!line || (!xinetd_is_list(name) && ((attr && attr->line) || operator!= '=')))
                return; /* the first = counts; this one stays unused */
        if (!attr)
                attr = add_attr(sheet, entry, name);
        if (!attr)
                return;
        attr->line = line;
        assign(xinetd, entry, attr, operator, text +(p - text));
}

/* The next line that is neither empty nor a comment. */
static char *next_line(struct source *source, struct mark *mark) {
        char *line;

        do {
                line = source_line(source, mark);
        } while (line && (line[strspn(line, BLANKS)] == '\0' || line[strspn(line, BLANKS)] == '#'));
        return line;
}

static bool is_only(const char *line, char c) {
        line += strspn(line, BLANKS);
        return line[0] == c && line[1 + strspn(line + 1, BLANKS)] == '\0';
}

/* Passes over what stands in braces. */
static void skip_entry(struct source *source) {
        struct mark mark;
        char *line;

        do {
                line = next_line(source, &mark);
        } while (line && !is_only(line, '}'));
}

/* Reads what stands in braces. False where there are none. */
static bool read_entry(struct xinetd *xinetd, struct source *source, struct xinetd_entry *entry) {
        struct mark mark = entry->mark;
        char *line = next_line(source, &mark);

        if (!line || !is_only(line, '{')) {
                sheet_refuse(&xinetd->import->sheet.top, &mark,
                             "%s: a line with { alone is missing, and nothing is read up to the next }",
                             entry->name ? entry->name : "defaults");
                if (line && !is_only(line, '}'))
                        skip_entry(source);
                return false;
        }
        while ((line = next_line(source, &mark)) && !is_only(line, '}'))
                read_assignment(xinetd, entry, line, &mark);
        if (!line && !entry->broken) {
                entry->broken = "a line with } alone is missing";
                entry->broken_at = entry->mark;
        }
        return true;
}

/* Lists that count in services alone, or in defaults alone. */
static bool is_own_list(const char *name) {
        return strcmp(name, "env") == 0 || strcmp(name, "disabled") == 0 || strcmp(name, "enabled") == 0;
}

/* The lists of defaults begin those of a service. */
static void inherit_lists(struct xinetd *xinetd, struct xinetd_entry *entry) {
        struct sheet *sheet = &xinetd->import->sheet;

        for (const struct xinetd_attr *from = xinetd->defaults.attrs; from; from = from->next) {
                struct xinetd_attr *attr;

                if (!xinetd_is_list(from->name) || is_own_list(from->name))
                        continue;
                attr = add_attr(sheet, entry, from->name);
                for (const struct xinetd_word *word = from->words; word && attr; word = word->next)
                        add_word(sheet, attr, word->text, word->line);
        }
}

static void read_service(struct xinetd *xinetd, struct source *source, const char *name, const struct mark *mark) {
        struct xinetd_entry *entry = sheet_alloc(&xinetd->import->sheet, sizeof(*entry));

        if (!entry)
                return;
        entry->name = name;
        entry->mark = *mark;
        inherit_lists(xinetd, entry);
        if (!read_entry(xinetd, source, entry))
                return;
        if (xinetd->last)
                xinetd->last->next = entry;
        else
                xinetd->first = entry;
        xinetd->last = entry;
}

static void read_defaults(struct xinetd *xinetd, struct source *source, const struct mark *mark) {
        struct xinetd_entry ignored = {.mark = *mark};

        if (xinetd->has_defaults) {
                read_entry(xinetd, source, &ignored);
                for (const struct xinetd_line *line = ignored.lines; line; line = line->next)
                        sheet_note(&xinetd->import->sheet.top, SHEET_END, &line->mark,
                                   "defaults: %s: not used; only the first defaults count", line->text);
                return;
        }
        xinetd->has_defaults = true;
        xinetd->defaults.mark = *mark;
        read_entry(xinetd, source, &xinetd->defaults);
}

/* As xinetd has it: no backups, nothing with an extension. */
static int is_included(const struct dirent *entry) {
        size_t n = strlen(entry->d_name);

        return !strchr(entry->d_name, '.') && entry->d_name[n - 1] != '~';
}

void xinetd_read_directory(struct xinetd *xinetd, const char *path, const struct mark *mark) {
        struct dirent **entries;
        int n = source_scan(path, &entries, is_included);

        if (n < 0) {
                sheet_refuse(&xinetd->import->sheet.top, mark, "%s cannot be read: %s", path, strerror(errno));
                return;
        }
        for (int i = 0; i < n; i++) {
                size_t length = strlen(path);
                char *file = sheet_printf(&xinetd->import->sheet, "%s%s%s", path,
                                          length > 0 && path[length - 1] == '/' ? "" : "/", entries[i]->d_name);

                if (file)
                        xinetd_read(xinetd, file, mark);
                free(entries[i]);
        }
        free(entries);
}

/* One line outside of braces, and what belongs to it. */
static void read_top(struct xinetd *xinetd, struct source *source, char *line, const struct mark *mark) {
        struct sheet *sheet = &xinetd->import->sheet;
        char *state, *keyword, *name, *shown = collapse(sheet, line);

        if (is_only(line, '{')) {
                sheet_refuse(&sheet->top, mark, "{: what stands in these braces is not read");
                skip_entry(source);
                return;
        }
        keyword = strtok_r(line, BLANKS, &state);
        name = strtok_r(NULL, BLANKS, &state);
        if (!keyword || !shown)
                return;
        if (strcasecmp(keyword, "defaults") == 0) {
                read_defaults(xinetd, source, mark);
        } else if (strcasecmp(keyword, "service") == 0 && name) {
                read_service(xinetd, source, name, mark);
        } else if (strcasecmp(keyword, "include") == 0 && name) {
                xinetd_read(xinetd, name, mark);
        } else if (strcasecmp(keyword, "includedir") == 0 && name) {
                xinetd_read_directory(xinetd, name, mark);
        } else {
                sheet_refuse(&sheet->top, mark, "%s: neither a service nor defaults begin like that", shown);
        }
}

void xinetd_read(struct xinetd *xinetd, const char *path, const struct mark *from) {
        struct xinetd_file this = {
                .path = path,
                .up = xinetd->reading,
                .depth = xinetd->reading ? xinetd->reading->depth + 1 : 0,
        };
        struct sheet *sheet = &xinetd->import->sheet;
        struct source source;
        struct mark mark;
        char *line;

        for (const struct xinetd_file *file = xinetd->reading; file; file = file->up)
                if (strcmp(file->path, path) == 0 || file->depth >= DEPTH_MAX) {
                        sheet_refuse(&sheet->top, from, "%s is not read again: files include each other", path);
                        return;
                }
        if (!source_open(&source, sheet, path, from))
                return;
        xinetd->reading = &this;
        while ((line = next_line(&source, &mark)))
                read_top(xinetd, &source, line, &mark);
        xinetd->reading = this.up;
}
