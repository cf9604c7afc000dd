/* Who is served: addresses as xinetd writes them, to networks. */
#include "conf/refuse.h"
#include "import/xinetd.h"
#include "net/prefix.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct list {
        struct xinetd_job *job;
        const char *name; /* only_from or no_access, here and there */
        const struct xinetd_word *word;
};

/* Whether what goes into no_access is in only_from already. */
static bool is_served(const struct list *list, const char *text) {
        const struct sheet_node *node = sheet_key(list->job->out, "only_from");

        if (!node || strcmp(list->name, "no_access") != 0)
                return false;
        for (node = node->first; node; node = node->next)
                if (node->text && strcmp(node->text, text) == 0)
                        return true;
        return false;
}

static void add_prefix(const struct list *list, struct prefix prefix, unsigned bits) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        prefix_mask(&prefix, bits);
        prefix_format(&prefix, &text);
        if (is_served(list, buf_text(&text))) {
                sheet_refuse(list->job->out, &list->word->line->mark, "%s %s: it is in only_from too", list->name,
                             list->word->text);
                return;
        }
        sheet_append(list->job->out, list->name, buf_text(&text));
}

static struct prefix prefix_of(uint32_t address) {
        struct prefix prefix = {.family = AF_INET, .bits = 32};

        address = htonl(address);
        memcpy(prefix.address, &address, sizeof(address));
        return prefix;
}

static void refuse(const struct list *list, const char *why) {
        sheet_refuse(list->job->out, &list->word->line->mark, "%s %s: %s", list->name, list->word->text, why);
}

/* A number after which one of ENDS stands; -1 where there is none up to 255. */
static int read_part(const char **p, const char *ends) {
        int value = 0, digits = 0;

        for (; **p >= '0' && **p <= '9' && digits < 4; (*p)++, digits++)
                value = 10 * value + (**p - '0');
        return digits > 0 && value <= 255 && **p && strchr(ends, **p) ? value : -1;
}

/* 128.138.{1,2}: the part in braces is the last one, and what is missing behind it is free. */
static void add_factorized(const struct list *list, const char *text) {
        uint32_t base = 0;
        unsigned bits = 0;

        while (*text != '{') {
                int part = read_part(&text, ".");

                if (part < 0 || bits == 24) {
                        refuse(list, "not an address");
                        return;
                }
                text++;
                base = base << 8 | (uint32_t)part;
                bits += 8;
        }
        bits += 8;
        do {
                int part = read_part((text++, &text), ",}");

                if (part < 0 || (*text == '}' && text[1] != '\0')) {
                        refuse(list, "not an address");
                        return;
                }
                add_prefix(list, prefix_of((base << 8 | (uint32_t)part) << (32 - bits)), bits);
        } while (*text == ',');
}

/* Zeros at the end of an address stand for anything. */
static void add_address(const struct list *list, uint32_t address) {
        unsigned bits = 32;

        while (bits > 0 && (address >> (32 - bits) & 0xff) == 0)
                bits -= 8;
        add_prefix(list, prefix_of(address), bits);
}

/* ADDRESS/BITS, where bits beyond those do not matter. */
static bool add_network(const struct list *list, const char *text) {
        const char *slash = strchr(text, '/');
        struct prefix prefix;
        AUTO(buf_deinit) struct buf address = BUF_NULL, why = BUF_NULL;
        unsigned bits;
        char rest;

        if (!slash)
                return false;
        buf_add(&address, text, (size_t)(slash - text));
        if (!prefix_parse(buf_text(&address), &prefix, &why) || sscanf(slash + 1, "%3u%c", &bits, &rest) != 1 ||
            bits > prefix_bits_max(prefix.family))
                refuse(list, "not a network");
        else
                add_prefix(list, prefix, bits);
        return true;
}

static void add_host(const struct list *list, const char *text) {
        if (text[0] == '.') {
                refuse(list, "names of clients are not looked up here; write networks");
                return;
        }
        if (prefix_looks_numeric(text) || refuse_network(text) || refuse_host(text)) {
                refuse(list, "not an address");
                return;
        }
        if (strcmp(text, "localhost") != 0)
                sheet_note(list->job->out, list->name, &list->word->line->mark,
                           "%s %s: the host's addresses are looked up when definitions are read; xinetd looks up the "
                           "name of "
                           "each client",
                           list->name, text);
        sheet_append(list->job->out, list->name, text);
}

static void add_everybody(const struct list *list) {
        sheet_append(list->job->out, list->name, "0.0.0.0/0");
        sheet_append(list->job->out, list->name, "::/0");
}

static void add_entry(const struct list *list, const char *text) {
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        struct prefix prefix;
        struct in_addr address;

        if (strchr(text, '{')) {
                add_factorized(list, text);
        } else if (add_network(list, text)) {
                return;
        } else if (text[strspn(text, "0123456789.")] == '\0' && inet_aton(text, &address)) {
                add_address(list, ntohl(address.s_addr));
        } else if (strchr(text, ':') && prefix_parse(text, &prefix, &why)) {
                add_prefix(list, prefix, prefix.bits);
        } else if (strcmp(text, "ALL") == 0) {
                sheet_note(list->job->out, list->name, &list->word->line->mark,
                           "%s ALL: everybody; xinetd takes it for a host", list->name);
                add_everybody(list);
        } else {
                add_host(list, text);
        }
}

/* $(NAME) of programs that were made after xinetd: the words of an attribute of defaults. */
static bool add_variable(struct list *list) {
        const struct xinetd_word *word = list->word;
        size_t n = strlen(word->text);
        struct xinetd_attr *attr;
        char *name;

        if (n < 4 || strncmp(word->text, "$(", 2) != 0 || word->text[n - 1] != ')')
                return false;
        name = sheet_printf(list->job->sheet, "%.*s", (int)(n - 3), word->text + 2);
        attr = name ? xinetd_find(&list->job->xinetd->defaults, name) : NULL;
        if (!attr || !attr->words) {
                refuse(list, "there is no such attribute in defaults");
                return true;
        }
        attr->line->used = true;
        sheet_note(list->job->out, list->name, &word->line->mark,
                   "%s %s: xinetd has no variables; what defaults say is "
                   "written out",
                   list->name, word->text);
        for (const struct xinetd_word *value = attr->words; value; value = value->next)
                add_entry(list, value->text);
        return true;
}

/* What the server of a wait = yes service has to look after itself. */
static void refuse_unchecked(struct xinetd_job *job, const char *name) {
        if (!job_take(job, name))
                return;
        if (job->datagram)
                sheet_refuse(job->out, job_mark(job, name),
                             "%s with wait = yes: xinetd looks at the sender of the datagram that starts the server; "
                             "here the "
                             "server has to look at all of them itself",
                             name);
        else
                job_note(job, name, SHEET_END,
                         "the server accepts, and neither xinetd nor the broker looks at its clients");
}

void job_access(struct xinetd_job *job) {
        static const char *const names[] = {"only_from", "no_access"};

        job_note(job, "libwrap", SHEET_END,
                 "hosts.allow and hosts.deny are not looked at; write only_from and no_access");
        for (size_t i = 0; i < LENGTH_OF(names); i++) {
                struct list list = {.job = job, .name = names[i]};
                struct xinetd_attr *attr;

                if (job->nobody || job->form == XINETD_SENSOR) {
                        job_remark(job, names[i], SHEET_END, "a sensor is one for everybody");
                        continue;
                }
                if (job->wait) {
                        refuse_unchecked(job, names[i]);
                        continue;
                }
                attr = job_take(job, names[i]);
                for (list.word = attr ? attr->words : NULL; list.word; list.word = list.word->next)
                        if (!add_variable(&list))
                                add_entry(&list, list.word->text);
                if (attr && !attr->words && i == 0) {
                        sheet_remark(job->out, "no_access", "only_from without a value: nobody");
                        list.name = names[1];
                        add_everybody(&list);
                }
        }
}
