#include "core/limits.h"

#include <assert.h>
#include <string.h>
/* Running out of memory is refused here, not answered by exit(3). */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct limits_source {
        struct source_key key;
        uint32_t taken;
        struct limits_source *next_idle;
        UT_hash_handle hh;
};

void limits_init(struct limits *limits) {
        *limits = (struct limits){.instances = UINT32_MAX, .per_source = UINT32_MAX};
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

void limits_set(struct limits *limits, uint32_t instances, uint32_t per_source) {
        limits->instances = instances;
        limits->per_source = per_source;
}

static struct limits_source *source_find(struct limits *limits, const struct source_key *key) {
        struct limits_source *source;

        HASH_FIND(hh, limits->sources, key, sizeof(*key), source);
        if (source)
                return source;
        source = limits->idle;
        if (source)
                limits->idle = source->next_idle;
        else
                source = malloc(sizeof(*source));
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

enum admit_outcome limits_admit(struct limits *limits, struct connection *connection) {
        struct limits_source *source = NULL;
        struct source_key key;

        if (limits_is_full(limits))
                return ADMIT_FULL;
        if (limits->per_source != UINT32_MAX) {
                connection_source_key(connection, &key);
                source = source_find(limits, &key);
                if (!source)
                        return ADMIT_NO_MEMORY;
                if (source->taken >= limits->per_source)
                        return ADMIT_SOURCE_FULL;
                source->taken++;
        }
        limits->taken++;
        connection->ticket = source;
        return ADMIT_OK;
}

void limits_return(struct limits *limits, struct connection *connection) {
        struct limits_source *source = connection->ticket;

        assert(limits->taken > 0);
        limits->taken--;
        connection->ticket = NULL;
        if (!source || --source->taken > 0)
                return;
        HASH_DEL(limits->sources, source);
        source->next_idle = limits->idle;
        limits->idle = source;
}
