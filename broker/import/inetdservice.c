#include "import/inetdservice.h"

#include "conf/refuse.h"

#include <sys/socket.h>

#define ARGS_MAX 20 /* of BSD's inetd: MAXARGV */
#define TCPD_DIRECTORY "/usr/sbin"

static const struct {
        const char *name;
        unsigned port;
} builtins[] = {{"echo", 7}, {"discard", 9}, {"daytime", 13}, {"time", 37}, {"chargen", 19}, {"tcpmux", 1}};

static const char *last_part(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash && slash[1] ? slash + 1 : path;
}

unsigned inetd_builtin_port(const char *name) {
        for (size_t i = 0; i < LENGTH_OF(builtins); i++)
                if (strcmp(name, builtins[i].name) == 0)
                        return builtins[i].port;
        return 0;
}

int inetd_default_rate(enum inetd_dialect dialect) {
        return dialect == INETD_NETBSD || dialect == INETD_GNU ? 40 : 256;
}

static bool is_number(const char *text) {
        return text[0] && text[strspn(text, "0123456789")] == '\0';
}

const char *inetd_service_name(struct sheet *sheet, const struct inetd_entry *entry) {
        const char *name = last_part(entry->service);

        /* NAME/VERSIONS of RPC, and whatever else has a slash but is no path. */
        if (entry->service[0] != '/' && name > entry->service)
                return sheet_printf(sheet, "%.*s", (int)strcspn(entry->service, "/"), entry->service);
        if (entry->mux != INETD_MUX_NO || entry->family == AF_UNIX || entry->refusal || !is_number(name))
                return name;
        if (!entry->server || last_part(entry->server)[0] == '\0')
                return sheet_printf(sheet, "port-%s", name);
        if (strcmp(last_part(entry->server), "tcpd") == 0 && entry->arg_count > 0)
                return last_part(entry->args[0]);
        return last_part(entry->server);
}

/* A dollar sign begins a placeholder where a brace follows, and stands for itself when doubled. */
static const char *literal(struct sheet *sheet, const char *text) {
        AUTO(buf_deinit) struct buf out = BUF_NULL;
        const char *copy;

        buf_add_string(&out, "");
        for (; *text; text++) {
                if (*text == '$' && (text[1] == '{' || text[1] == '$'))
                        buf_add_char(&out, '$');
                buf_add_char(&out, *text);
        }
        copy = sheet_copy(sheet, buf_text(&out));
        return copy ? copy : "";
}

/* The built-in by the name of the service, of its path, of its port, or by the word behind `internal`. */
static const char *find_builtin(const struct inetd_entry *entry) {
        const char *names[] = {
                last_part(entry->service),
                entry->arg_count > 0 ? entry->args[0] : "",
        };

        for (size_t n = 0; n < LENGTH_OF(names); n++)
                for (size_t i = 0; i < LENGTH_OF(builtins); i++)
                        if (strcmp(names[n], builtins[i].name) == 0)
                                return builtins[i].name;
        for (size_t i = 0; i < LENGTH_OF(builtins); i++)
                if (entry->family != AF_UNIX && entry->port == builtins[i].port)
                        return builtins[i].name;
        return NULL;
}

static void note_source_rate(struct sheet_service *service, const struct inetd_entry *entry) {
        if (entry->source_rate > 0)
                sheet_note(service, "per_source", &entry->mark,
                           "%d connections of one address in a minute: there is no such limit here; per_source is "
                           "how many it may have at a time",
                           entry->source_rate);
}

/* How many of one address at a time: inetd counts whole addresses, of IPv6 too. */
static void write_per_source(struct sheet_service *service, const struct inetd_entry *entry) {
        note_source_rate(service, entry);
        if (entry->source_max <= 0)
                return;
        sheet_raw(service, "per_source", "%d", entry->source_max);
        if (entry->family != AF_INET && entry->family != AF_UNIX)
                node_raw(node_key(sheet_key(service, "source_prefix"), "ipv6"), "128");
}

/* Returns whether there is a limit. */
static bool write_instances(struct sheet_service *service, const struct inetd_entry *entry) {
        int max = entry->accept_max > 0 ? entry->accept_max : entry->max_child;

        if (max > 0)
                sheet_raw(service, "instances", "%d", max);
        else
                sheet_raw(service, "instances", "unlimited");
        return max > 0;
}

static int rate_of(struct sheet_service *service, const struct inetd_entry *entry, enum inetd_dialect dialect) {
        if (entry->rate == 0)
                sheet_note(service, SHEET_END, &entry->mark, "0 starts in a minute: taken for the default of %d",
                           inetd_default_rate(dialect));
        return entry->rate > 0 ? entry->rate : inetd_default_rate(dialect);
}

/* Connections that the broker accepts. */
static void write_admission(struct sheet_service *service, const struct inetd_entry *entry,
                            enum inetd_dialect dialect) {
        bool limited = write_instances(service, entry);

        write_per_source(service, entry);
        sheet_raw(service, "cps", "%d/1min", rate_of(service, entry, dialect));
        sheet_raw(service, "cps_pause", "10min");
        if (!limited)
                sheet_raw(service, "when_full", "refuse");
        else if (entry->rate > 0)
                sheet_remark(service, "cps",
                             "beyond it inetd refuses connections; since those beyond instances are to "
                             "wait, these do too");
}

/* A server that has the socket itself. */
static void write_wait(struct sheet_service *service, const struct inetd_entry *entry, enum inetd_dialect dialect) {
        sheet_raw(service, "wait", "yes");
        sheet_raw(service, "handoff", "stdio");
        sheet_raw(service, "trigger_limit", "%d/1min", rate_of(service, entry, dialect));
        sheet_raw(service, "restart_delay_max", "10min");
        if (entry->max_child > 1)
                sheet_note(service, SHEET_END, &entry->mark, "wait/%d: one server at a time has the socket here",
                           entry->max_child);
        if (entry->source_max > 0)
                sheet_note(service, SHEET_END, &entry->mark,
                           "%d of one address at a time: with wait: yes the server accepts, and counts, itself",
                           entry->source_max);
        if (entry->source_rate > 0)
                sheet_note(service, SHEET_END, &entry->mark,
                           "%d of one address in a minute: with wait: yes the server accepts, and counts, itself",
                           entry->source_rate);
        if (entry->accept_max > 0)
                sheet_remark(service, SHEET_END, "the accept limit of %d means nothing with wait, nor for inetd",
                             entry->accept_max);
}

static void write_builtin_limits(struct sheet_service *service, const struct inetd_entry *entry) {
        if (entry->type == SOCK_DGRAM) {
                if (entry->rate > 0 || entry->max_child > 0 || entry->source_rate > 0 || entry->source_max > 0)
                        sheet_note(service, SHEET_END, &entry->mark,
                                   "limits mean nothing for datagrams that the broker "
                                   "answers itself");
                return;
        }
        write_instances(service, entry);
        write_per_source(service, entry);
        if (entry->rate <= 0)
                return;
        sheet_raw(service, "cps", "%d/1min", entry->rate);
        sheet_raw(service, "cps_pause", "10min");
}

static void write_builtin(struct sheet_service *service, const struct inetd_entry *entry) {
        const char *name = find_builtin(entry);

        if (!name && (strcmp(entry->service, "auth") == 0 || strcmp(entry->service, "ident") == 0)) {
                sheet_refuse(service, &entry->mark,
                             "inetd answers identification requests itself, which nothing here "
                             "does; a program such as oidentd can");
                return;
        }
        if (!name) {
                sheet_refuse(service, &entry->mark, "'%s' is not a service that the broker answers itself",
                             entry->service);
                return;
        }
        sheet_text(service, "builtin", name);
        if (entry->arg_count > 1)
                sheet_note(service, "builtin", &entry->mark, "%s takes no arguments here", name);
        if (entry->type == SOCK_DGRAM && strcmp(name, "discard") != 0 && !inetd_listen_is_local(entry)) {
                sheet_remark(service, "udp_public",
                             "inetd answers everybody, whose address may be forged; better leave "
                             "it out and listen at udp:127.0.0.1");
                sheet_raw(service, "udp_public", "yes");
        }
        write_builtin_limits(service, entry);
}

/* What tcpd was to start, and the rules that it looked at. */
static bool unwrap(struct sheet_service *service, const struct inetd_entry *entry, const char **ret_program,
                   const char **ret_argv0) {
        const char *word = entry->arg_count > 0 ? entry->args[0] : NULL;

        if (!word || last_part(word)[0] == '\0' || word[0] == '-') {
                sheet_refuse(service, &entry->mark, "%s names no program to start", entry->server);
                return false;
        }
        *ret_program = word[0] == '/' ? word : sheet_printf(service->sheet, TCPD_DIRECTORY "/%s", word);
        *ret_argv0 = last_part(word);
        sheet_note(
                service, "only_from", &entry->mark,
                "%s: rules for '%s' in /etc/hosts.allow and /etc/hosts.deny are not looked at any more; write them as "
                "only_from and no_access",
                entry->server, *ret_argv0);
        return *ret_program != NULL;
}

static void remark_words(struct sheet_service *service, const struct inetd_entry *entry) {
        for (size_t i = 1; i < entry->arg_count; i++)
                if (entry->args[i][0] == '#') {
                        sheet_remark(service, "command",
                                     "inetd knows no comments at the end of a line: '%s' is an argument",
                                     entry->args[i]);
                        break;
                }
        if (entry->quoted)
                sheet_remark(service, "command",
                             "quotes are taken as NetBSD, FreeBSD and GNU take them; to OpenBSD and "
                             "Debian they are part of the words");
        if (entry->arg_count > ARGS_MAX)
                sheet_note(service, "command", &entry->mark, "there are %zu arguments, of which BSD's inetd passes %d",
                           entry->arg_count, ARGS_MAX);
}

static void write_program(struct sheet_service *service, const struct inetd_entry *entry) {
        const char *program = entry->server;
        const char *argv0 = entry->arg_count > 0 ? entry->args[0] : last_part(program);
        struct sheet *sheet = service->sheet;

        if (strcmp(last_part(program), "tcpd") == 0 && !unwrap(service, entry, &program, &argv0))
                return;
        if (program[0] == '\0') {
                sheet_refuse(service, &entry->mark, "it has no program");
                return;
        }
        sheet_program(service, &entry->mark, program);
        for (size_t i = 1; i < entry->arg_count; i++)
                sheet_append(service, "command", literal(sheet, entry->args[i]));
        remark_words(service, entry);
        if (strcmp(argv0, program) != 0)
                sheet_text(service, "argv0", literal(sheet, argv0));
        if (argv0[0] == '-')
                sheet_remark(service, "argv0", "inetd takes the first word behind the program for its name, as here");
}

static void write_identity(struct sheet_service *service, const struct inetd_entry *entry) {
        if (refuse_owner(entry->user))
                sheet_refuse(service, &entry->mark, "'%s' is not a user", entry->user);
        else
                sheet_text(service, "user", entry->user);
        if (entry->group && refuse_group(entry->group))
                sheet_refuse(service, &entry->mark, "'%s' is not a group", entry->group);
        else if (entry->group)
                sheet_text(service, "group", entry->group);
        if (entry->login_class)
                sheet_note(service, "user", &entry->mark,
                           "login class '%s': there are none on Linux; see ulimits and nice", entry->login_class);
}

static void write_server(struct sheet_service *service, const struct inetd_entry *entry, enum inetd_dialect dialect) {
        if (entry->type == SOCK_DGRAM && !entry->wait) {
                sheet_refuse(
                        service, &entry->mark,
                        "nowait with dgram: a program has the socket until it ends; write wait where that is what it "
                        "expects");
                return;
        }
        write_program(service, entry);
        write_identity(service, entry);
        sheet_text(service, "working_dir", "/");
        sheet_raw(service, "stderr", "socket");
        if (entry->wait && entry->mux == INETD_MUX_NO) {
                write_wait(service, entry, dialect);
                return;
        }
        sheet_raw(service, "wait", "no");
        write_admission(service, entry, dialect);
}

static void write_mux(struct sheet_service *service, const struct inetd_entry *entry) {
        const char *builtin = entry->server ? NULL : find_builtin(entry), *problem = refuse_asked_name(service->name);

        if (strcmp(entry->base, "tcp") != 0 || entry->type != SOCK_STREAM) {
                sheet_refuse(service, &entry->mark, "a tcpmux service is stream and tcp");
                return;
        }
        if (problem || (builtin && strcmp(builtin, "tcpmux") == 0)) {
                sheet_refuse(service, &entry->mark, "tcpmux %s",
                             problem ? problem : "itself is not a service that its clients ask for");
                return;
        }
        if (strcmp(service->name, entry->service) != 0)
                sheet_note(service, "tcpmux", &entry->mark, "clients ask for '%s', and find what is called so",
                           entry->service);
        if (entry->mux == INETD_MUX)
                sheet_text(service, "tcpmux", "plain");
        else
                sheet_raw(service, "tcpmux", "yes");
}

void inetd_service_write(struct sheet_service *service, enum inetd_dialect dialect, const struct inetd_entry *entry) {
        const char *policy = entry->ipsec ? entry->ipsec : entry->policy;

        if (entry->refusal) {
                sheet_refuse(service, &entry->mark, "%s", entry->refusal);
                sheet_remark(service, SHEET_HEAD, "%s", entry->text);
                return;
        }
        if (entry->indented)
                sheet_note(
                        service, SHEET_HEAD, &entry->mark,
                        "a line that begins with a blank: BSD's inetd takes it for more arguments of the line above");
        if (policy && policy[0])
                sheet_note(service, SHEET_HEAD, entry->ipsec ? &entry->mark : &entry->policy_mark,
                           "#@ %s: the broker sets no IPsec policy; use the kernel's, ip-xfrm(8)", policy);
        if (entry->off)
                sheet_raw(service, "enabled", "no");
        if (entry->mux == INETD_MUX_NO)
                inetd_listen_write(service, entry);
        else
                write_mux(service, entry);
        if (entry->server)
                write_server(service, entry, dialect);
        else
                write_builtin(service, entry);
        if (service->refused)
                sheet_remark(service, SHEET_HEAD, "%s", entry->text);
}
