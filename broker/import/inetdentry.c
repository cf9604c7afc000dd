#include "import/inetdentry.h"

#include "base/number.h"

#include <ctype.h>
#include <stdio.h>
#include <sys/socket.h>

#define MUX_PREFIX "tcpmux/"
#define NUMBER_MAX INT32_MAX
#define BUFFER_MAX ((int64_t)1024 * 1024 * 1024)

/* Only the first reason is kept. */
void inetd_entry_refuse(struct sheet *sheet, struct inetd_entry *entry, const char *format, ...) {
        char text[512];
        va_list args;

        if (entry->refusal)
                return;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        entry->refusal = sheet_copy(sheet, text);
}

int inetd_entry_number(struct sheet *sheet, struct inetd_entry *entry, const char *what, const char *text) {
        int64_t number;

        if (number_parse(text, 0, NUMBER_MAX, &number) == 0)
                return (int)number;
        inetd_entry_refuse(sheet, entry, "'%s' is not a number for %s", text, what);
        return INETD_UNSET;
}

/* 16384, 64k or 1m. */
int inetd_entry_size(struct sheet *sheet, struct inetd_entry *entry, const char *text) {
        AUTO(freep) char *number = strdup(text);
        size_t size = strlen(text);
        int64_t value, factor = 1;

        if (!number) {
                sheet->failed = true;
                return INETD_UNSET;
        }
        if (size > 0 && (text[size - 1] == 'k' || text[size - 1] == 'm')) {
                factor = text[size - 1] == 'k' ? 1024 : 1024 * 1024;
                number[size - 1] = '\0';
        }
        if (number_parse(number, 1, BUFFER_MAX / factor, &value) == 0)
                return (int)(value * factor);
        inetd_entry_refuse(sheet, entry, "'%s' is not a buffer's size", text);
        return INETD_UNSET;
}

/* HOST:SERVICE, FreeBSD's :USER:GROUP:MODE:/PATH, tcpmux/NAME. */
void inetd_entry_set_service(struct sheet *sheet, struct inetd_entry *entry, const char *text) {
        char *copy = sheet_copy(sheet, text), *colon = copy ? strrchr(copy, ':') : NULL, *state = NULL;
        size_t size;

        if (!copy)
                return;
        entry->service = copy;
        if (copy[0] == ':') {
                entry->socket_user = strtok_r(copy + 1, ":", &state);
                entry->socket_group = strtok_r(NULL, ":", &state);
                entry->socket_mode = strtok_r(NULL, ":", &state);
                entry->service = strtok_r(NULL, "", &state);
                if (!entry->service || entry->service[0] != '/') {
                        entry->service = sheet_copy(sheet, strrchr(text, ':') + 1);
                        inetd_entry_refuse(sheet, entry, "'%s' is not :USER:GROUP:MODE:/PATH", text);
                }
        } else if (colon) {
                *colon = '\0';
                entry->host = copy;
                entry->service = colon + 1;
                size = strlen(copy);
                if (size > 2 && copy[0] == '[' && copy[size - 1] == ']' && !strchr(copy, ',')) {
                        copy[size - 1] = '\0';
                        entry->host = copy + 1;
                }
        }
        if (entry->service && strncmp(entry->service, MUX_PREFIX, strlen(MUX_PREFIX)) == 0) {
                entry->service += strlen(MUX_PREFIX);
                entry->mux = entry->service[0] == '+' ? INETD_MUX_PLUS : INETD_MUX;
                entry->service += entry->mux == INETD_MUX_PLUS;
        }
        if (!entry->service || entry->service[0] == '\0') {
                entry->service = "service";
                inetd_entry_refuse(sheet, entry, "'%s' names no service", text);
        }
}

/* stream, NetBSD's stream,MAX:FILTER, dgram and the rest. */
void inetd_entry_set_type(struct sheet *sheet, struct inetd_entry *entry, const char *text) {
        char *copy = sheet_copy(sheet, text), *colon = copy ? strchr(copy, ':') : NULL, *comma;

        if (!copy)
                return;
        if (colon) {
                *colon = '\0';
                entry->filter = colon + 1;
        }
        comma = strchr(copy, ',');
        if (comma) {
                *comma = '\0';
                entry->accept_max = inetd_entry_number(sheet, entry, "an accept limit", comma + 1);
        }
        if (strcmp(copy, "stream") == 0)
                entry->type = SOCK_STREAM;
        else if (strcmp(copy, "dgram") == 0 && !comma && !colon)
                entry->type = SOCK_DGRAM;
        else if (strcmp(copy, "seqpacket") == 0 && !comma && !colon)
                entry->type = SOCK_SEQPACKET;
        else if (strcmp(copy, "raw") == 0 || strcmp(copy, "rdm") == 0)
                inetd_entry_refuse(sheet, entry, "%s: there are no %s sockets here", text, copy);
        else
                inetd_entry_refuse(sheet, entry, "'%s' is not a type of socket", text);
}

/* ,rcvbuf=N and ,sndbuf=N behind a protocol. */
static void set_buffers(struct sheet *sheet, struct inetd_entry *entry, char *text) {
        char *state;

        for (char *word = strtok_r(text, ",", &state); word; word = strtok_r(NULL, ",", &state)) {
                if (strncmp(word, "rcvbuf=", 7) == 0)
                        entry->receive_buffer = inetd_entry_size(sheet, entry, word + 7);
                else if (strncmp(word, "sndbuf=", 7) == 0)
                        entry->send_buffer = inetd_entry_size(sheet, entry, word + 7);
                else
                        inetd_entry_refuse(sheet, entry, "'%s' is neither rcvbuf=SIZE nor sndbuf=SIZE", word);
        }
        if (entry->mux != INETD_MUX_NO)
                inetd_entry_refuse(sheet, entry, "a tcpmux service has no socket, and so no buffers");
}

static bool strip_suffix(char *text, const char *suffix) {
        size_t size = strlen(text), suffix_size = strlen(suffix);

        if (size <= suffix_size || strcmp(text + size - suffix_size, suffix) != 0)
                return false;
        text[size - suffix_size] = '\0';
        return true;
}

/* tcp, tcp4, tcp6, tcp46, GNU's tcp6only. */
static void set_family(struct sheet *sheet, struct inetd_entry *entry, char *base) {
        static const struct {
                const char *suffix;
                int family;
        } families[] = {{"46", AF_UNSPEC}, {"6only", AF_INET6}, {"6", AF_INET6}, {"4", AF_INET}};

        entry->base = base;
        if (strcmp(base, "unix") == 0) {
                entry->family = AF_UNIX;
                return;
        }
        entry->family = AF_INET;
        for (size_t i = 0; i < LENGTH_OF(families); i++) {
                if (!strip_suffix(base, families[i].suffix))
                        continue;
                entry->family = families[i].family;
                entry->family_written = true;
                break;
        }
        if (strcmp(base, "tcp") != 0 && strcmp(base, "udp") != 0)
                inetd_entry_refuse(sheet, entry, "'%s' is not a protocol that services listen with here",
                                   entry->protocol);
}

void inetd_entry_set_protocol(struct sheet *sheet, struct inetd_entry *entry, const char *text) {
        char *copy = sheet_copy(sheet, text), *comma = copy ? strchr(copy, ',') : NULL, *base;

        if (!copy)
                return;
        if (comma) {
                *comma = '\0';
                set_buffers(sheet, entry, comma + 1);
        }
        entry->protocol = copy;
        base = sheet_copy(sheet, copy);
        if (!base)
                return;
        if (strncmp(base, "rpc/", 4) == 0)
                inetd_entry_refuse(sheet, entry,
                                   "%s: the broker does not register services with rpcbind; run the program as a "
                                   "server of its own",
                                   text);
        if (strncmp(base, "faith/", 6) == 0 || strip_suffix(base, "/faith"))
                inetd_entry_refuse(sheet, entry, "%s: faith, which translated IPv6 to IPv4, does not exist on Linux",
                                   text);
        entry->ttcp = strip_suffix(base, "/ttcp");
        if (!entry->refusal)
                set_family(sheet, entry, base);
}

/* wait or nowait, with .MAX or :MAX in a minute, or FreeBSD's /CHILDREN/RATE-OF-ADDRESS/CHILDREN-OF-ADDRESS. */
static void set_wait(struct sheet *sheet, struct inetd_entry *entry, const char *text) {
        static const char *const names[] = {"max-child", "max-connections-per-ip-per-minute", "max-child-per-ip"};
        int *const values[] = {&entry->max_child, &entry->source_rate, &entry->source_max};
        char *copy = sheet_copy(sheet, text), *rest = copy ? copy + strcspn(copy, "./:") : NULL, *state = NULL;
        char sign;

        if (!copy)
                return;
        sign = *rest;
        if (sign)
                *rest++ = '\0';
        entry->wait = strcmp(copy, "wait") == 0;
        if (!entry->wait && strcmp(copy, "nowait") != 0)
                inetd_entry_refuse(sheet, entry, "'%s' is neither wait nor nowait", text);
        if (sign == '.' || sign == ':')
                entry->rate = inetd_entry_number(sheet, entry, "starts in a minute", rest);
        if (sign != '/')
                return;
        for (size_t i = 0; i < LENGTH_OF(values); i++) {
                char *word = strtok_r(i == 0 ? rest : NULL, "/", &state);

                if (!word)
                        return;
                *values[i] = inetd_entry_number(sheet, entry, names[i], word);
        }
        if (strtok_r(NULL, "/", &state))
                inetd_entry_refuse(sheet, entry, "'%s' has more numbers than FreeBSD's inetd knows", text);
}

/* USER, USER:GROUP, USER.GROUP, FreeBSD's USER:GROUP/CLASS. */
static void set_user(struct sheet *sheet, struct inetd_entry *entry, const char *text) {
        char *copy = sheet_copy(sheet, text), *slash, *separator;

        if (!copy)
                return;
        entry->user = copy;
        slash = strchr(copy, '/');
        if (slash) {
                *slash = '\0';
                entry->login_class = slash + 1;
        }
        separator = strchr(copy, ':');
        if (!separator)
                separator = strchr(copy, '.');
        if (separator) {
                *separator = '\0';
                entry->group = separator + 1;
        }
        if (copy[0] == '\0' || (separator && separator[1] == '\0'))
                inetd_entry_refuse(sheet, entry, "'%s' is not a user with a group", text);
}

void inetd_entry_set_server(struct sheet *sheet, struct inetd_entry *entry, const char *text) {
        entry->server = strcmp(text, "internal") == 0 ? NULL : sheet_copy(sheet, text);
}

void inetd_entry_set_args(struct sheet *sheet, struct inetd_entry *entry, char *const *items, size_t count) {
        entry->args = sheet_alloc(sheet, (count + 1) * sizeof(*entry->args));
        for (size_t i = 0; entry->args && i < count; i++) {
                entry->args[i] = sheet_copy(sheet, items[i]);
                if (!entry->args[i])
                        return;
                entry->arg_count = i + 1;
        }
}

static void read_fields(struct sheet *sheet, struct inetd_entry *entry, const struct strlist *words) {
        static void (*const fields[])(struct sheet * sheet, struct inetd_entry * entry, const char *text) = {
                inetd_entry_set_service, inetd_entry_set_type, inetd_entry_set_protocol, set_wait, set_user,
                inetd_entry_set_server,
        };

        for (size_t i = 0; i < LENGTH_OF(fields) && i < words->count; i++)
                fields[i](sheet, entry, words->items[i]);
        if (words->count < LENGTH_OF(fields)) {
                entry->refusal = NULL;
                inetd_entry_refuse(sheet, entry,
                                   "there %s %zu field%s; a service has six at least: its name, type of socket, "
                                   "protocol, wait or nowait, user and program",
                                   words->count == 1 ? "is" : "are", words->count, words->count == 1 ? "" : "s");
        } else {
                inetd_entry_set_args(sheet, entry, words->items + LENGTH_OF(fields), words->count - LENGTH_OF(fields));
        }
}

/* Every run of blanks and ends of lines as one blank. */
static char *squeeze(struct sheet *sheet, const char *text) {
        char *copy = sheet_copy(sheet, text), *to = copy;

        for (const char *p = text; copy && *p; p++) {
                bool blank = isspace((unsigned char)*p);

                if (!blank || (to > copy && to[-1] != ' '))
                        *to++ = blank ? ' ' : *p;
        }
        if (copy)
                *to = '\0';
        return copy;
}

struct inetd_entry *inetd_entry_new(struct sheet *sheet, const char *file, const struct inetd_line *line) {
        struct inetd_entry *entry = sheet_alloc(sheet, sizeof(*entry));

        if (!entry)
                return NULL;
        *entry = (struct inetd_entry){
                .mark = {.file = file, .line = line->line},
                .text = squeeze(sheet, line->text),
                .off = line->off,
                .quoted = line->quoted,
                .indented = line->indented,
                .service = "",
                .protocol = "",
                .base = "",
                .user = "",
                .accept_max = INETD_UNSET,
                .receive_buffer = INETD_UNSET,
                .send_buffer = INETD_UNSET,
                .rate = INETD_UNSET,
                .max_child = INETD_UNSET,
                .source_rate = INETD_UNSET,
                .source_max = INETD_UNSET,
        };
        if (line->kind == INETD_KEYED) {
                inetd_entry_set_service(sheet, entry, line->words.items[0]);
                inetd_keyed_read(sheet, entry, line);
        } else {
                read_fields(sheet, entry, &line->words);
        }
        if (line->error) {
                entry->refusal = NULL;
                inetd_entry_refuse(sheet, entry, "the definition %s", line->error);
        }
        return entry->text ? entry : NULL;
}
