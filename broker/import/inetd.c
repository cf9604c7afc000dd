/* inetd's files to definitions: what holds for several lines at once, and which lines are about the same. */
#include "import/import.h"
#include "import/inetdservice.h"
#include "import/source.h"

#include <errno.h>
#include <glob.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define DEPTH_MAX 16 /* of files that include each other */

/* A file that is being read, and those that include it. */
struct chain {
        const char *path;
        const struct chain *above;
};

struct reader {
        struct import *import;
        struct sheet *sheet;
        struct inetd_entry *first, *last;
        const char *host;   /* for lines that name none */
        const char *policy; /* for the lines that follow; NULL: none */
        struct mark policy_mark;
        bool policy_used;
        const char *heading; /* of the services that follow; NULL: none, or one of them has it */
        const struct chain *chain;
        bool netbsd; /* what shows whose file it is */
        bool gnu;
        bool debian;
        struct mark debian_mark;
        struct nameset asked; /* names of tcpmux services */
};

static void read_file(struct reader *reader, const char *path, const struct mark *from);

static bool is_same_file(const char *a, const char *b) {
        struct stat one, two;

        if (strcmp(a, b) == 0)
                return true;
        return stat(a, &one) == 0 && stat(b, &two) == 0 && one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

/* Whether PATH can be read now: it is not being read already, and files do not include each other without end. */
static bool check_chain(const struct reader *reader, const char *path, const struct mark *from) {
        unsigned depth = 0;

        for (const struct chain *above = reader->chain; above; above = above->above) {
                if (!is_same_file(above->path, path) && ++depth < DEPTH_MAX)
                        continue;
                sheet_refuse(&reader->sheet->top, from, "%s is not read again: %s", path,
                             depth < DEPTH_MAX ? "it includes itself" : "too many files include each other");
                return false;
        }
        return true;
}

static void note_debian(struct reader *reader, struct mark mark) {
        if (!reader->debian)
                reader->debian_mark = mark;
        reader->debian = true;
}

/* The headings of update-inetd(8), #:NAME: TEXT, and the mark of whoever put the file into a repository. */
static void read_comment(struct reader *reader, const char *text, struct mark mark) {
        size_t size = text[1] == ':' ? strspn(text + 2, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") : 0;

        if (strstr(text, "$NetBSD"))
                reader->netbsd = true;
        if (size == 0 || text[2 + size] != ':')
                return;
        note_debian(reader, mark);
        reader->heading = sheet_copy(reader->sheet, text + 2);
}

static void note_policy(struct reader *reader) {
        if (reader->policy && !reader->policy_used)
                sheet_note(&reader->sheet->top, SHEET_HEAD, &reader->policy_mark, "#@ %s: no service follows it",
                           reader->policy);
}

static void read_policy(struct reader *reader, const struct inetd_line *line, struct mark mark) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        note_policy(reader);
        for (size_t i = 0; i < line->words.count; i++)
                buf_printf(&text, "%s%s", i > 0 ? " " : "", line->words.items[i]);
        reader->policy = line->words.count > 0 ? sheet_copy(reader->sheet, buf_text(&text)) : NULL;
        reader->policy_mark = mark;
        reader->policy_used = false;
}

static void read_host(struct reader *reader, const char *word) {
        char *host = sheet_copy(reader->sheet, word);
        size_t size;

        if (!host)
                return;
        size = strlen(host) - 1;
        host[size] = '\0';
        if (size > 2 && host[0] == '[' && host[size - 1] == ']' && !strchr(host, ',')) {
                host[size - 1] = '\0';
                host++;
        }
        reader->host = host;
}

/* Files that a pattern matches, in the order of their names; what they say of addresses and policies ends with them. */
static void read_pattern(struct reader *reader, const char *pattern, const struct mark *mark) {
        const struct reader saved = *reader;
        glob_t found;
        int r = glob(pattern, 0, NULL, &found);

        if (r != 0) {
                sheet_note(&reader->sheet->top, SHEET_HEAD, mark, ".include %s: %s", pattern,
                           r == GLOB_NOMATCH ? "there is no such file" : "cannot be searched for");
                return;
        }
        for (size_t i = 0; i < found.gl_pathc; i++) {
                reader->host = saved.host;
                reader->policy = saved.policy;
                reader->policy_mark = saved.policy_mark;
                reader->policy_used = reader->policy_used || saved.policy_used;
                read_file(reader, found.gl_pathv[i], mark);
                if (reader->policy != saved.policy)
                        note_policy(reader);
        }
        globfree(&found);
        reader->host = saved.host;
        reader->policy = saved.policy;
        reader->policy_mark = saved.policy_mark;
        reader->policy_used = reader->policy_used || saved.policy_used;
}

static void read_include(struct reader *reader, const struct inetd_line *line, struct mark mark) {
        const char *pattern = line->words.count > 1 ? line->words.items[1] : NULL;
        char *directory;

        reader->netbsd = true;
        if (strcmp(line->words.items[0], ".include") != 0 || !pattern) {
                sheet_refuse(&reader->sheet->top, &mark, "'%s' is not a directive of NetBSD's inetd", line->text);
                return;
        }
        directory = sheet_copy(reader->sheet, mark.file);
        if (pattern[0] != '/' && directory && strchr(mark.file, '/'))
                pattern = sheet_printf(reader->sheet, "%s/%s", dirname(directory), pattern);
        if (pattern)
                read_pattern(reader, pattern, &mark);
}

static void add_entry(struct reader *reader, struct inetd_entry *entry) {
        if (reader->last)
                reader->last->next = entry;
        else
                reader->first = entry;
        reader->last = entry;
}

/* A server that is to wait for its socket gets one: of several addresses each has a server of its own. */
static void add_entries(struct reader *reader, struct inetd_entry *entry) {
        const char *list = entry->host;

        if (!entry->wait || !entry->server || !strchr(list, ',')) {
                add_entry(reader, entry);
                return;
        }
        while (*list) {
                struct inetd_entry *copy = sheet_alloc(reader->sheet, sizeof(*copy));
                size_t size = strcspn(list, ",");

                if (!copy)
                        return;
                *copy = *entry;
                copy->host = sheet_printf(reader->sheet, "%.*s", (int)size, list);
                list += size + (list[size] == ',');
                if (copy->host && copy->host[0])
                        add_entry(reader, copy);
        }
}

static void read_entry(struct reader *reader, const struct inetd_line *line, struct mark mark) {
        struct inetd_entry *entry = inetd_entry_new(reader->sheet, mark.file, line);

        if (!entry)
                return;
        if (line->kind == INETD_KEYED || entry->accept_max != INETD_UNSET || entry->filter ||
            strncmp(entry->protocol, "faith/", 6) == 0)
                reader->netbsd = true;
        if (strstr(entry->protocol, "6only"))
                reader->gnu = true;
        if (line->kind == INETD_ENTRY && line->off)
                note_debian(reader, mark);
        if (!entry->host || entry->family == AF_UNIX)
                entry->host = entry->family == AF_UNIX ? "*" : reader->host;
        if (line->kind == INETD_KEYED && !entry->refusal)
                inetd_keyed_infer(reader->sheet, entry);
        if (entry->host[strspn(entry->host, ",")] == '\0')
                inetd_entry_refuse(reader->sheet, entry, "there is no address in front of its colon");
        entry->policy = reader->policy;
        entry->policy_mark = reader->policy_mark;
        reader->policy_used = true;
        entry->heading = reader->heading;
        reader->heading = NULL;
        add_entries(reader, entry);
}

static void read_line(struct reader *reader, const char *file, const struct inetd_line *line) {
        const struct mark mark = {.file = file, .line = line->line};

        switch (line->kind) {
        case INETD_ENTRY:
        case INETD_KEYED:
                read_entry(reader, line, mark);
                break;
        case INETD_HOST:
                read_host(reader, line->words.items[0]);
                break;
        case INETD_POLICY:
                read_policy(reader, line, mark);
                break;
        case INETD_INCLUDE:
                read_include(reader, line, mark);
                break;
        case INETD_COMMENT:
                read_comment(reader, line->text, mark);
                break;
        }
}

static void read_file(struct reader *reader, const char *path, const struct mark *from) {
        AUTO(inetd_lines_deinit) struct inetd_lines lines = INETD_LINES_NULL;
        struct chain chain = {.path = path, .above = reader->chain};
        struct source source;

        if (!check_chain(reader, path, from))
                return;
        if (!source_open(&source, reader->sheet, path, from))
                return;
        if (inetd_lines_parse(source.next, &lines) < 0) {
                reader->sheet->failed = true;
                return;
        }
        reader->chain = &chain;
        for (size_t i = 0; i < lines.count; i++)
                read_line(reader, source.name, &lines.items[i]);
        reader->chain = chain.above;
}

static void find_port(struct reader *reader, struct inetd_entry *entry) {
        if (entry->refusal || entry->mux != INETD_MUX_NO || entry->family == AF_UNIX ||
            portnames_find(&reader->import->ports, entry->service, entry->base, &entry->port))
                return;
        if (!entry->server)
                entry->port = inetd_builtin_port(entry->service);
        entry->unknown = entry->port == 0;
}

static bool is_in_use(const struct inetd_entry *entry) {
        return !entry->off && !entry->refusal && !entry->unknown && !entry->replaced_by;
}

/* Whether Linux gives a socket to one of the two alone. */
static bool is_same_place(const struct inetd_entry *a, const struct inetd_entry *b) {
        if (a->mux != INETD_MUX_NO || b->mux != INETD_MUX_NO)
                return a->mux != INETD_MUX_NO && b->mux != INETD_MUX_NO && strcasecmp(a->service, b->service) == 0;
        if (a->family == AF_UNIX || b->family == AF_UNIX)
                return a->family == b->family && strcmp(a->service, b->service) == 0;
        return a->port == b->port && strcmp(a->base, b->base) == 0 && inetd_listen_overlaps(a, b);
}

/* Of two lines for one service inetd takes the later; of two for one socket the earlier has it. */
static void settle(struct reader *reader, struct inetd_entry *entry) {
        for (struct inetd_entry *other = reader->first; other != entry && is_in_use(entry); other = other->next) {
                if (!is_in_use(other) || !is_same_place(other, entry))
                        continue;
                if (strcmp(other->protocol, entry->protocol) == 0 && strcmp(other->host, entry->host) == 0)
                        other->replaced_by = entry;
                else
                        inetd_entry_refuse(reader->sheet, entry,
                                           "its address is taken by %s:%u, and two cannot share it", other->mark.file,
                                           other->mark.line);
        }
}

static enum inetd_dialect find_dialect(const struct reader *reader) {
        if (reader->netbsd)
                return INETD_NETBSD;
        if (reader->gnu)
                return INETD_GNU;
        return reader->debian ? INETD_DEBIAN : INETD_BSD;
}

/* With GNU inetd tcp6 is both, and tcp6only what the others mean by tcp6. */
static void mend_family(struct inetd_entry *entry) {
        size_t size = strlen(entry->protocol);

        if (entry->family == AF_INET6 && size > 0 && entry->protocol[size - 1] == '6')
                entry->family = AF_UNSPEC;
}

/* The names that clients ask for, which no other service can have. */
static void find_asked(struct reader *reader) {
        for (struct inetd_entry *entry = reader->first; entry; entry = entry->next)
                if (entry->mux != INETD_MUX_NO &&
                    nameset_put(&reader->asked, entry->service, &(struct nameset_item){.mark = entry->mark}) < 0)
                        reader->sheet->failed = true;
}

/* The second of one name has its protocol behind it, echo-udp, and a third of these a number. */
static const char *choose_name(const struct reader *reader, const struct inetd_entry *entry) {
        const char *base = inetd_service_name(reader->sheet, entry);
        char *name;

        if (!base || entry->mux != INETD_MUX_NO ||
            (!sheet_is_named(reader->sheet, base) && !nameset_find(&reader->asked, base)))
                return base;
        name = sheet_printf(reader->sheet, "%s-%s", base, entry->protocol);
        for (char *p = name; p && *p; p++)
                if (*p == '/')
                        *p = '-';
        return name ? sheet_number(reader->sheet, name) : NULL;
}

static void write_head(struct reader *reader, enum inetd_dialect dialect) {
        static const char *const whose[] = {
                [INETD_BSD] = "inetd",
                [INETD_DEBIAN] = "inetd",
                [INETD_NETBSD] = "NetBSD's inetd",
                [INETD_GNU] = "GNU inetd",
        };

        if (reader->first)
                sheet_remark(&reader->sheet->top, SHEET_HEAD,
                             "Written out is what %s does where a line says nothing: as many programs at a time as "
                             "there are "
                             "clients, but %d starts in a minute at most, and none for ten minutes beyond that; stderr "
                             "goes to the client.",
                             whose[dialect], (int)inetd_default_rate(dialect));
        if (dialect != INETD_DEBIAN)
                return;
        for (const struct inetd_entry *entry = reader->first; entry; entry = entry->next)
                if (!entry->refusal && entry->family == AF_INET && !entry->family_written &&
                    strcmp(entry->host, "*") == 0) {
                        sheet_note(
                                &reader->sheet->top, SHEET_HEAD, &reader->debian_mark,
                                "tcp and udp are IPv4 here, as nearly everywhere; if this file is openbsd-inetd's of "
                                "Debian, they are IPv6 too: write the port alone");
                        return;
                }
}

/* The line that is taken in place of ENTRY, or itself. */
static const struct inetd_entry *winner_of(const struct inetd_entry *entry) {
        while (entry->replaced_by)
                entry = entry->replaced_by;
        return entry;
}

static void write_all(struct reader *reader, enum inetd_dialect dialect) {
        for (struct inetd_entry *entry = reader->first; entry; entry = entry->next) {
                const char *name = entry->replaced_by ? NULL : choose_name(reader, entry);
                struct sheet_service *service = name ? sheet_add(reader->sheet, name, &entry->mark) : NULL;

                if (!service)
                        continue;
                if (entry->heading)
                        sheet_remark(service, SHEET_HEAD, "%s", entry->heading);
                for (struct inetd_entry *other = reader->first; other != entry; other = other->next)
                        if (winner_of(other) == entry)
                                sheet_note(
                                        service, SHEET_HEAD, &other->mark,
                                        "left out, since line %u of %s is for the same, and inetd takes the later: %s",
                                        entry->mark.line, entry->mark.file, other->text);
                inetd_service_write(service, dialect, entry);
        }
}

void import_inetd(struct import *import) {
        struct reader reader = {.import = import, .sheet = &import->sheet};
        enum inetd_dialect dialect;

        for (char *const *file = import->files; *file; file++) {
                reader.host = "*";
                reader.policy = NULL;
                read_file(&reader, *file, NULL);
                note_policy(&reader);
        }
        dialect = find_dialect(&reader);
        for (struct inetd_entry *entry = reader.first; entry; entry = entry->next) {
                if (dialect == INETD_GNU)
                        mend_family(entry);
                find_port(&reader, entry);
        }
        for (struct inetd_entry *entry = reader.first; entry; entry = entry->next)
                settle(&reader, entry);
        find_asked(&reader);
        write_head(&reader, dialect);
        write_all(&reader, dialect);
        nameset_deinit(&reader.asked);
}
