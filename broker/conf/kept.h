/* What was found out about a definition when it was loaded: what its names of hosts, services, users and groups meant,
 * and what its files said. Loaded again from the same text with these answers it means the same, and nobody is asked:
 * that is how definitions in force reach the next binary (core/keep.h). A question without an answer here is asked as
 * ever. */
#pragma once

#include "base/strlist.h"

#include <stdbool.h>

struct broker_def;
struct service_def;

enum kept_kind {
        KEPT_ADDRESS, /* an address to listen on: struct addr, one or more */
        KEPT_HOST,    /* a client's name: struct prefix, one or more */
        KEPT_USER,    /* uint32_t */
        KEPT_GROUP,
        KEPT_FILE, /* its contents */
        KEPT_N,
};

struct kept_answer {
        enum kept_kind kind;
        char *question; /* as written in the definition */
        void *data;     /* NULL where size is 0 */
        size_t size;    /* in bytes */
};

struct kept {
        struct kept_answer *items;
        size_t count;
        size_t room;
        struct strlist env_file_values; /* of all env_files together, as in the definition; they are not read again */
};

#define KEPT_NULL ((struct kept){0})

void kept_deinit(struct kept *kept);

/* Adds a copy. Returns 0 or -ENOMEM. */
int kept_add(struct kept *kept, const struct kept_answer *answer);

/* Adds what DEF tells. Returns 0 or -ENOMEM. */
int kept_collect(struct kept *kept, const struct service_def *def);

/* Adds what the `broker:` section tells. Returns 0 or -ENOMEM. */
int kept_collect_broker(struct kept *kept, const struct broker_def *def);

/* The answer to QUESTION, or NULL. KEPT may be NULL. */
const struct kept_answer *kept_find(const struct kept *kept, enum kept_kind kind, const char *question);
