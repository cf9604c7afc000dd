/* How many workers a service has: a number, or a mapping for pools that grow and shrink. */
#include "conf/decode.h"
#include "conf/print.h"
#include "conf/servicedef.h"
#include "conf/types.h"

#define FIELD(member) offsetof(struct workers_def, member)

static const struct key workers_keys[] = {
        {
                .name = "min",
                .type = &type_integer,
                .offset = FIELD(min),
                .min = 0,
                .max = WORKERS_MAX,
                .fallback = "1",
                .meaning =
                        "How many workers there are at least, from the first connection on, or with start: boot from "
                        "the beginning.",
                .example = "2",
        },
        {
                .name = "max",
                .type = &type_integer,
                .offset = FIELD(max),
                .min = 1,
                .max = WORKERS_MAX,
                .fallback = "8",
                .meaning = "How many there are at most.",
                .example = "32",
        },
        {
                .name = "spare",
                .type = &type_integer,
                .offset = FIELD(spare),
                .min = 0,
                .max = WORKERS_MAX,
                .fallback = "0",
                .meaning = "How many more are kept than there is work for, as far as max allows.",
                .example = "2",
        },
        {
                .name = "max_age",
                .type = &type_duration,
                .offset = FIELD(max_age),
                .min = 1000,
                .fallback = "infinity",
                .meaning = "How old a worker gets before another one takes its place.",
                .example = "1h",
        },
        {
                .name = "max_requests",
                .type = &type_count,
                .offset = FIELD(max_requests),
                .min = 1,
                .max = UINT32_MAX - 1,
                .fallback = "unlimited",
                .meaning = "How much work a worker does before another one takes its place: connections, or requests.",
                .example = "1000",
        },
};

static const struct key_group workers_group = {NULL, workers_keys, LENGTH_OF(workers_keys)};
static const struct key_group *const workers_groups[] = {&workers_group};

const struct section section_workers = {
        .path = "services.NAME.workers.",
        .what = "workers",
        .groups = workers_groups,
        .group_count = LENGTH_OF(workers_groups),
};

static void describe_workers(const struct key *key, struct buf *out) {
        type_integer.describe(key, out);
        buf_add_string(out, ", or a mapping such as {min: 2, max: 8}");
}

static void set_number(struct workers_def *workers, int count) {
        *workers = (struct workers_def){
                .min = count,
                .max = count,
                .max_requests = COUNT_UNLIMITED,
                .max_age = USEC_INFINITY,
        };
}

static bool decode_workers(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const struct decode_target target = {.section = &section_workers, .base = field};
        struct workers_def *workers = field;
        int count;

        if (node->kind != NODE_MAPPING) {
                if (node->kind != NODE_SCALAR)
                        return decode_refuse(dec, key, node);
                if (!type_integer.decode(dec, key, node, &count))
                        return false;
                set_number(workers, count);
                return true;
        }
        if (!section_set_defaults(&section_workers, field))
                return decode_no_memory(dec, node);
        if (!decode_section(dec, &target, node))
                return false;
        workers->is_range = true;
        if (workers->min > workers->max)
                decode_error(dec, node, "min is %d, and max %d", workers->min, workers->max);
        return workers->min <= workers->max;
}

static void print_workers(const struct key *key, const void *field, struct printer *printer) {
        const struct workers_def *workers = field;

        if (!workers->is_range)
                type_integer.print(key, &workers->max, printer);
        else
                type_mapping.print(key, field, printer);
}

static bool equal_workers(const struct key *key UNUSED, const void *a, const void *b) {
        const struct workers_def *x = a, *y = b;

        return x->is_range == y->is_range && section_equal(&section_workers, a, b);
}

const struct key_type type_workers = {
        .name = "a number",
        .size = sizeof(struct workers_def),
        .describe = describe_workers,
        .decode = decode_workers,
        .print = print_workers,
        .equal = equal_workers,
};
