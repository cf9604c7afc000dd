/* What else says who is served: loads, times of day, users, and what clients are told. */
#include "base/ids.h"
#include "base/number.h"
#include "conf/decode.h"
#include "conf/print.h"
#include "conf/refuse.h"
#include "conf/servicedef.h"
#include "conf/textfile.h"
#include "conf/types.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static void add_load(struct buf *out, int64_t value) {
        buf_printf(out, "%" PRId64, value / 100);
        if (value % 100 != 0)
                buf_printf(out, value % 10 == 0 ? ".%" PRId64 : ".%02" PRId64,
                           value % 10 == 0 ? value % 100 / 10 : value % 100);
}

static void describe_load(const struct key *key, struct buf *out) {
        buf_add_string(out, "a number such as 4 or 2.5, from ");
        add_load(out, key->min);
        buf_add_string(out, " to ");
        add_load(out, key->max);
}

/* Digits, and at most two more behind a point. */
static int parse_load(const char *text, int64_t max, int64_t *ret) {
        size_t n = strcspn(text, ".");
        const char *fraction = text[n] == '.' ? text + n + 1 : "0";
        char whole[16];
        int64_t value;
        int r;

        if (n == 0 || n >= sizeof(whole) || !isdigit((unsigned char)fraction[0]) ||
            (fraction[1] != '\0' && (!isdigit((unsigned char)fraction[1]) || fraction[2] != '\0')))
                return -EINVAL;
        memcpy(whole, text, n);
        whole[n] = '\0';
        r = number_parse(whole, 0, max / 100, &value);
        if (r < 0)
                return r;
        value = 100 * value + 10 * (fraction[0] - '0') + (fraction[1] != '\0' ? fraction[1] - '0' : 0);
        *ret = value;
        return value <= max ? 0 : -ERANGE;
}

static bool decode_load(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const char *text = decode_text(dec, key, node);
        int64_t value = 0;
        int r;

        if (!text)
                return false;
        r = parse_load(text, key->max, &value);
        if (r == -ERANGE || (r == 0 && value < key->min))
                return decode_out_of_range(dec, key, node);
        if (r < 0)
                return decode_refuse(dec, key, node);
        *(uint32_t *)field = (uint32_t)value;
        return true;
}

static void print_load(const struct key *key UNUSED, const void *field, struct printer *printer) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        add_load(&text, *(const uint32_t *)field);
        print_value(printer, "%s", buf_text(&text));
}

const struct key_type type_load = {
        .name = "a load",
        .size = sizeof(uint32_t),
        .describe = describe_load,
        .decode = decode_load,
        .print = print_load,
};

static void describe_day_ranges(const struct key *key, struct buf *out) {
        buf_printf(out, "a range of times such as 8:00-18:00, or a list such as %s", key->example);
}

static bool decode_day_range(struct decoder *dec, const struct key *key UNUSED, const struct node *node,
                             void *userdata) {
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        struct day_ranges *ranges = userdata;
        const char *text = decode_entry_text(dec, node);
        struct day_range range, *items;

        if (!text)
                return false;
        if (!dayranges_parse(text, &range, &why)) {
                decode_error(dec, node, "'%s' %s", quote_text(text).text, buf_text(&why));
                return false;
        }
        items = reallocarray(ranges->items, ranges->count + 1, sizeof(*items));
        if (!items)
                return decode_no_memory(dec, node);
        ranges->items = items;
        items[ranges->count++] = range;
        return true;
}

static bool decode_day_ranges(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        if (node->kind == NODE_MAPPING || node_is_null(node))
                return decode_refuse(dec, key, node);
        if (node->kind == NODE_SEQUENCE && node->count == 0) {
                decode_error(dec, node, "is empty; write a range, or leave access_times out");
                return false;
        }
        return decode_items(dec, key, node, decode_day_range, field);
}

static void print_day_ranges(const struct key *key UNUSED, const void *field, struct printer *printer) {
        const struct day_ranges *ranges = field;

        for (size_t i = 0; i < ranges->count; i++) {
                buf_add_string(printer->out, i == 0 ? " [\"" : ", \"");
                dayranges_format(&ranges->items[i], printer->out);
                buf_add_char(printer->out, '"');
        }
        buf_add_string(printer->out, "]\n");
}

static bool equal_day_ranges(const struct key *key UNUSED, const void *a, const void *b) {
        const struct day_ranges *x = a, *y = b;

        return x->count == y->count && (x->count == 0 || memcmp(x->items, y->items, x->count * sizeof(*x->items)) == 0);
}

static bool copy_day_ranges(const struct key *key UNUSED, const void *from, void *to) {
        const struct day_ranges *x = from;
        struct day_ranges *y = to;

        if (x->count == 0)
                return true;
        y->items = copy_items(x->items, x->count, sizeof(*x->items));
        if (!y->items)
                return false;
        y->count = x->count;
        return true;
}

static void clear_day_ranges(const struct key *key UNUSED, void *field) {
        struct day_ranges *ranges = field;

        free(ranges->items);
        *ranges = (struct day_ranges){0};
}

const struct key_type type_day_ranges = {
        .name = "a range of times",
        .size = sizeof(struct day_ranges),
        .describe = describe_day_ranges,
        .decode = decode_day_ranges,
        .print = print_day_ranges,
        .equal = equal_day_ranges,
        .copy = copy_day_ranges,
        .clear = clear_day_ranges,
};

static void describe_banner(const struct key *key UNUSED, struct buf *out) {
        buf_printf(out, "a text of at most %d bytes, or file: and the path of such a file", BANNER_SIZE_MAX);
}

static bool set_file(struct decoder *dec, const struct node *node, const char *path, struct banner_def *banner) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        AUTO(freep) char *resolved = NULL;

        if (path[0] == '\0') {
                decode_error(dec, node, "has no path; write the path of a file after file:");
                return false;
        }
        resolved = textfile_resolve(dec->file, path);
        if (!resolved)
                return decode_no_memory(dec, node);
        buf_printf(&text, "%s%s", BANNER_FILE, resolved);
        banner->text = buf_take(&text);
        return banner->text || decode_no_memory(dec, node);
}

static bool decode_banner(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const char *text = decode_text(dec, key, node);
        struct banner_def *banner;

        if (!text)
                return false;
        banner = *(struct banner_def **)field = calloc(1, sizeof(*banner));
        if (!banner)
                return decode_no_memory(dec, node);
        if (strncmp(text, BANNER_FILE, strlen(BANNER_FILE)) == 0)
                return set_file(dec, node, text + strlen(BANNER_FILE), banner);
        if (text[0] == '\0' || strlen(text) > BANNER_SIZE_MAX) {
                decode_error(dec, node, "is %s; write 1 to %d bytes", text[0] == '\0' ? "empty" : "too long",
                             BANNER_SIZE_MAX);
                return false;
        }
        if (text[0] == '/' && !strpbrk(text, " \r\n"))
                decode_warning(dec, node, "is sent as it stands; write file:%s for what stands in that file", text);
        banner->text = strdup(text);
        banner->data = strdup(text);
        banner->size = strlen(text);
        return (banner->text && banner->data) || decode_no_memory(dec, node);
}

static const struct banner_def *get_banner(const void *field) {
        return *(const struct banner_def *const *)field;
}

static void print_banner(const struct key *key UNUSED, const void *field, struct printer *printer) {
        print_text_value(printer, get_banner(field)->text);
}

static bool equal_banner(const struct key *key UNUSED, const void *a, const void *b) {
        const struct banner_def *x = get_banner(a), *y = get_banner(b);

        if (!x || !y)
                return x == y;
        return strcmp(x->text, y->text) == 0 && x->size == y->size &&
               (x->size == 0 || memcmp(x->data, y->data, x->size) == 0);
}

static bool copy_banner(const struct key *key UNUSED, const void *from, void *to) {
        const struct banner_def *x = get_banner(from);
        struct banner_def *y;

        if (!x)
                return true;
        y = *(struct banner_def **)to = calloc(1, sizeof(*y));
        if (!y)
                return false;
        if (!x->text)
                return true; /* defaults that could not be read */
        y->text = strdup(x->text);
        y->data = x->data ? malloc(x->size + 1) : NULL;
        if (!y->text || (x->data && !y->data))
                return false;
        if (x->data)
                memcpy(y->data, x->data, x->size);
        y->size = x->size;
        return true;
}

static void clear_banner(const struct key *key UNUSED, void *field) {
        struct banner_def *banner = *(struct banner_def **)field;

        *(struct banner_def **)field = NULL;
        if (!banner)
                return;
        free(banner->text);
        free(banner->data);
        free(banner);
}

const struct key_type type_banner = {
        .name = "a text",
        .size = sizeof(struct banner_def *),
        .describe = describe_banner,
        .decode = decode_banner,
        .print = print_banner,
        .equal = equal_banner,
        .copy = copy_banner,
        .clear = clear_banner,
};

static void describe_users(const struct key *key, struct buf *out) {
        buf_printf(out, "the name or number of a user, or a list such as %s", key->example);
}

static void describe_groups(const struct key *key, struct buf *out) {
        buf_printf(out, "the name or number of a group, or a list such as %s", key->example);
}

static int find_id(const struct decoder *dec, const struct key *key, const char *name, uint32_t *ret) {
        bool user = key->type == &type_peer_users;
        const struct kept_answer *kept = kept_find(dec->kept, user ? KEPT_USER : KEPT_GROUP, name);

        if (kept) {
                memcpy(ret, kept->data, sizeof(*ret));
                return 0;
        }
        return user ? ids_find_user(name, ret) : ids_find_group(name, ret);
}

static bool decode_peer_id(struct decoder *dec, const struct key *key, const struct node *node, void *userdata) {
        const char *text = decode_entry_text(dec, node), *what = key->type == &type_peer_users ? "user" : "group";
        struct peer_ids_def *def = *(struct peer_ids_def **)userdata;
        const char *problem;
        uint32_t id = 0, *ids;
        int r;

        if (!text)
                return false;
        problem = key->type == &type_peer_users ? refuse_owner(text) : refuse_group(text);
        if (problem) {
                decode_error(dec, node, "'%s' %s", quote_text(text).text, problem);
                return false;
        }
        r = find_id(dec, key, text, &id);
        if (r < 0) {
                decode_error(dec, node, r == -ENOENT ? "there is no %s '%s'" : "the %s '%s' cannot be looked up", what,
                             quote_text(text).text);
                return false;
        }
        ids = reallocarray(def->ids, def->names.count + 1, sizeof(*ids));
        if (!ids)
                return decode_no_memory(dec, node);
        def->ids = ids;
        ids[def->names.count] = id;
        return strlist_add(&def->names, text) == 0 || decode_no_memory(dec, node);
}

static bool decode_peer_ids(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        if (node->kind == NODE_MAPPING || node_is_null(node))
                return decode_refuse(dec, key, node);
        if (node->kind == NODE_SEQUENCE && node->count == 0) {
                decode_error(dec, node, "is empty; write somebody, or leave %s out", key->name);
                return false;
        }
        *(struct peer_ids_def **)field = calloc(1, sizeof(struct peer_ids_def));
        if (!*(struct peer_ids_def **)field)
                return decode_no_memory(dec, node);
        return decode_items(dec, key, node, decode_peer_id, field);
}

static const struct peer_ids_def *get_peer_ids(const void *field) {
        return *(const struct peer_ids_def *const *)field;
}

static void print_peer_ids(const struct key *key UNUSED, const void *field, struct printer *printer) {
        const struct peer_ids_def *def = get_peer_ids(field);

        print_flow_list(printer, def->names.items, def->names.count);
}

static bool equal_peer_ids(const struct key *key UNUSED, const void *a, const void *b) {
        const struct peer_ids_def *x = get_peer_ids(a), *y = get_peer_ids(b);

        if (!x || !y)
                return x == y;
        return strlist_equal(&x->names, &y->names) && memcmp(x->ids, y->ids, x->names.count * sizeof(*x->ids)) == 0;
}

static bool copy_peer_ids(const struct key *key UNUSED, const void *from, void *to) {
        const struct peer_ids_def *x = get_peer_ids(from);
        struct peer_ids_def *y;

        if (!x)
                return true;
        y = *(struct peer_ids_def **)to = calloc(1, sizeof(*y));
        if (!y)
                return false;
        if (x->names.count == 0)
                return true; /* defaults that could not be read */
        y->ids = copy_items(x->ids, x->names.count, sizeof(*x->ids));
        return y->ids && strlist_copy(&x->names, &y->names) == 0;
}

static void clear_peer_ids(const struct key *key UNUSED, void *field) {
        struct peer_ids_def *def = *(struct peer_ids_def **)field;

        *(struct peer_ids_def **)field = NULL;
        if (!def)
                return;
        strlist_deinit(&def->names);
        free(def->ids);
        free(def);
}

const struct key_type type_peer_users = {
        .name = "a user",
        .size = sizeof(struct peer_ids_def *),
        .describe = describe_users,
        .decode = decode_peer_ids,
        .print = print_peer_ids,
        .equal = equal_peer_ids,
        .copy = copy_peer_ids,
        .clear = clear_peer_ids,
};

const struct key_type type_peer_groups = {
        .name = "a group",
        .size = sizeof(struct peer_ids_def *),
        .describe = describe_groups,
        .decode = decode_peer_ids,
        .print = print_peer_ids,
        .equal = equal_peer_ids,
        .copy = copy_peer_ids,
        .clear = clear_peer_ids,
};
