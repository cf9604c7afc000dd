/* A service as its administrator defined it: checked, defaults filled in, nothing started. Every field below stands in
 * the key tables (conf/schema.h), from which decoding, comparing, printing and explaining all come; the few that do not
 * are results of loading and say so. */
#pragma once

#include "base/dayranges.h"
#include "base/diag.h"
#include "base/log.h"
#include "base/rate.h"
#include "base/strlist.h"
#include "net/addr.h"
#include "net/options.h"
#include "net/prefix.h"

#include <sys/resource.h>
#include <sys/types.h>

enum handoff_kind {
        HANDOFF_AUTO, /* fds with `wait: yes`, stdio with `wait: no`; never left after loading */
        HANDOFF_FDS,
        HANDOFF_STDIO,
        HANDOFF_PASS,    /* connections to workers, by a queue */
        HANDOFF_REQUEST, /* requests to workers, by their stdin and stdout */
        HANDOFF_N,
        HANDOFF_NONE = HANDOFF_N, /* a proxy's server gets no socket, and a built-in has none; never written */
};

/* What the broker answers itself, without a program. */
enum builtin_kind {
        BUILTIN_NONE, /* never written */
        BUILTIN_ECHO,
        BUILTIN_DISCARD,
        BUILTIN_DAYTIME,
        BUILTIN_TIME,
        BUILTIN_CHARGEN,
        BUILTIN_STATUS, /* whether all is well, in one line */
        BUILTIN_TCPMUX, /* other services, by name */
        BUILTIN_N,
};

/* Whether a service can be asked for by name. */
enum tcpmux_kind {
        TCPMUX_NO,
        TCPMUX_YES,
        TCPMUX_PLAIN, /* and its program says itself that it is there */
        TCPMUX_N,
};

enum start_kind {
        START_ON_DEMAND,
        START_BOOT,
        START_N,
};

enum restart_kind {
        RESTART_NO,
        RESTART_ON_FAILURE,
        RESTART_ALWAYS,
        RESTART_N,
};

/* What a reload does to a running server whose definition has changed. */
enum on_change {
        ON_CHANGE_RESTART,
        ON_CHANGE_REPLACE, /* the old one goes on until the new one is ready */
        ON_CHANGE_KEEP,    /* the old one goes on until it ends */
        ON_CHANGE_N,
};

enum kill_mode {
        KILL_GROUP,
        KILL_PROCESS,
        KILL_N,
};

enum ready_kind {
        READY_EXEC,   /* once it is started */
        READY_NOTIFY, /* once it says so (sd_notify(3)) */
        READY_N,
};

enum when_full {
        WHEN_FULL_WAIT,
        WHEN_FULL_REFUSE,
        WHEN_FULL_N,
};

enum refuse_with {
        REFUSE_WITH_CLOSE, /* an orderly end */
        REFUSE_WITH_RESET, /* a TCP RST */
        REFUSE_WITH_N,
};

enum proxy_protocol {
        PROXY_PROTOCOL_NO,
        PROXY_PROTOCOL_ACCEPT, /* with a header or without */
        PROXY_PROTOCOL_REQUIRE,
        PROXY_PROTOCOL_N,
};

enum send_proxy_protocol {
        SEND_PROXY_PROTOCOL_NO,
        SEND_PROXY_PROTOCOL_V1,
        SEND_PROXY_PROTOCOL_V2,
        SEND_PROXY_PROTOCOL_N,
};

enum output_kind {
        OUTPUT_LOG,     /* one log line a line */
        OUTPUT_INHERIT, /* the broker's own */
        OUTPUT_SOCKET,  /* the socket handed over */
        OUTPUT_NULL,
        OUTPUT_APPEND, /* to a file */
        OUTPUT_N,
};

struct output_def {
        enum output_kind kind;
        char *path; /* OUTPUT_APPEND only */
};

#define COUNT_UNLIMITED UINT32_MAX
#define UMASK_UNSET ((mode_t)-1)
#define ADJUSTMENT_UNSET INT32_MIN

struct ulimit_def {
        int resource; /* RLIMIT_* */
        struct rlimit limit;
};

struct ulimits_def {
        struct ulimit_def *items;
        size_t count;
};

struct capability_def {
        unsigned number; /* CAPABILITY_ALL_NUMBER */
        struct mark mark;
};

#define CAPABILITY_ALL_NUMBER 64

/* No number twice. Allocated, since few services have any: there may be thousands without. */
struct capabilities_def {
        size_t count;
        struct capability_def items[];
};

#define CPUS_MAX 1024

/* Allocated likewise. */
struct cpus_def {
        struct mark mark;
        uint64_t bits[CPUS_MAX / 64];
};

static inline bool cpus_def_has(const struct cpus_def *cpus, unsigned cpu) {
        return cpus->bits[cpu / 64] >> cpu % 64 & 1;
}

struct env_file_def {
        char *path;
        bool required;
        struct mark mark;
};

struct env_files_def {
        struct env_file_def *items;
        size_t count;
};

/* One entry of `listen`. */
struct listen_def {
        struct mark mark;
        char *address;          /* as written */
        char *name;             /* for LISTEN_FDNAMES; after loading never NULL */
        struct addr_list addrs; /* result: what `address` means; several where a host name has several */
        struct listen_options options;
};

struct listens_def {
        struct listen_def *items;
        size_t count;
};

/* Which part of the broker's own environment a program gets. */
struct pass_environment_def {
        bool all;
        struct strlist names; /* when not all */
};

/* In the file of the service itself. */
struct place {
        unsigned line;
        unsigned column;
};

struct places {
        struct place command;
        struct place user;
        struct place group;
        struct place group_add;
        struct place root_dir;
        struct place ulimits;
        struct place oom_score_adj;
        struct place idle_stop;
};

/* One exception of `per_source`. */
struct source_limit_def {
        char *text; /* as written */
        struct prefix prefix;
        uint32_t limit; /* COUNT_UNLIMITED */
};

struct per_source_def {
        uint32_t limit; /* of those without an exception; COUNT_UNLIMITED */
        struct source_limit_def *items;
        size_t count;
};

/* How many bits of an address are one source. */
struct source_prefix_def {
        int ipv4; /* 1 to 32 */
        int ipv6; /* 1 to 128 */
};

/* One entry of a list of clients: an address, a network, or a host with all its addresses. */
struct network_def {
        char *text; /* as written */
        struct mark mark;
        struct prefix *prefixes; /* result: what `text` means */
        size_t count;
};

struct networks_def {
        struct network_def *items;
        size_t count; /* 0: the key is not there */
};

#define BANNER_FILE "file:"
#define BANNER_SIZE_MAX 4096

/* Allocated, since few services have any. */
struct banner_def {
        char *text; /* as written, but that the path after file: is complete */
        char *data; /* result: what is sent; not terminated. Not there where the service is disabled */
        size_t size;
};

/* Users, or groups, of clients on AF_UNIX sockets. Allocated likewise. */
struct peer_ids_def {
        struct strlist names; /* as written */
        uint32_t *ids;        /* result: what the names mean, in their order */
};

/* What a proxy relays to. Allocated likewise. */
struct proxy_def {
        char *text;             /* as written */
        struct addr_list addrs; /* result: what it means; several where a host name has several */
};

#define WORKERS_MAX 1024

/* With wait: yes servers, each with sockets of its own, as many as max says. */
struct workers_def {
        bool is_range; /* as written */
        int min;
        int max;
        int spare;
        uint32_t max_requests; /* COUNT_UNLIMITED */
        usec_t max_age;        /* USEC_INFINITY: none */
};

/* How requests are told from each other, and what becomes of those that get no reply. Allocated, since few services
 * have any. */
struct request_def {
        char *end; /* not empty, as reply_end */
        char *reply_end;
        char *error;
        int64_t max_size;
        int queue;
        bool keep_alive;
        usec_t busy_timeout; /* USEC_INFINITY: none */
};

struct service_def {
        char *name;
        struct mark mark; /* of the name */

        /* 3.1 */
        struct listens_def listen;

        /* 3.2 */
        char *description;
        bool enabled;
        bool wait;
        enum handoff_kind handoff;
        struct strlist command;
        struct proxy_def *proxy; /* NULL: none. With one, command is its server, or empty */
        enum send_proxy_protocol send_proxy_protocol;
        enum builtin_kind builtin; /* then there is neither command nor proxy */
        bool udp_public;
        enum tcpmux_kind tcpmux; /* unless TCPMUX_NO, listen may be empty */
        enum start_kind start;
        usec_t connection_timeout;
        int stop_signal;
        enum kill_mode kill_mode;
        usec_t stop_grace_period;
        enum restart_kind restart;
        usec_t restart_delay;
        usec_t restart_delay_max;
        struct rate_limit trigger_limit;
        usec_t max_runtime;
        bool non_blocking;
        bool main;
        struct peer_ids_def *claim; /* who may take the sockets; NULL: root and the broker's own user */
        int spare;                  /* processes kept ready for connections */
        struct workers_def workers;
        struct request_def *request; /* with handoff: request, after loading; else NULL */
        enum ready_kind ready;
        usec_t start_timeout;
        enum on_change on_change;
        usec_t watchdog;  /* USEC_INFINITY: none */
        int fd_store;     /* how many descriptors it may store */
        usec_t idle_stop; /* USEC_INFINITY: never */

        /* 3.3 */
        char *user;  /* NAME, UID or USER:GROUP; NULL: the broker's own */
        char *group; /* NULL: the user's */
        struct strlist group_add;
        bool groups;
        mode_t umask;               /* UMASK_UNSET: the broker's own */
        char *root_dir;             /* NULL: none */
        char *working_dir;          /* inside root_dir. NULL: / there, or the broker's own without */
        char *argv0;                /* with placeholders. NULL: the first word of command */
        struct strlist environment; /* NAME=VALUE, with placeholders; NAME alone: the broker's own value */
        struct env_files_def env_file;
        struct strlist env_file_values; /* result: what the files said when they were read, NAME=VALUE, later wins */
        struct pass_environment_def pass_environment;
        struct ulimits_def ulimits;
        int32_t nice;                      /* ADJUSTMENT_UNSET: the broker's own */
        int32_t oom_score_adj;             /* ADJUSTMENT_UNSET: the broker's own */
        struct cpus_def *cpuset;           /* NULL: the broker's own */
        struct capabilities_def *cap_add;  /* NULL: none */
        struct capabilities_def *cap_drop; /* NULL: none */
        struct output_def stderr_to;
        struct output_def stdout_to;
        bool no_new_privileges;

        /* 3.4 */
        uint32_t instances; /* COUNT_UNLIMITED */
        struct per_source_def per_source;
        struct source_prefix_def source_prefix;
        enum when_full when_full;
        struct rate_limit cps;
        usec_t cps_pause;
        uint32_t max_load; /* in hundredths; 0: unlimited */
        struct networks_def only_from;
        struct networks_def no_access;
        struct day_ranges access_times; /* none: always */
        struct banner_def *banner;      /* NULL: none */
        struct banner_def *banner_fail; /* NULL: none */
        struct banner_def *banner_success;
        enum refuse_with refuse_with;
        usec_t sensor; /* 0: none; USEC_INFINITY; then there is no command */
        enum proxy_protocol proxy_protocol;
        struct networks_def proxy_protocol_from; /* AF_UNIX: all local peers */
        struct peer_ids_def *uid;                /* NULL: anybody */
        struct peer_ids_def *gid;

        /* Results: where the values stand that are looked at again when the service is prepared. */
        struct places places;
};

/* Where the broker itself listens. */
struct endpoint_def {
        char *address; /* as written; NULL: nowhere */
        struct mark mark;
        struct addr_list addrs; /* result: what `address` means */
};

/* Where the control socket is. Nothing written: where main says. */
struct control_def {
        char *path; /* NULL: see off */
        bool off;   /* `control: no` */
        struct mark mark;
};

/* The `broker:` section. */
struct broker_def {
        struct endpoint_def metrics;
        enum log_format log_format;
        enum log_level log_level;
        usec_t idle_exit; /* USEC_INFINITY: never */
        struct control_def control;
};

/* Frees what it holds; it is unset then, and one that is all zero is fine. */
void broker_def_deinit(struct broker_def *def);

/* Everything that was read: all files of all -c options. */
struct def_set {
        struct broker_def broker;
        struct service_def **services; /* in the order they were read; disabled ones too */
        struct service_def **by_name;  /* the same, sorted, for def_set_find() */
        size_t count;
};

/* Whether its servers have something to say to us. */
static inline bool service_def_is_supervised(const struct service_def *def) {
        return def->ready == READY_NOTIFY || def->watchdog != USEC_INFINITY || def->fd_store > 0;
}

/* Whether the datagrams of a built-in that come in at the address SA are for it: without udp_public only those that
 * come from this machine, unless it answers none. */
bool service_def_answers_at(const struct service_def *def, const union sockaddr_any *sa);

/* Whether workers that outlive connections serve it. */
static inline bool service_def_is_pool(const struct service_def *def) {
        return def->handoff == HANDOFF_PASS || def->handoff == HANDOFF_REQUEST;
}

/* With everything as it is where nothing is written; NULL when memory ran out. */
struct request_def *request_def_new(void);

/* How many services a definition makes: with wait: yes each worker is one. */
static inline unsigned service_def_copies(const struct service_def *def) {
        return def->wait ? (unsigned)def->workers.max : 1;
}

struct mark service_def_mark(const struct service_def *def, struct place place);

/* As one set of bits; NULL: none. CAPABILITY_ALL (base/capability.h) where ALL is among them. */
uint64_t capabilities_def_set(const struct capabilities_def *list);

/* Frees SET with all it holds; NULL is fine. Returns NULL. */
struct def_set *def_set_free(struct def_set *set);
struct service_def *service_def_free(struct service_def *def);

/* A copy with everything but the marks' file names its own; NULL when memory ran out. */
struct service_def *service_def_copy(const struct service_def *def);

/* The service called NAME, or NULL. Borrowed. */
const struct service_def *def_set_find(const struct def_set *set, const char *name);

/* Whether a program started under A and one started under B would see any difference, sockets left aside (their
 * equality is asked for separately). Positions do not count. */
bool service_def_equal(const struct service_def *a, const struct service_def *b);

/* Whether two definitions say the same, sockets and all, however they were written. */
bool service_def_same(const struct service_def *a, const struct service_def *b);
bool broker_def_equal(const struct broker_def *a, const struct broker_def *b);

bool listen_options_equal(const struct listen_options *a, const struct listen_options *b);

/* Writes DEF as it would stand under `services:`, defaults filled in, so that reading it back gives an equal one. */
void service_def_print(const struct service_def *def, struct buf *out);

/* Writes the `broker:` section likewise. */
void broker_def_print(const struct broker_def *def, struct buf *out);
