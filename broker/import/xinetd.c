/* Services of xinetd to definitions: what kind each is, and the order of its parts. */
#include "import/xinetd.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* Attributes that services take from defaults when they do not say them. */
static bool is_inherited(const char *name) {
        static const char *const names[] = {"instances", "bind",  "interface", "per_source",     "groups",
                                            "banner",    "cps",   "max_load",  "banner_success", "banner_fail",
                                            "v6only",    "umask", "log_type"};

        for (size_t i = 0; i < LENGTH_OF(names); i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        return false;
}

static struct xinetd_attr *use(struct xinetd_attr *attr) {
        if (attr && attr->line)
                attr->line->used = true;
        for (struct xinetd_word *word = attr ? attr->words : NULL; word; word = word->next)
                word->line->used = true;
        return attr;
}

static struct xinetd_attr *find(struct xinetd_job *job, const char *name) {
        struct xinetd_attr *attr = xinetd_find(job->entry, name);

        return attr || !is_inherited(name) ? attr : xinetd_find(&job->xinetd->defaults, name);
}

struct xinetd_attr *job_take(struct xinetd_job *job, const char *name) {
        return use(find(job, name));
}

const struct mark *job_mark(struct xinetd_job *job, const char *name) {
        struct xinetd_attr *attr = find(job, name);

        if (attr && attr->line)
                return &attr->line->mark;
        return attr && attr->words ? &attr->words->line->mark : &job->entry->mark;
}

const char *job_value(struct xinetd_job *job, const char *name) {
        struct xinetd_attr *attr = job_take(job, name);

        if (!attr)
                return NULL;
        if (attr->words && !attr->words->next)
                return attr->words->text;
        sheet_refuse(job->out, job_mark(job, name), "%s: one value is needed", attr->line->text);
        return NULL;
}

bool job_is(struct xinetd_job *job, const char *name, bool fallback) {
        const char *value = job_value(job, name);

        if (!value)
                return fallback;
        if (strcasecmp(value, "yes") != 0 && strcasecmp(value, "no") != 0)
                sheet_refuse(job->out, job_mark(job, name), "%s = %s: neither yes nor no", name, value);
        return strcasecmp(value, "yes") == 0;
}

/* The lines that the attribute is made of, each once, in front of KEY. */
static void tell(struct xinetd_job *job, const char *name, const char *key, const char *why, bool warn) {
        struct xinetd_attr *attr = find(job, name);
        const struct xinetd_line *before = NULL;

        if (!attr)
                return;
        use(attr);
        for (const struct xinetd_word *word = attr->words; word; word = word->next) {
                if (word->line == before)
                        continue;
                before = word->line;
                if (warn)
                        sheet_note(job->out, key, &before->mark, "%s: %s", before->text, why);
                else
                        sheet_remark(job->out, key, "%s: %s", before->text, why);
        }
        if (!before && attr->line && warn)
                sheet_note(job->out, key, &attr->line->mark, "%s: %s", attr->line->text, why);
}

void job_note(struct xinetd_job *job, const char *name, const char *key, const char *why) {
        tell(job, name, key, why, true);
}

void job_remark(struct xinetd_job *job, const char *name, const char *key, const char *why) {
        tell(job, name, key, why, false);
}

struct named_bit {
        const char *name;
        unsigned bit;
};

/* The words of a list of choices as bits. A word that is not known refuses the service, as xinetd does it. */
static unsigned read_bits(struct xinetd_job *job, const char *name, const struct named_bit *known, size_t count) {
        struct xinetd_attr *attr = job_take(job, name);
        unsigned bits = 0;

        for (struct xinetd_word *word = attr ? attr->words : NULL; word; word = word->next) {
                size_t i = 0;

                while (i < count && strcasecmp(word->text, known[i].name) != 0)
                        i++;
                if (i < count)
                        bits |= known[i].bit;
                else
                        sheet_refuse(job->out, &word->line->mark, "%s = %s: there is no such %s", name, word->text,
                                     strcmp(name, "type") == 0 ? "type" : "flag");
        }
        return bits;
}

static void read_flags(struct xinetd_job *job) {
        static const struct named_bit flags[] = {
                {"INTERCEPT", XINETD_FLAG_INTERCEPT}, {"NORETRY", XINETD_FLAG_NORETRY},
                {"IDONLY", XINETD_FLAG_IDONLY},       {"NAMEINARGS", XINETD_FLAG_NAMEINARGS},
                {"NODELAY", XINETD_FLAG_NODELAY},     {"KEEPALIVE", XINETD_FLAG_KEEPALIVE},
                {"NOLIBWRAP", XINETD_FLAG_NOLIBWRAP}, {"SENSOR", XINETD_FLAG_SENSOR},
                {"IPv4", XINETD_FLAG_IPV4},           {"IPv6", XINETD_FLAG_IPV6},
                {"LABELED", XINETD_FLAG_LABELED},     {"REUSE", XINETD_FLAG_REUSE},
        };
        static const struct named_bit types[] = {
                {"RPC", XINETD_TYPE_RPC},           {"INTERNAL", XINETD_TYPE_INTERNAL},
                {"TCPMUX", XINETD_TYPE_TCPMUX},     {"TCPMUXPLUS", XINETD_TYPE_TCPMUXPLUS},
                {"UNLISTED", XINETD_TYPE_UNLISTED},
        };

        job->flags = read_bits(job, "flags", flags, LENGTH_OF(flags));
        job->types = read_bits(job, "type", types, LENGTH_OF(types));
        job->ipv6 = job->flags & XINETD_FLAG_IPV6;
        job->ipv4 = job->flags & XINETD_FLAG_IPV4 && !job->ipv6;
        if (job->ipv6 && job->flags & XINETD_FLAG_IPV4)
                job_remark(job, "flags", "listen", "IPv6, and IPv4 with it");
        if (job->flags & XINETD_FLAG_SENSOR)
                job->form = XINETD_SENSOR;
        else if (xinetd_find(job->entry, "redirect"))
                job->form = XINETD_REDIRECT;
        else if (job->types & XINETD_TYPE_INTERNAL)
                job->form = XINETD_INTERNAL;
}

/* Streams or datagrams: each of socket_type and protocol fills in the other. */
static void read_socket_type(struct xinetd_job *job) {
        const char *type = job_value(job, "socket_type"), *protocol = job_value(job, "protocol");
        bool udp = protocol && strncasecmp(protocol, "udp", 3) == 0;

        if (!type && !protocol) {
                sheet_refuse(job->out, &job->entry->mark, "socket_type is missing");
                return;
        }
        job->datagram = type ? strcasecmp(type, "dgram") == 0 : udp;
        if (type && !job->datagram && strcasecmp(type, "stream") != 0)
                sheet_refuse(job->out, job_mark(job, "socket_type"),
                             "socket_type = %s: there are stream and dgram here", type);
        if (!protocol)
                return;
        if (strcasecmp(protocol, "tcp4") == 0 || strcasecmp(protocol, "udp4") == 0)
                job->ipv4 = true;
        else if (strcasecmp(protocol, "tcp6") == 0 || strcasecmp(protocol, "udp6") == 0)
                job->ipv6 = job->v6only = true;
        else if (strcasecmp(protocol, "sctp") != 0 && strcasecmp(protocol, "udplite") != 0 &&
                 strcasecmp(protocol, "tcp") != 0 && strcasecmp(protocol, "udp") != 0)
                sheet_refuse(job->out, job_mark(job, "protocol"),
                             "protocol = %s: there are tcp, udp, sctp and udplite "
                             "here",
                             protocol);
        if (type && job->datagram != udp)
                sheet_refuse(job->out, job_mark(job, "protocol"), "protocol = %s contradicts socket_type = %s",
                             protocol, type);
}

static void read_wait(struct xinetd_job *job) {
        bool wait = job_is(job, "wait", false);

        if (!xinetd_find(job->entry, "wait"))
                sheet_refuse(job->out, &job->entry->mark, "wait is missing; xinetd does not start it either");
        else if (job->form == XINETD_PROGRAM && job->datagram && !wait)
                sheet_refuse(job->out, job_mark(job, "wait"),
                             "wait = no with datagrams: there are no connections to start a program for; a server that "
                             "takes the datagrams itself has wait = yes");
        else if (job->form == XINETD_REDIRECT && wait)
                sheet_refuse(job->out, job_mark(job, "wait"), "wait = yes with redirect: the broker accepts itself");
        job->wait = wait && job->form == XINETD_PROGRAM;
}

/* What no definition can say. */
static void check_flags(struct xinetd_job *job) {
        const struct mark *mark = job_mark(job, "flags");

        if (job->form == XINETD_SENSOR)
                job_remark(job, "type", SHEET_END, "a sensor is nothing else");
        if (job->types & XINETD_TYPE_RPC)
                sheet_refuse(job->out, job_mark(job, "type"), "type = RPC: the broker registers nothing with rpcbind");
        if (job->flags & XINETD_FLAG_LABELED)
                sheet_refuse(job->out, mark, "flags = LABELED: programs do not get the SELinux context of connections");
        if (job->flags & XINETD_FLAG_INTERCEPT)
                sheet_note(job->out, "wait", mark, "flags = INTERCEPT: the server itself takes the traffic, all of it");
        if (job->flags & XINETD_FLAG_NOLIBWRAP)
                sheet_remark(job->out, SHEET_END, "flags = NOLIBWRAP: hosts.allow and hosts.deny are not looked at");
        if (job->flags & XINETD_FLAG_NORETRY)
                sheet_note(job->out, SHEET_END, mark,
                           "flags = NORETRY: a program that cannot be started is tried again, "
                           "and the client waits");
}

static void make_service(struct xinetd_job *job) {
        read_flags(job);
        read_socket_type(job);
        read_wait(job);
        check_flags(job);
        job_listen(job);
        job_process(job);
        if (job->types & XINETD_TYPE_RPC) {
                for (struct xinetd_line *line = job->entry->lines; line; line = line->next)
                        if (!line->used)
                                sheet_remark(job->out, SHEET_END, "%s", line->text);
                return;
        }
        job_limits(job);
        job_access(job);
        job_log(job);
        for (struct xinetd_line *line = job->entry->lines; line; line = line->next)
                if (!line->used)
                        sheet_note(job->out, SHEET_END, &line->mark, "%s: not used%s", line->text,
                                   job->form == XINETD_PROGRAM ? "" : " where no program is started");
}

/* Whether ID is in the list of defaults, whose line then is used. */
static const struct xinetd_word *find_id(struct xinetd *xinetd, const char *list, const char *id) {
        struct xinetd_attr *attr = xinetd_find(&xinetd->defaults, list);

        for (struct xinetd_word *word = attr ? attr->words : NULL; word; word = word->next)
                if (strcmp(word->text, id) == 0)
                        return word;
        return NULL;
}

static void set_enabled(struct xinetd_job *job, const char *id) {
        struct xinetd *xinetd = job->xinetd;
        const struct xinetd_word *disabled = find_id(xinetd, "disabled", id);
        bool off = job_is(job, "disable", false);

        if (xinetd_find(&xinetd->defaults, "enabled")) {
                const struct xinetd_word *enabled = find_id(xinetd, "enabled", id);

                if (enabled)
                        enabled->line->used = true;
                sheet_remark(job->out, "enabled", enabled ? "in the list enabled" : "not in the list enabled");
                off = off || !enabled;
        }
        if (disabled) {
                disabled->line->used = true;
                sheet_remark(job->out, "enabled", "in the list disabled");
        }
        job->disabled = off || disabled;
        if (job->disabled)
                sheet_raw(job->out, "enabled", "no");
}

static const char *xinetd_id(const struct xinetd_entry *entry) {
        const struct xinetd_attr *id = xinetd_find(entry, "id");

        return id && id->words && !id->words->next ? id->words->text : entry->name;
}

/* Clients of tcpmux ask for the name, whatever the id. */
static bool is_muxed(const struct xinetd_entry *entry) {
        const struct xinetd_attr *type = xinetd_find(entry, "type");

        for (const struct xinetd_word *word = type ? type->words : NULL; word; word = word->next)
                if (strncasecmp(word->text, "TCPMUX", strlen("TCPMUX")) == 0)
                        return true;
        return false;
}

static void import_service(struct xinetd *xinetd, struct xinetd_entry *entry) {
        struct xinetd_job job = {.xinetd = xinetd, .sheet = &xinetd->import->sheet, .entry = entry};
        struct xinetd_attr *id = xinetd_find(entry, "id");
        const char *name = xinetd_id(entry);

        if (id && id->words && !id->words->next)
                use(id);
        job.out = sheet_add(job.sheet, is_muxed(entry) ? entry->name : name, &entry->mark);
        if (!job.out)
                return;
        if (is_muxed(entry))
                job_remark(&job, "id", SHEET_HEAD, "clients ask for the name");
        if (entry->broken)
                sheet_refuse(job.out, &entry->broken_at, "%s", entry->broken);
        set_enabled(&job, name);
        make_service(&job);
        if (job.disabled || job.out->refused)
                entry->address = NULL;
}

/* Ids in a list of defaults that no service has. */
static void tell_unknown(struct xinetd *xinetd, const char *list) {
        struct xinetd_attr *attr = xinetd_find(&xinetd->defaults, list);

        for (struct xinetd_word *word = attr ? attr->words : NULL; word; word = word->next) {
                const struct xinetd_entry *entry = xinetd->first;

                while (entry && strcmp(xinetd_id(entry), word->text) != 0)
                        entry = entry->next;
                if (entry)
                        continue;
                word->line->used = true;
                sheet_note(&xinetd->import->sheet.top, SHEET_END, &word->line->mark,
                           "%s = %s: there is no service with this id here", list, word->text);
        }
}

/* Whether the line is about an attribute that counts in services alone. */
static bool is_misplaced(const struct xinetd_entry *defaults, const struct xinetd_line *line) {
        const struct xinetd_attr *attr = defaults->attrs;

        while (attr && attr->line != line)
                attr = attr->next;
        return attr && !is_inherited(attr->name) && (!xinetd_is_list(attr->name) || strcmp(attr->name, "env") == 0);
}

/* Lines of defaults that no service has used. */
static void tell_unused(struct xinetd *xinetd) {
        struct sheet_service *top = &xinetd->import->sheet.top;

        if (xinetd->defaults.broken)
                sheet_refuse(top, &xinetd->defaults.broken_at, "defaults: %s", xinetd->defaults.broken);
        tell_unknown(xinetd, "disabled");
        tell_unknown(xinetd, "enabled");
        for (struct xinetd_attr *attr = xinetd->defaults.attrs; attr; attr = attr->next)
                for (struct xinetd_line *line = xinetd->defaults.lines; line; line = line->next)
                        if (line == attr->line && !line->used && is_inherited(attr->name)) {
                                line->used = true;
                                sheet_remark(top, SHEET_END, "defaults: %s: no service here takes it", line->text);
                        }
        for (struct xinetd_line *line = xinetd->defaults.lines; line; line = line->next)
                if (!line->used)
                        sheet_note(top, SHEET_END, &line->mark, "defaults: %s: %s", line->text,
                                   is_misplaced(&xinetd->defaults, line) ? "xinetd ignores it there, too"
                                                                         : "no service here takes it");
}

void import_xinetd(struct import *import) {
        struct xinetd xinetd = {.import = import};

        for (char *const *file = import->files; *file; file++) {
                struct stat st;

                if (stat(*file, &st) == 0 && S_ISDIR(st.st_mode))
                        xinetd_read_directory(&xinetd, *file, NULL);
                else
                        xinetd_read(&xinetd, *file, NULL);
        }
        if (xinetd.first)
                sheet_remark(
                        &import->sheet.top, SHEET_HEAD,
                        "hosts.allow and hosts.deny, which xinetd may have been built to obey, are not looked at here; "
                        "write only_from and no_access");
        xinetd_log_defaults(&xinetd);
        for (struct xinetd_entry *entry = xinetd.first; entry; entry = entry->next)
                import_service(&xinetd, entry);
        tell_unused(&xinetd);
}
