/* How requests to workers are told from each other: a mapping with a table of its own, allocated where there is one. */
#include "conf/decode.h"
#include "conf/print.h"
#include "conf/refuse.h"
#include "conf/servicedef.h"
#include "conf/types.h"

#define FIELD(member) offsetof(struct request_def, member)

static const struct key request_keys[] = {
        {
                .name = "end",
                .type = &type_text,
                .offset = FIELD(end),
                .refuse = refuse_frame_end,
                .fallback = "\n",
                .meaning = "What a request ends with; workers get it, too.",
                .example = "\";\"",
        },
        {
                .name = "reply_end",
                .type = &type_text,
                .offset = FIELD(reply_end),
                .refuse = refuse_frame_end,
                .fallback = "\n",
                .meaning = "What a reply ends with; clients get it, too.",
                .example = "END",
        },
        {
                .name = "max_size",
                .type = &type_bytes,
                .offset = FIELD(max_size),
                .min = 16,
                .max = 16 << 20,
                .fallback = "64K",
                .meaning =
                        "How long a request may be, and a reply, with its end. A client that sends a longer one gets "
                        "error, and is closed; so is a client whose reply is longer, and the worker is replaced.",
                .example = "1M",
        },
        {
                .name = "keep_alive",
                .type = &type_bool,
                .offset = FIELD(keep_alive),
                .fallback = "no",
                .meaning = "Whether a connection goes on after its first request; answers come in the order of the "
                           "requests.",
                .example = "yes",
        },
        {
                .name = "busy_timeout",
                .type = &type_duration,
                .offset = FIELD(busy_timeout),
                .min = 10000,
                .fallback = "15s",
                .meaning =
                        "How long a request may wait for a worker, and then how long that may take. Who waits longer "
                        "gets error; a worker that takes longer is killed and replaced.",
                .example = "5s",
        },
        {
                .name = "queue",
                .type = &type_integer,
                .offset = FIELD(queue),
                .min = 0,
                .max = 1 << 20,
                .fallback = "1024",
                .meaning = "How many requests may wait for a worker; one more gets error at once.",
                .example = "100",
        },
        {
                .name = "error",
                .type = &type_text,
                .offset = FIELD(error),
                .fallback = "ERR\n",
                .meaning = "What a client gets in place of a reply. With \"\" it gets nothing, and its connection is "
                           "closed, "
                           "keep_alive or not.",
                .example = "unavailable",
        },
};

static const struct key_group request_group = {NULL, request_keys, LENGTH_OF(request_keys)};
static const struct key_group *const request_groups[] = {&request_group};

const struct section section_request = {
        .path = "services.NAME.request.",
        .what = "requests",
        .groups = request_groups,
        .group_count = LENGTH_OF(request_groups),
};

static struct request_def *request_of(const void *field) {
        return *(struct request_def *const *)field;
}

static void clear_request(const struct key *key UNUSED, void *field) {
        struct request_def **request = field;

        if (*request)
                section_clear(&section_request, *request);
        free(*request);
        *request = NULL;
}

struct request_def *request_def_new(void) {
        struct request_def *request = calloc(1, sizeof(*request));

        if (request && !section_set_defaults(&section_request, request))
                clear_request(NULL, &request);
        return request;
}

static bool decode_request(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        struct decode_target target = {.section = &section_request};

        if (node->kind != NODE_MAPPING && !node_is_null(node))
                return decode_refuse(dec, key, node);
        target.base = *(struct request_def **)field = request_def_new();
        if (!target.base)
                return decode_no_memory(dec, node);
        return node_is_null(node) || decode_section(dec, &target, node);
}

static void print_request(const struct key *key, const void *field, struct printer *printer) {
        type_mapping.print(key, request_of(field), printer);
}

static bool equal_requests(const struct key *key UNUSED, const void *a, const void *b) {
        const struct request_def *first = request_of(a), *second = request_of(b);

        return first && second ? section_equal(&section_request, first, second) : first == second;
}

static bool copy_request(const struct key *key UNUSED, const void *from, void *to) {
        if (!request_of(from))
                return true;
        *(struct request_def **)to = calloc(1, sizeof(struct request_def));
        return request_of(to) && section_copy(&section_request, request_of(from), request_of(to));
}

static void describe_request(const struct key *key, struct buf *out) {
        type_mapping.describe(key, out);
}

const struct key_type type_request = {
        .name = "a mapping",
        .size = sizeof(struct request_def *),
        .describe = describe_request,
        .decode = decode_request,
        .print = print_request,
        .equal = equal_requests,
        .copy = copy_request,
        .clear = clear_request,
};
