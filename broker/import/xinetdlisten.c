/* Where a service of xinetd listens, and what takes its connections. */
#include "base/number.h"
#include "conf/refuse.h"
#include "import/hostport.h"
#include "import/xinetd.h"
#include "net/prefix.h"

#include <string.h>
#include <strings.h>

#define TCPMUX_PORT 1

/* Returns false after refusing the service. */
static bool find_port(struct xinetd_job *job, unsigned *ret) {
        const char *port = job_value(job, "port"), *name = job->entry->name;
        int64_t number;

        if (port) {
                if (number_parse(port, 1, 65535, &number) < 0) {
                        sheet_refuse(job->out, job_mark(job, "port"), "port = %s: 1 to 65535 is needed", port);
                        return false;
                }
                *ret = (unsigned)number;
                return true;
        }
        if (xinetd_find(job->entry, "port"))
                return false;
        if (job->types & XINETD_TYPE_UNLISTED) {
                sheet_refuse(job->out, job_mark(job, "type"), "type = UNLISTED: port is missing");
                return false;
        }
        if (portnames_find(&job->xinetd->import->ports, name, job->datagram ? "udp" : "tcp", ret))
                return true;
        if (job->types & XINETD_TYPE_INTERNAL && strcmp(name, "tcpmux") == 0) {
                *ret = TCPMUX_PORT;
                return true;
        }
        sheet_refuse(job->out, &job->entry->mark,
                     "there is no port '%s' for %s in the services database; name a file that has it with --services",
                     name, job->datagram ? "udp" : "tcp");
        return false;
}

static bool is_host(const char *text) {
        return !prefix_looks_numeric(text) && !refuse_host(text);
}

/* What it is bound to, or NULL after refusing the service. */
static const char *bound_address(struct xinetd_job *job, const char *host, unsigned port) {
        bool numeric = hostport_is_ipv4(host) || hostport_is_ipv6(host);

        if (!numeric && !is_host(host)) {
                sheet_refuse(job->out, &job->entry->mark, "bind = %s: not an address", host);
                return NULL;
        }
        if (!numeric)
                sheet_note(job->out, "listen",
                           job_mark(job, xinetd_find(job->entry, "interface") ? "interface" : "bind"),
                           "bind = %s: all addresses of the name; xinetd takes one of them", host);
        return hostport_text(job->sheet, host, port, job->datagram);
}

/* A flag that makes no difference. */
static void tell_flag(struct xinetd_job *job, unsigned flag, const char *name, const char *why) {
        if (job->flags & flag)
                sheet_remark(job->out, "listen", "flags = %s: %s", name, why);
}

static void tell_family_flags(struct xinetd_job *job, const char *why) {
        tell_flag(job, XINETD_FLAG_IPV4, "IPv4", why);
        tell_flag(job, XINETD_FLAG_IPV6, "IPv6", why);
}

static void tell_stream_flags(struct xinetd_job *job, const char *why) {
        tell_flag(job, XINETD_FLAG_NODELAY, "NODELAY", why);
        tell_flag(job, XINETD_FLAG_KEEPALIVE, "KEEPALIVE", why);
}

/* The address as text; *RET_V6ONLY where it has to say so. Without flags xinetd takes IPv6 and IPv4 with one
 * socket, as the broker does for a port alone. */
static const char *make_address(struct xinetd_job *job, unsigned port, bool *ret_v6only) {
        const char *bind = job_value(job, "bind"), *interface = job_value(job, "interface");
        const char *host = bind ? bind : interface, *prefix = job->datagram ? "udp:" : "";
        bool said = job_is(job, "v6only", false), v6only = (said || job->v6only) && !job->ipv4;

        *ret_v6only = v6only && (!host || strchr(host, ':'));
        if (said && !*ret_v6only)
                job_remark(job, "v6only", "listen",
                           host ? "what counts is the address that it is bound to" : "it listens to IPv4 alone");
        if (host)
                tell_family_flags(job, "what counts is the address that it is bound to");
        else if (!(job->flags & XINETD_FLAG_IPV4))
                tell_flag(job, XINETD_FLAG_IPV6, "IPv6", "xinetd takes IPv6 without it, too");
        if (host && strcmp(host, "::") == 0 && !v6only) {
                sheet_remark(job->out, "listen", "bind = ::, which takes IPv4 too");
                host = NULL;
        }
        if (host)
                return bound_address(job, host, port);
        if (job->ipv4)
                return sheet_printf(job->sheet, "%s0.0.0.0:%u", prefix, port);
        return sheet_printf(job->sheet, v6only ? "%s[::]:%u" : "%s%u", prefix, port);
}

static void set_address(struct sheet_node *node, const char *address) {
        if (address && address[strspn(address, "0123456789")] == '\0')
                node_raw(node, "%s", address);
        else if (address)
                node_text(node, address);
}

/* Whether WIDE is all addresses, or all of the family that NARROW has. Each is a port alone, or ADDRESS:PORT. */
static bool covers(const char *wide, const char *narrow) {
        if (!strchr(wide, ':'))
                return true;
        if (strncmp(wide, "[::]:", 5) == 0)
                return narrow[0] == '[' || !strchr(narrow, ':');
        return strncmp(wide, "0.0.0.0:", 8) == 0 && narrow[0] != '[';
}

/* Whether two addresses cannot both be bound. */
static bool is_shared(const char *a, const char *b) {
        const char *port_a = strrchr(a, ':') ? strrchr(a, ':') + 1 : a,
                   *port_b = strrchr(b, ':') ? strrchr(b, ':') + 1 : b;
        bool udp = strncmp(a, "udp:", 4) == 0;

        if (strcmp(port_a, port_b) != 0 || udp != (strncmp(b, "udp:", 4) == 0))
                return false;
        a += udp ? 4 : 0;
        b += udp ? 4 : 0;
        return strcmp(a, b) == 0 || covers(a, b) || covers(b, a);
}

/* Two services with one address: xinetd starts the first alone. */
static void check_shared(struct xinetd_job *job, const char *address) {
        if (job->disabled || !address)
                return;
        job->entry->address = address;
        for (const struct xinetd_entry *other = job->xinetd->first; other != job->entry; other = other->next)
                if (other->address && is_shared(address, other->address)) {
                        sheet_refuse(job->out, &job->entry->mark, "service %s at line %u%s%s has its address already",
                                     other->name, other->mark.line,
                                     strcmp(other->mark.file, job->entry->mark.file) == 0 ? "" : " of ",
                                     strcmp(other->mark.file, job->entry->mark.file) == 0 ? "" : other->mark.file);
                        return;
                }
}

static void make_socket(struct xinetd_job *job) {
        const char *protocol = job_value(job, "protocol");
        bool other = protocol && (strcasecmp(protocol, "sctp") == 0 || strcasecmp(protocol, "udplite") == 0);
        bool stream = !job->datagram && !other, v6only;
        struct sheet_node *node = sheet_key(job->out, "listen");
        unsigned port;
        const char *address;

        if (!find_port(job, &port))
                return;
        if (!stream)
                tell_stream_flags(job, "an option of TCP");
        address = make_address(job, port, &v6only);
        check_shared(job, address);
        if (!other && !v6only && !(stream && job->flags & (XINETD_FLAG_NODELAY | XINETD_FLAG_KEEPALIVE))) {
                set_address(node, address);
                return;
        }
        set_address(node_key(node, "address"), address);
        if (other)
                node_text(node_key(node, "protocol"), strcasecmp(protocol, "sctp") == 0 ? "sctp" : "udplite");
        if (v6only)
                node_raw(node_key(node, "ipv6_only"), "yes");
        if (stream && job->flags & XINETD_FLAG_KEEPALIVE)
                node_raw(node_key(node, "keep_alive"), "yes");
        if (stream && job->flags & XINETD_FLAG_NODELAY)
                node_raw(node_key(node, "no_delay"), "yes");
}

static void make_redirect(struct xinetd_job *job) {
        struct xinetd_attr *attr = job_take(job, "redirect");
        const char *host = attr->words ? attr->words->text : NULL;
        const char *name = host && attr->words->next ? attr->words->next->text : NULL;
        unsigned port;

        if (!name || attr->words->next->next) {
                sheet_refuse(job->out, &attr->line->mark, "%s: a host and a port are needed", attr->line->text);
                return;
        }
        if (!hostport_is_ipv4(host) && !hostport_is_ipv6(host) && !is_host(host)) {
                sheet_refuse(job->out, &attr->line->mark, "%s: not an address", attr->line->text);
                return;
        }
        if (job->datagram)
                sheet_refuse(job->out, &attr->line->mark, "redirect: only streams can be relayed");
        if (!portnames_find(&job->xinetd->import->ports, name, "tcp", &port)) {
                sheet_refuse(job->out, &attr->line->mark, "%s: there is no port '%s' for tcp in the services database",
                             attr->line->text, name);
                return;
        }
        sheet_text(job->out, "proxy", hostport_text(job->sheet, host, port, false));
}

static void make_builtin(struct xinetd_job *job) {
        static const char *const names[] = {"echo", "discard", "daytime", "time", "chargen", "tcpmux"};
        const char *name = job->entry->name;
        size_t i = 0;

        while (i < LENGTH_OF(names) && strcmp(name, names[i]) != 0)
                i++;
        if (i == LENGTH_OF(names)) {
                sheet_refuse(job->out, &job->entry->mark, "type = INTERNAL: there is no built-in '%s' here", name);
                return;
        }
        sheet_text(job->out, "builtin", name);
        if (!job->datagram)
                return;
        sheet_remark(job->out, "udp_public", "xinetd answers datagrams from everywhere");
        sheet_raw(job->out, "udp_public", "yes");
}

/* deny_time is in minutes. Without it, and with NEVER, xinetd refuses and remembers nothing. */
static void make_sensor(struct xinetd_job *job) {
        const char *time = job_value(job, "deny_time");
        int64_t minutes = 0;

        if (job->datagram)
                sheet_refuse(job->out, job_mark(job, "flags"),
                             "flags = SENSOR with datagrams: whose senders may be forged");
        if (time && strcmp(time, "FOREVER") == 0) {
                sheet_raw(job->out, "sensor", "infinity");
                return;
        }
        if (time && strcmp(time, "NEVER") != 0 && number_parse(time, 0, 1000000, &minutes) < 0) {
                sheet_refuse(job->out, job_mark(job, "deny_time"), "deny_time = %s: not a number of minutes", time);
                return;
        }
        if (minutes > 0) {
                sheet_raw(job->out, "sensor", "%dmin", (int)minutes);
                return;
        }
        sheet_remark(job->out, "builtin", "a SENSOR %s: everybody is refused, and that is logged",
                     time ? "with deny_time = NEVER" : "without deny_time");
        sheet_text(job->out, "builtin", "discard");
        sheet_append(job->out, "no_access", "0.0.0.0/0");
        sheet_append(job->out, "no_access", "::/0");
        job->nobody = true;
        job->form = XINETD_INTERNAL;
}

/* Asked for by name at the tcpmux service, it has no port of its own. */
static void make_muxed(struct xinetd_job *job) {
        const char *problem = refuse_asked_name(job->out->name);

        if (problem || (job->form == XINETD_INTERNAL && strcmp(job->entry->name, "tcpmux") == 0)) {
                sheet_refuse(job->out, &job->entry->mark, "tcpmux %s",
                             problem ? problem : "itself is not a service that its clients ask for");
                return;
        }
        tell_family_flags(job, "it has no socket of its own");
        tell_stream_flags(job, "the connections are those of the service tcpmux");
        job_note(job, "port", "tcpmux", "xinetd opens no port for it either; write listen for one");
        sheet_raw(job->out, "tcpmux", job->types & XINETD_TYPE_TCPMUXPLUS ? "yes" : "plain");
        if (strcasecmp(job->out->name, job->entry->name) != 0)
                sheet_refuse(job->out, &job->entry->mark,
                             "clients ask tcpmux for '%s', and the service would be called %s here", job->entry->name,
                             job->out->name);
}

void job_listen(struct xinetd_job *job) {
        bool muxed = job->types & (XINETD_TYPE_TCPMUX | XINETD_TYPE_TCPMUXPLUS);

        if (job->form == XINETD_REDIRECT)
                make_redirect(job);
        else if (job->form == XINETD_INTERNAL)
                make_builtin(job);
        else if (job->form == XINETD_SENSOR)
                make_sensor(job);
        if (muxed)
                make_muxed(job);
        else if (!(job->types & XINETD_TYPE_RPC))
                make_socket(job);
        if (job->form == XINETD_PROGRAM || job->form == XINETD_SENSOR)
                sheet_raw(job->out, "wait", job->wait ? "yes" : "no");
        if (job->wait)
                sheet_text(job->out, "handoff", "stdio");
}
