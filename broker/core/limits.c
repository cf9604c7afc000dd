#include "core/limits.h"

#include "base/err.h"
#include "base/seedhash.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
/* Running out of memory is answered here, not by exit(3). */
#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(key, size, hash) ((hash) = seedhash((key), (size)))
#include <uthash.h>

#define IDLE_MAX 1024

struct limits_source {
        struct prefix key;
        uint32_t taken;
        struct limits_source *next_idle;
        UT_hash_handle hh;
};

void limits_init(struct limits *limits) {
        *limits = (struct limits){.instances = UINT32_MAX};
}

void limits_deinit(struct limits *limits) {
        struct limits_source *source, *next;

        HASH_ITER(hh, limits->sources, source, next) {
                HASH_DEL(limits->sources, source);
                free(source);
        }
        for (source = limits->idle; source; source = next) {
                next = source->next_idle;
                free(source);
        }
        limits_init(limits);
}

void limits_set(struct limits *limits, uint32_t instances) {
        limits->instances = instances;
}

static void source_retire(struct limits *limits, struct limits_source *source) {
        if (limits->idle_count >= IDLE_MAX) {
                free(source);
                return;
        }
        source->next_idle = limits->idle;
        limits->idle = source;
        limits->idle_count++;
}

static struct limits_source *source_find(struct limits *limits, const struct prefix *key) {
        struct limits_source *source;

        HASH_FIND(hh, limits->sources, key, sizeof(*key), source);
        if (source)
                return source;
        source = limits->idle;
        if (source) {
                limits->idle = source->next_idle;
                limits->idle_count--;
        } else {
                source = malloc(sizeof(*source));
        }
        if (!source)
                return NULL;
        *source = (struct limits_source){.key = *key};
        HASH_ADD(hh, limits->sources, key, sizeof(source->key), source);
        if (!source->hh.tbl) {
                free(source);
                return NULL;
        }
        return source;
}

bool limits_take_place(struct limits *limits, struct connection *connection) {
        if (connection->placed)
                return true;
        if (limits_is_full(limits))
                return false;
        limits->taken++;
        connection->placed = true;
        return true;
}

int limits_take_ticket(struct limits *limits, struct connection *connection, const struct prefix *key, uint32_t limit) {
        struct limits_source *source;

        assert(!connection->ticket);
        if (limit == UINT32_MAX)
                return SOURCE_OK;
        source = source_find(limits, key);
        if (!source)
                return err_raise(-ENOMEM);
        if (source->taken >= limit)
                return SOURCE_FULL;
        source->taken++;
        connection->ticket = source;
        return SOURCE_OK;
}

const struct prefix *limits_ticket_source(const struct connection *connection) {
        const struct limits_source *source = connection->ticket;

        return &source->key;
}

void limits_restore_place(struct limits *limits, struct connection *connection) {
        assert(!connection->placed);
        limits->taken++;
        connection->placed = true;
}

void limits_return(struct limits *limits, struct connection *connection) {
        struct limits_source *source = connection->ticket;

        if (connection->placed) {
                assert(limits->taken > 0);
                limits->taken--;
                connection->placed = false;
        }
        connection->ticket = NULL;
        if (!source || --source->taken > 0)
                return;
        HASH_DEL(limits->sources, source);
        source_retire(limits, source);
}
