/* One service of systemd's on its way to a definition: its socket units, its service unit, and what of their lines
 * counts. What the parts of the importer share. */
#pragma once

#include "conf/schema.h"
#include "conf/servicedef.h"
#include "import/import.h"
#include "import/unitload.h"
#include "import/unitspec.h"

struct conversion;
struct directive;

/* Directives of which all are said in one comment. */
enum systemd_group {
        GROUP_NONE,
        GROUP_ORDER,
        GROUP_CONDITIONS,
        GROUP_COMMANDS,
        GROUP_SOCKET_COMMANDS,
        GROUP_RESTART,
        GROUP_MANAGER,
        GROUP_DIRECTORIES,
        GROUP_SANDBOX,
        GROUP_RESOURCES,
        GROUP_LOG,
        GROUP_HELD, /* from here on remarks without a warning */
        GROUP_INSTALL,
        GROUP_ABOUT,
        GROUP_REPLACED,
        GROUP_N,
};

/* How often a directive may stand in a unit. */
enum directive_times {
        DIRECTIVE_ONCE,     /* the last one counts; empty takes all back */
        DIRECTIVE_LIST,     /* all count; empty takes those before back */
        DIRECTIVE_LIST_SET, /* the same, but empty means something, too */
        DIRECTIVE_ALWAYS,   /* all count */
};

typedef void directive_fn(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry);

struct directive {
        const char *name;
        directive_fn *apply; /* NULL: looked at when all are known */
        const char *key;     /* of our tables, where it has one */
        const char *text;    /* what there is to say of it */
        enum directive_times times;
        enum systemd_group group;
};

/* A line that counts. */
struct effective_entry {
        const struct directive *directive;
        const struct unit_entry *entry;
};

struct effective {
        struct effective_entry *items;
        size_t count;
};

/* One address of a socket unit. */
struct listen_item {
        struct sheet_node *node;
        struct addr_list addrs;
        const struct unit_entry *entry;
        char *address; /* as written in the definition */
        struct listen_item *next;
};

/* An address that a service has, so that no other one gets it. */
struct systemd_taken {
        const char *key; /* the same for addresses that are in each other's way */
        const char *owner;
        const struct unit_entry *entry;
        bool is_shared; /* with others that say so, too */
        struct systemd_taken *next;
};

/* A line of a group; those of one name are said together. */
struct group_line {
        const struct unit_entry *entry;
        unsigned times;          /* the same was there so often */
        struct group_line *next; /* in the order they came */
};

struct conversion {
        struct sheet *sheet;
        struct sheet_service *out;
        struct unit *service; /* NULL: there is none */
        struct unit **sockets;
        size_t socket_count;
        bool accept;
        bool is_template; /* without an instance: refused already */

        const struct unit *unit; /* that is being looked at */
        struct unitspec_scope scope;
        const struct effective *effective; /* its lines that count */
        struct effective service_effective;

        struct strlist environment; /* NAME=VALUE of its lines, before anything else is known */
        struct strlist passed;      /* names of variables that come from the broker */
        struct strlist unset;       /* names of those that the program is not to have, wherever they come from */
        bool has_env_files;
        struct buf redirections; /* that only a shell can do, as it writes them */

        struct service_def shape;     /* wait and handoff alone: which keys mean something */
        struct systemd_taken **taken; /* by the services before; set by the caller */
        struct systemd_taken *own;    /* by this one */
        struct listen_item *items;    /* of the socket unit that is being looked at */
        struct group_line *groups[GROUP_N];
};

/* systemdentries.c: which lines count, and what becomes of those that have no key. */

/* Makes UNIT the one that is looked at, with its lines that count. */
void systemd_look_at(struct conversion *conv, const struct unit *unit, struct effective *effective);

/* Applies all lines of the current unit that have something to apply. */
void systemd_apply(struct conversion *conv);

/* The line of NAME that counts, the last where several do; NULL without one. Borrowed. */
const struct unit_entry *systemd_last(const struct effective *effective, const char *name);

/* The next one of NAME from *I on, which starts at 0; NULL at the end. */
const struct unit_entry *systemd_next(const struct effective *effective, const char *name, size_t *i);

/* The value of a boolean directive; FALLBACK without one, or where it is none, which is noted. */
bool systemd_read_bool(struct conversion *conv, const struct effective *effective, const char *name, bool fallback);

/* Says that ENTRY, which is boolean, is so here in any case; nothing where it is neither yes nor no. */
void systemd_hold_bool(struct conversion *conv, const struct unit_entry *entry);

/* The value of a duration in the same way. 0 is infinity where ZERO_IS_INFINITE. */
usec_t systemd_read_duration(struct conversion *conv, const struct effective *effective, const char *name,
                             usec_t fallback);

/* VALUE with its specifiers filled in; it lives as long as the sheet. Where that cannot be the service is refused and
 * VALUE is returned as it is. */
const char *systemd_expand(struct conversion *conv, const struct unit_entry *entry, const char *value);

/* Notes that ENTRY is left out, at KEY, with the reason. */
void systemd_note(struct conversion *conv, const char *key, const struct unit_entry *entry, const char *format, ...)
        PRINTF_LIKE(4, 5);

void systemd_add_to_group(struct conversion *conv, enum systemd_group group, const struct unit_entry *entry);
void systemd_end_groups(struct conversion *conv);

/* directive_fn's. */
void systemd_apply_group(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry);
void systemd_apply_note(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry);

/* systemddirectives.c: what each directive is. */
const struct directive *systemd_find_directive(const char *suffix, const char *section, const char *name);

/* systemdcarry.c: values that mean the same in our tables. */

/* Writes VALUE as KEY takes it to RET. False with the reason in WHY. */
bool systemd_carry_value(const struct key *key, const char *value, struct buf *ret, struct buf *why);

/* A directive_fn: directive->key gets the value; noted where the key means nothing for the service. */
void systemd_apply_key(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry);

/* systemdaddress.c, systemdlisten.c: the socket units. */
void systemd_convert_sockets(struct conversion *conv);

/* Refuses the service where another one has an address of it already; else they are its own from here on. */
void systemd_take_addresses(struct conversion *conv);
void systemd_apply_listen(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry);
void systemd_apply_option(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry);

/* systemdaccess.c: who may connect. */
void systemd_convert_access(struct conversion *conv, const struct effective *socket);

/* systemdlimits.c: how many connections, how often, how long, and how a program is stopped. */
void systemd_convert_limits(struct conversion *conv, const struct effective *socket);
void systemd_convert_times(struct conversion *conv);

/* systemdstart.c: whether the server starts with the broker, and again when it has ended. */
void systemd_convert_start(struct conversion *conv);

/* systemdprocess.c: who the program runs as, and where. PRIVILEGED: with all rights, whatever else is said. */
void systemd_convert_process(struct conversion *conv, const char *privileged);
void systemd_apply_groups(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry);
void systemd_apply_affinity(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry);
void systemd_apply_limit(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry);
void systemd_apply_sigpipe(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry);

/* systemdrights.c: capabilities, and what goes with them. */
void systemd_convert_rights(struct conversion *conv, const char *privileged);

/* systemdoutput.c: stdin, stdout and stderr. */

/* The line that has the socket as stdin, stdout or stderr; NULL without one. Borrowed. */
const struct unit_entry *systemd_find_stdio(const struct effective *service);
void systemd_convert_output(struct conversion *conv);

/* systemdenvironment.c: the variables of a program. They are read before its command, which may name them, and
 * written after it: DEFAULTED says that it gives variables that a file may set, too, their values. */
void systemd_read_environment(struct conversion *conv);
void systemd_write_environment(struct conversion *conv, bool defaulted);

/* Whether VARIABLE, NAME=VALUE, tells of a directory that systemd makes. */
bool systemd_is_directory_variable(const char *variable);

/* TEXT for a place where our definitions have placeholders. */
void systemd_add_literal(struct buf *out, const char *text);

/* systemdshell.c: TEXT as one word for a shell, in quotes where it needs any. */
void systemd_add_shell_word(struct buf *out, const char *text);

/* systemdcommand.c: what is executed. */
void systemd_convert_command(struct conversion *conv);

/* What the prefixes of the command say of its rights: "+", "!", or NULL. */
const char *systemd_find_rights(const struct conversion *conv);
