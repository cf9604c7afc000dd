/* The key tables: what keys there are, of what type, with what default, and what they mean. Reading, printing,
 * comparing, copying, explaining and the manual all go by these tables, so that a key exists for all of them or for
 * none. They stand in schema_*.c. */
#pragma once

#include "base/buf.h"
#include "base/defs.h"
#include "net/addr.h"

#include <stdbool.h>

struct decoder;
struct key;
struct node;
struct printer;
struct section;
struct service_def;

/* What a key's value can be. Fields are "unset" after clear(); a zeroed field may be cleared too. */
struct key_type {
        const char *name; /* for people: 'x' is not a NAME */
        size_t size;      /* of the field */
        /* Writes what can be written: "1 to 64", "yes or no". */
        void (*describe)(const struct key *key, struct buf *out);
        /* Reads NODE into a cleared field. False when something is wrong with it, which has been reported then; what
         * the field holds by now is still freed by clear(). */
        bool (*decode)(struct decoder *dec, const struct key *key, const struct node *node, void *field);
        /* Writes what stands after "key:", newline included. */
        void (*print)(const struct key *key, const void *field, struct printer *printer);
        /* NULL: byte by byte. */
        bool (*equal)(const struct key *key, const void *a, const void *b);
        /* Into a cleared field. False when memory ran out. NULL: byte by byte. */
        bool (*copy)(const struct key *key, const void *from, void *to);
        /* Frees what the field holds and leaves it unset. NULL: all bytes zero. */
        void (*clear)(const struct key *key, void *field);
};

/* No field is larger. */
#define FIELD_SIZE_MAX 64

/* Which addresses an option of `listen` is for. */
struct address_class {
        const char *text; /* "TCP addresses" */
        bool (*has)(const struct addr *addr);
        bool inherited; /* fd:NAME too, whatever it turns out to be */
};

/* Which services a key is for. Written where it does not apply it is an error, unless it came from `defaults:`. */
enum key_scope {
        SCOPE_ALL,
        SCOPE_SERVER,     /* wait: yes */
        SCOPE_CONNECTION, /* wait: no */
        SCOPE_BOOT,       /* start: boot */
        SCOPE_LASTING,    /* wait: yes, proxy with command, or a pool: processes that outlive connections */
        SCOPE_PROXY,      /* proxy */
        SCOPE_BUILTIN,    /* builtin */
        SCOPE_REQUEST,    /* handoff: request */
        SCOPE_HELD,       /* proxy, builtin or handoff: request: the broker itself has the connections */
        SCOPE_AWAITED,    /* wait: yes, or proxy: something has to get ready */
        SCOPE_WORKERS,    /* wait: yes, or a pool: handoff: pass or request */
        SCOPE_SPAWN,      /* a program for each connection */
        SCOPE_STDOUT,     /* those that do not get the socket as stdout */
        SCOPE_N,
};

enum service_key {
        SERVICE_LISTEN,
        SERVICE_DESCRIPTION,
        SERVICE_ENABLED,
        SERVICE_WAIT,
        SERVICE_HANDOFF,
        SERVICE_COMMAND,
        SERVICE_PROXY,
        SERVICE_SEND_PROXY_PROTOCOL,
        SERVICE_BUILTIN,
        SERVICE_UDP_PUBLIC,
        SERVICE_TCPMUX,
        SERVICE_START,
        SERVICE_CONNECTION_TIMEOUT,
        SERVICE_STOP_SIGNAL,
        SERVICE_STOP_GRACE_PERIOD,
        SERVICE_KILL_MODE,
        SERVICE_RESTART,
        SERVICE_RESTART_DELAY,
        SERVICE_RESTART_DELAY_MAX,
        SERVICE_TRIGGER_LIMIT,
        SERVICE_MAX_RUNTIME,
        SERVICE_NON_BLOCKING,
        SERVICE_MAIN,
        SERVICE_CLAIM,
        SERVICE_SPARE,
        SERVICE_WORKERS,
        SERVICE_REQUEST,
        SERVICE_READY,
        SERVICE_START_TIMEOUT,
        SERVICE_ON_CHANGE,
        SERVICE_WATCHDOG,
        SERVICE_FD_STORE,
        SERVICE_IDLE_STOP,
        SERVICE_USER,
        SERVICE_GROUP,
        SERVICE_GROUP_ADD,
        SERVICE_GROUPS,
        SERVICE_UMASK,
        SERVICE_ROOT_DIR,
        SERVICE_WORKING_DIR,
        SERVICE_ARGV0,
        SERVICE_ENVIRONMENT,
        SERVICE_ENV_FILE,
        SERVICE_PASS_ENVIRONMENT,
        SERVICE_ULIMITS,
        SERVICE_NICE,
        SERVICE_CPUSET,
        SERVICE_OOM_SCORE_ADJ,
        SERVICE_CAP_ADD,
        SERVICE_CAP_DROP,
        SERVICE_STDERR,
        SERVICE_STDOUT,
        SERVICE_NO_NEW_PRIVILEGES,
        SERVICE_INSTANCES,
        SERVICE_PER_SOURCE,
        SERVICE_SOURCE_PREFIX,
        SERVICE_WHEN_FULL,
        SERVICE_CPS,
        SERVICE_CPS_PAUSE,
        SERVICE_MAX_LOAD,
        SERVICE_ONLY_FROM,
        SERVICE_NO_ACCESS,
        SERVICE_UID,
        SERVICE_GID,
        SERVICE_ACCESS_TIMES,
        SERVICE_BANNER,
        SERVICE_BANNER_SUCCESS,
        SERVICE_BANNER_FAIL,
        SERVICE_REFUSE_WITH,
        SERVICE_SENSOR,
        SERVICE_PROXY_PROTOCOL,
        SERVICE_PROXY_PROTOCOL_FROM,
        SERVICE_KEY_N,
};

struct choices {
        const char *const *names; /* by the value's number */
        size_t count;
};

struct key {
        const char *name;
        const struct key_type *type;
        size_t offset;       /* of the field, in the structure of its section */
        enum service_key id; /* of keys of a service */
        bool required;
        bool visible; /* a program sees it: changing it takes a new process to have an effect */
        bool lenient; /* may be written out of scope as long as it says what the default says */
        enum key_scope scope;
        const char *fallback;       /* the default as one would write it; NULL: unset */
        const char *fallback_means; /* what then holds, where that needs words */
        const char *meaning;        /* one line */
        const char *example;        /* what stands after "key: " */
        const char *missing;        /* of a required key: what to write */
        const char *instead;        /* out of scope: what to write there ("; write …"); NULL: nothing */
        int64_t min, max;           /* of numbers, in the unit of the field */
        struct choices choices;
        const char *(*refuse)(const char *text); /* texts: NULL, or what is wrong with it ("is not …; write …") */
        const struct section *section;           /* of mappings */
        const struct address_class *addresses;   /* of options of `listen`; NULL: all */
};

struct key_group {
        const char *title; /* NULL where the section has one group */
        const struct key *keys;
        size_t count;
};

struct section {
        const char *path; /* in front of its keys, for people: "services.NAME."; "" at the top */
        const char *what; /* "a service" */
        const struct key_group *const *groups;
        size_t group_count;
};

/* A `break` in the body leaves one group only: use return. */
#define section_for_each(key, section)                                                                                 \
        for (size_t group_ = 0; group_ < (section)->group_count; group_++)                                             \
                for (const struct key *key = (section)->groups[group_]->keys,                                          \
                                      *end_ = key + (section)->groups[group_]->count;                                  \
                     key < end_; key++)

extern const struct section section_top;
extern const struct section section_broker;
extern const struct section section_log;
extern const struct section section_service;
extern const struct section section_listen;
extern const struct section section_keep_alive;
extern const struct section section_env_file;
extern const struct section section_source_prefix;
extern const struct section section_workers;
extern const struct section section_request;

extern const struct key_group group_listen; /* the key `listen` itself */
extern const struct key_group group_activation;
extern const struct key_group group_process;
extern const struct key_group group_admission;

extern const struct address_class addresses_listening;
extern const struct address_class addresses_sockets;
extern const struct address_class addresses_inherited_sockets;
extern const struct address_class addresses_ip;
extern const struct address_class addresses_inherited_ip;
extern const struct address_class addresses_ipv6;
extern const struct address_class addresses_tcp;
extern const struct address_class addresses_udp;
extern const struct address_class addresses_unix;
extern const struct address_class addresses_senders;
extern const struct address_class addresses_paths;
extern const struct address_class addresses_owned;
extern const struct address_class addresses_fifo;
extern const struct address_class addresses_mqueue;
extern const struct address_class addresses_special;

/* All sections, for explaining. */
extern const struct section *const schema_sections[];
extern const size_t schema_section_count;

/* The key called NAME, or NULL. */
const struct key *section_find(const struct section *section, const char *name);

/* The names of all keys of a section; at most ROOM of them. Returns how many. */
size_t section_names(const struct section *section, const char **names, size_t room);
#define SECTION_NAMES_MAX 256

static inline void *key_field(const struct key *key, void *base) {
        return (char *)base + key->offset;
}

static inline const void *key_const_field(const struct key *key, const void *base) {
        return (const char *)base + key->offset;
}

/* Whether the key means something for this service, whose other keys have been read. */
bool key_applies(const struct key *key, const struct service_def *def);

/* Whether it means something for a sensor, which starts nothing and serves nobody. */
bool key_is_for_sensors(const struct key *key);

/* Whether it means something for a proxy without a command, which starts nothing. */
bool key_is_for_bare_proxies(const struct key *key);

/* Whether it means something for a built-in, which starts nothing either. */
bool key_is_for_builtins(const struct key *key);

/* Whom keys of this scope are for: "servers with ...". NULL for all. */
const char *key_scope_text(enum key_scope scope);

/* Gives the field the key's default. False when memory ran out. */
bool key_set_default(const struct key *key, void *field);

/* The operations of one key's type, with its shortcuts filled in. */
bool key_equal(const struct key *key, const void *a, const void *b);
bool key_copy(const struct key *key, const void *from, void *to);
void key_clear(const struct key *key, void *field);

/* Whether the field says something, as opposed to being unset. */
bool key_is_set(const struct key *key, const void *field);

/* The same for all keys of a section; BASE is the structure their offsets count from. */
void section_clear(const struct section *section, void *base);
bool section_copy(const struct section *section, const void *from, void *to); /* TO is cleared or zero */
bool section_equal(const struct section *section, const void *a, const void *b);

/* Clears BASE, then reads the defaults of the table into it. False when memory ran out. */
bool section_set_defaults(const struct section *section, void *base);
