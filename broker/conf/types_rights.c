/* Values that say what a process may do and where: capabilities, CPUs. */
#include "base/capability.h"
#include "base/number.h"
#include "conf/decode.h"
#include "conf/print.h"
#include "conf/servicedef.h"
#include "conf/types.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static void describe_capabilities(const struct key *key, struct buf *out) {
        buf_printf(out, "a list such as %s, or ALL", key->example);
}

static bool find_capability(struct decoder *dec, const struct node *node, const char *text, unsigned *ret) {
        AUTO(buf_deinit) struct buf nearest = BUF_NULL;
        int r;

        if (strcasecmp(text, "ALL") == 0 || strcasecmp(text, "CAP_ALL") == 0) {
                *ret = CAPABILITY_ALL_NUMBER;
                return true;
        }
        r = capability_find(text, ret, &nearest);
        if (r == 0)
                return true;
        if (r == -EOPNOTSUPP)
                decode_error(dec, node, "this kernel has no capability '%s'; leave it out", quote_text(text).text);
        else if (nearest.size > 0)
                decode_error(dec, node, "unknown capability '%s'; did you mean %s?", quote_text(text).text,
                             buf_text(&nearest));
        else
                decode_error(dec, node,
                             "unknown capability '%s'; write one of capabilities(7) such as NET_ADMIN, or ALL",
                             quote_text(text).text);
        return false;
}

static bool decode_capability(struct decoder *dec, const struct key *key UNUSED, const struct node *node, void *field) {
        struct capabilities_def *list = *(struct capabilities_def **)field;
        const char *text = decode_entry_text(dec, node);
        size_t count = list ? list->count : 0;
        unsigned number;

        if (!text || !find_capability(dec, node, text, &number))
                return false;
        for (size_t i = 0; i < count; i++)
                if (list->items[i].number == number)
                        return true;
        list = realloc(list, sizeof(*list) + (count + 1) * sizeof(list->items[0]));
        if (!list)
                return decode_no_memory(dec, node);
        *(struct capabilities_def **)field = list;
        list->count = count + 1;
        list->items[count] = (struct capability_def){.number = number, .mark = decode_mark(dec, node)};
        return true;
}

static bool decode_capabilities(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        if (node->kind == NODE_MAPPING || node_is_null(node))
                return decode_refuse(dec, key, node);
        return decode_items(dec, key, node, decode_capability, field);
}

static void print_capabilities(const struct key *key UNUSED, const void *field, struct printer *printer) {
        const struct capabilities_def *list = *(struct capabilities_def *const *)field;
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        for (size_t i = 0; i < list->count; i++) {
                buf_add_string(&text, i == 0 ? "" : ", ");
                if (list->items[i].number == CAPABILITY_ALL_NUMBER)
                        buf_add_string(&text, "ALL");
                else
                        capability_add_name(&text, list->items[i].number);
        }
        print_value(printer, "[%s]", buf_text(&text));
}

static bool equal_capabilities(const struct key *key UNUSED, const void *a, const void *b) {
        return capabilities_def_set(*(struct capabilities_def *const *)a) ==
               capabilities_def_set(*(struct capabilities_def *const *)b);
}

static bool copy_capabilities(const struct key *key UNUSED, const void *from, void *to) {
        const struct capabilities_def *list = *(struct capabilities_def *const *)from;
        struct capabilities_def **copy = to;
        size_t size = list ? sizeof(*list) + list->count * sizeof(list->items[0]) : 0;

        if (!list)
                return true;
        *copy = malloc(size);
        if (*copy)
                memcpy(*copy, list, size);
        return *copy;
}

static void clear_capabilities(const struct key *key UNUSED, void *field) {
        struct capabilities_def **list = field;

        free(*list);
        *list = NULL;
}

const struct key_type type_capabilities = {
        .name = "a list of capabilities",
        .size = sizeof(struct capabilities_def *),
        .describe = describe_capabilities,
        .decode = decode_capabilities,
        .print = print_capabilities,
        .equal = equal_capabilities,
        .copy = copy_capabilities,
        .clear = clear_capabilities,
};

static void describe_cpus(const struct key *key UNUSED, struct buf *out) {
        buf_printf(out, "numbers and ranges such as 0-3,5; the highest is %d", CPUS_MAX - 1);
}

/* "5" or "0-3", as far as SIZE goes. Returns 0, -EINVAL or -ERANGE. */
static int parse_range(const char *text, size_t size, uint64_t *bits) {
        int64_t first, last;
        char word[32];
        char *dash;
        int r;

        if (size >= sizeof(word))
                return -EINVAL;
        memcpy(word, text, size);
        word[size] = '\0';
        dash = strchr(word, '-');
        if (dash)
                *dash = '\0';
        r = number_parse(word, 0, CPUS_MAX - 1, &first);
        last = first;
        if (r == 0 && dash)
                r = number_parse(dash + 1, 0, CPUS_MAX - 1, &last);
        if (r < 0)
                return r;
        if (last < first)
                return -EINVAL;
        for (int64_t cpu = first; cpu <= last; cpu++)
                bits[cpu / 64] |= (uint64_t)1 << cpu % 64;
        return 0;
}

static bool store_cpus(const struct cpus_def *cpus, struct cpus_def **field) {
        *field = malloc(sizeof(*cpus));
        if (*field)
                **field = *cpus;
        return *field;
}

static bool decode_cpus(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const char *text = decode_text(dec, key, node);
        struct cpus_def cpus = {0};

        for (const char *at = text; at;) {
                const char *end = strchrnul(at, ',');
                /* docker takes blanks behind commas; so does a person. */
                const char *from = at + strspn(at, " ");
                int r = end < from ? -EINVAL : parse_range(from, (size_t)(end - from), cpus.bits);

                if (r == -ERANGE)
                        return decode_out_of_range(dec, key, node);
                if (r < 0)
                        return decode_refuse(dec, key, node);
                at = *end ? end + 1 : NULL;
        }
        if (!text)
                return false;
        cpus.mark = decode_mark(dec, node);
        return store_cpus(&cpus, field) || decode_no_memory(dec, node);
}

static void print_cpus(const struct key *key UNUSED, const void *field, struct printer *printer) {
        const struct cpus_def *cpus = *(struct cpus_def *const *)field;
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++) {
                unsigned last = cpu;

                if (!cpus_def_has(cpus, cpu))
                        continue;
                while (last + 1 < CPUS_MAX && cpus_def_has(cpus, last + 1))
                        last++;
                buf_printf(&text, "%s%u", text.size > 0 ? "," : "", cpu);
                if (last > cpu)
                        buf_printf(&text, "-%u", last);
                cpu = last;
        }
        print_text_value(printer, buf_text(&text));
}

static bool equal_cpus(const struct key *key UNUSED, const void *a, const void *b) {
        const struct cpus_def *x = *(struct cpus_def *const *)a, *y = *(struct cpus_def *const *)b;

        return x && y ? memcmp(x->bits, y->bits, sizeof(x->bits)) == 0 : x == y;
}

static bool copy_cpus(const struct key *key UNUSED, const void *from, void *to) {
        const struct cpus_def *cpus = *(struct cpus_def *const *)from;

        return !cpus || store_cpus(cpus, to);
}

static void clear_cpus(const struct key *key UNUSED, void *field) {
        struct cpus_def **cpus = field;

        free(*cpus);
        *cpus = NULL;
}

const struct key_type type_cpus = {
        .name = "a list of CPUs",
        .size = sizeof(struct cpus_def *),
        .describe = describe_cpus,
        .decode = decode_cpus,
        .print = print_cpus,
        .equal = equal_cpus,
        .copy = copy_cpus,
        .clear = clear_cpus,
};
