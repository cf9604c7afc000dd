#include "import/portnames.h"

#include "base/number.h"
#include "import/source.h"

#include <netdb.h>
#include <string.h>

struct portname {
        const char *name;
        const char *protocol;
        unsigned port;
        struct portname *next;
};

#define PORT_MAX 65535

static bool read_port(const char *text, unsigned *ret) {
        int64_t port;

        if (number_parse(text, 1, PORT_MAX, &port) < 0)
                return false;
        *ret = (unsigned)port;
        return true;
}

/* One line: NAME PORT/PROTOCOL ALIAS… */
static void add_line(struct portnames *names, struct sheet *sheet, char *line) {
        char *state, *word, *slash;
        const char *first;
        unsigned port;

        line[strcspn(line, "#")] = '\0';
        first = strtok_r(line, " \t", &state);
        word = first ? strtok_r(NULL, " \t", &state) : NULL;
        slash = word ? strchr(word, '/') : NULL;
        if (!slash)
                return;
        *slash = '\0';
        if (!read_port(word, &port))
                return;
        for (const char *name = first; name; name = strtok_r(NULL, " \t", &state)) {
                struct portname *entry = sheet_alloc(sheet, sizeof(*entry));

                if (!entry)
                        return;
                *entry = (struct portname){.name = name, .protocol = slash + 1, .port = port, .next = names->first};
                names->first = entry;
        }
}

bool portnames_read(struct portnames *names, struct sheet *sheet, const char *path) {
        struct source source;
        struct mark mark;
        char *line;

        if (!source_open(&source, sheet, path, NULL))
                return false;
        while ((line = source_line(&source, &mark)))
                add_line(names, sheet, line);
        return true;
}

bool portnames_find(const struct portnames *names, const char *name, const char *protocol, unsigned *ret) {
        const struct portname *found = NULL;
        struct servent *entry;

        if (read_port(name, ret))
                return true;
        /* The first one in the file counts, which is the last one here. */
        for (const struct portname *item = names->first; item; item = item->next)
                if (strcmp(item->name, name) == 0 && strcmp(item->protocol, protocol) == 0)
                        found = item;
        if (found) {
                *ret = found->port;
                return true;
        }
        entry = getservbyname(name, protocol);
        if (!entry)
                return false;
        *ret = ntohs((uint16_t)entry->s_port);
        return true;
}
