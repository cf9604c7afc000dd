/* Numbers, durations, sizes, modes and signals. An option that nothing was said about is OPTION_UNSET, which none of
 * them can be written as. */
#include "base/number.h"
#include "conf/decode.h"
#include "conf/print.h"
#include "conf/servicedef.h"
#include "conf/types.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* What a reader of base/number said about NODE, for people. */
static bool decode_outcome(struct decoder *dec, const struct key *key, const struct node *node, int r) {
        if (r == -ERANGE)
                return decode_out_of_range(dec, key, node);
        return r < 0 ? decode_refuse(dec, key, node) : true;
}

static void describe_range(const struct key *key, struct buf *out) {
        buf_printf(out, "%" PRId64 " to %" PRId64, key->min, key->max);
}

static bool decode_number(struct decoder *dec, const struct key *key, const struct node *node, int64_t *ret) {
        const char *text = decode_text(dec, key, node);

        return text && decode_outcome(dec, key, node, number_parse(text, key->min, key->max, ret));
}

static void describe_bool(const struct key *key UNUSED, struct buf *out) {
        buf_add_string(out, "yes or no");
}

static bool decode_bool(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const char *text = decode_text(dec, key, node);

        return text && decode_outcome(dec, key, node, number_parse_bool(text, field));
}

static void print_bool(const struct key *key UNUSED, const void *field, struct printer *printer) {
        print_value(printer, *(const bool *)field ? "yes" : "no");
}

const struct key_type type_bool = {
        .name = "a boolean",
        .size = sizeof(bool),
        .describe = describe_bool,
        .decode = decode_bool,
        .print = print_bool,
};

static bool decode_flag(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        bool value;

        if (!decode_bool(dec, key, node, &value))
                return false;
        *(int *)field = value;
        return true;
}

static void print_flag(const struct key *key UNUSED, const void *field, struct printer *printer) {
        print_value(printer, *(const int *)field ? "yes" : "no");
}

static void clear_option(const struct key *key UNUSED, void *field) {
        *(int *)field = OPTION_UNSET;
}

const struct key_type type_flag = {
        .name = "a boolean",
        .size = sizeof(int),
        .describe = describe_bool,
        .decode = decode_flag,
        .print = print_flag,
        .clear = clear_option,
};

static bool decode_integer(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        int64_t value;

        if (!decode_number(dec, key, node, &value))
                return false;
        *(int *)field = (int)value;
        return true;
}

static void print_integer(const struct key *key UNUSED, const void *field, struct printer *printer) {
        print_value(printer, "%d", *(const int *)field);
}

const struct key_type type_integer = {
        .name = "a number",
        .size = sizeof(int),
        .describe = describe_range,
        .decode = decode_integer,
        .print = print_integer,
        .clear = clear_option,
};

static void describe_seconds(const struct key *key, struct buf *out) {
        buf_add_string(out, "a duration in whole seconds, ");
        number_add_duration(out, (usec_t)key->min * USEC_PER_SEC);
        buf_add_string(out, " to ");
        number_add_duration(out, (usec_t)key->max * USEC_PER_SEC);
        if (key->min == 0)
                buf_add_string(out, ", yes for 1s, or no");
}

/* Where 0 is allowed it means "off", which people also write as a boolean. */
static bool decode_seconds(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const char *text = decode_text(dec, key, node);
        usec_t value;
        bool flag;

        if (!text)
                return false;
        if (key->min == 0 && number_parse_bool(text, &flag) == 0) {
                *(int *)field = flag;
                return true;
        }
        if (!decode_outcome(dec, key, node, number_parse_duration(text, &value)))
                return false;
        if (value % USEC_PER_SEC != 0 || value < (usec_t)key->min * USEC_PER_SEC ||
            value > (usec_t)key->max * USEC_PER_SEC)
                return decode_out_of_range(dec, key, node);
        *(int *)field = (int)(value / USEC_PER_SEC);
        return true;
}

static void print_seconds(const struct key *key UNUSED, const void *field, struct printer *printer) {
        print_value(printer, "%ds", *(const int *)field);
}

const struct key_type type_seconds = {
        .name = "a duration",
        .size = sizeof(int),
        .describe = describe_seconds,
        .decode = decode_seconds,
        .print = print_seconds,
        .clear = clear_option,
};

static void describe_bytes(const struct key *key, struct buf *out) {
        buf_add_string(out, "a size such as 65536, 64K or 1M, from ");
        number_add_size(out, (uint64_t)key->min);
        buf_add_string(out, " to ");
        number_add_size(out, (uint64_t)key->max);
}

static bool decode_bytes(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const char *text = decode_text(dec, key, node);
        uint64_t value;

        if (!text || !decode_outcome(dec, key, node, number_parse_size(text, &value)))
                return false;
        if (value < (uint64_t)key->min || value > (uint64_t)key->max)
                return decode_out_of_range(dec, key, node);
        *(int64_t *)field = (int64_t)value;
        return true;
}

static void print_bytes(const struct key *key UNUSED, const void *field, struct printer *printer) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        number_add_size(&text, (uint64_t) * (const int64_t *)field);
        print_value(printer, "%s", buf_text(&text));
}

static void clear_bytes(const struct key *key UNUSED, void *field) {
        *(int64_t *)field = OPTION_UNSET;
}

const struct key_type type_bytes = {
        .name = "a size",
        .size = sizeof(int64_t),
        .describe = describe_bytes,
        .decode = decode_bytes,
        .print = print_bytes,
        .clear = clear_bytes,
};

static void describe_count(const struct key *key, struct buf *out) {
        describe_range(key, out);
        buf_add_string(out, ", or unlimited");
}

static bool decode_count(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        int64_t value = COUNT_UNLIMITED;

        if ((node->kind != NODE_SCALAR || strcmp(node->text, "unlimited") != 0) &&
            !decode_number(dec, key, node, &value))
                return false;
        *(uint32_t *)field = (uint32_t)value;
        return true;
}

static void print_count(const struct key *key UNUSED, const void *field, struct printer *printer) {
        uint32_t value = *(const uint32_t *)field;

        if (value == COUNT_UNLIMITED)
                print_value(printer, "unlimited");
        else
                print_value(printer, "%" PRIu32, value);
}

const struct key_type type_count = {
        .name = "a number",
        .size = sizeof(uint32_t),
        .describe = describe_count,
        .decode = decode_count,
        .print = print_count,
};

static bool decode_adjustment(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        int64_t value;

        if (!decode_number(dec, key, node, &value))
                return false;
        *(int32_t *)field = (int32_t)value;
        return true;
}

static void print_adjustment(const struct key *key UNUSED, const void *field, struct printer *printer) {
        print_value(printer, "%" PRId32, *(const int32_t *)field);
}

static void clear_adjustment(const struct key *key UNUSED, void *field) {
        *(int32_t *)field = ADJUSTMENT_UNSET;
}

const struct key_type type_adjustment = {
        .name = "a number",
        .size = sizeof(int32_t),
        .describe = describe_range,
        .decode = decode_adjustment,
        .print = print_adjustment,
        .clear = clear_adjustment,
};

static void describe_period(const struct key *key, struct buf *out) {
        buf_add_string(out, "a duration such as 500ms, 30s, 5min or 1h");
        if (key->min > 0) {
                buf_add_string(out, ", at least ");
                number_add_duration(out, (usec_t)key->min);
        }
}

static void describe_duration(const struct key *key, struct buf *out) {
        describe_period(key, out);
        buf_add_string(out, ", or infinity");
}

/* Longer ones would overflow when added to a clock, and mean infinity anyway. */
#define DURATION_MAX ((usec_t)36500 * 86400 * USEC_PER_SEC)

static bool decode_period(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const char *text = decode_text(dec, key, node);
        usec_t value;

        if (!text || !decode_outcome(dec, key, node, number_parse_duration(text, &value)))
                return false;
        if (value > DURATION_MAX && value != USEC_INFINITY) {
                decode_error(dec, node, "'%s' is longer than a hundred years", quote_text(text).text);
                return false;
        }
        if (value == USEC_INFINITY || value < (usec_t)key->min)
                return decode_out_of_range(dec, key, node);
        *(usec_t *)field = value;
        return true;
}

static bool decode_duration(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        if (node->kind != NODE_SCALAR || strcmp(node->text, "infinity") != 0)
                return decode_period(dec, key, node, field);
        *(usec_t *)field = USEC_INFINITY;
        return true;
}

static void print_duration(const struct key *key UNUSED, const void *field, struct printer *printer) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        number_add_duration(&text, *(const usec_t *)field);
        print_value(printer, "%s", buf_text(&text));
}

const struct key_type type_duration = {
        .name = "a duration",
        .size = sizeof(usec_t),
        .describe = describe_duration,
        .decode = decode_duration,
        .print = print_duration,
};

const struct key_type type_period = {
        .name = "a duration",
        .size = sizeof(usec_t),
        .describe = describe_period,
        .decode = decode_period,
        .print = print_duration,
};

static void describe_rate(const struct key *key UNUSED, struct buf *out) {
        buf_add_string(out, "a number and a duration such as 20/2s, or unlimited");
}

/* "50 10": connections in a second, and seconds of a pause. */
static bool refuse_xinetd_cps(struct decoder *dec, const struct key *key, const struct node *node) {
        static const char digits[] = "0123456789";
        size_t first = strspn(node->text, digits);
        const char *second = node->text + first + strspn(node->text + first, " ");

        if (key->id != SERVICE_CPS || first == 0 || second == node->text + first || *second == '\0' ||
            second[strspn(second, digits)] != '\0')
                return false;
        decode_error(dec, node, "'%s' is how xinetd writes it; write cps: %.*s/1s and cps_pause: %ss",
                     quote_text(node->text).text, (int)first, node->text, second);
        return true;
}

static bool decode_rate(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const char *text = decode_text(dec, key, node);
        struct rate_limit value;

        if (!text || refuse_xinetd_cps(dec, key, node) ||
            !decode_outcome(dec, key, node, number_parse_rate(text, &value)))
                return false;
        if (value.interval > DURATION_MAX)
                return decode_out_of_range(dec, key, node);
        *(struct rate_limit *)field = value;
        return true;
}

static void print_rate(const struct key *key UNUSED, const void *field, struct printer *printer) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        number_add_rate(&text, field);
        print_value(printer, "%s", buf_text(&text));
}

static bool equal_rate(const struct key *key UNUSED, const void *a, const void *b) {
        const struct rate_limit *x = a, *y = b;

        return x->burst == y->burst && (x->burst == 0 || x->interval == y->interval);
}

const struct key_type type_rate = {
        .name = "a rate",
        .size = sizeof(struct rate_limit),
        .describe = describe_rate,
        .decode = decode_rate,
        .print = print_rate,
        .equal = equal_rate,
};

static void describe_signal(const struct key *key UNUSED, struct buf *out) {
        buf_add_string(out, "a signal such as SIGTERM, INT, SIGRTMIN+3 or 15");
}

static bool decode_signal(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const char *text = decode_text(dec, key, node);

        return text && decode_outcome(dec, key, node, number_parse_signal(text, field));
}

static void print_signal(const struct key *key UNUSED, const void *field, struct printer *printer) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        number_add_signal(&text, *(const int *)field);
        print_value(printer, "%s", buf_text(&text));
}

const struct key_type type_signal = {
        .name = "a signal",
        .size = sizeof(int),
        .describe = describe_signal,
        .decode = decode_signal,
        .print = print_signal,
};

static void describe_mode(const struct key *key, struct buf *out) {
        buf_printf(out, "octal digits, 0000 to %04" PRIo64, (uint64_t)key->max);
}

/* The text is read, not what YAML 1.1 would make of it: 022, "022", 0o22 and 22 are all the same mode. */
static bool decode_mode(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        const char *text = decode_text(dec, key, node);
        mode_t value;

        if (!text)
                return false;
        if (strncmp(text, "0o", 2) == 0)
                text += 2;
        if (!decode_outcome(dec, key, node, number_parse_mode(text, &value)))
                return false;
        if (value > (mode_t)key->max)
                return decode_out_of_range(dec, key, node);
        *(mode_t *)field = value;
        return true;
}

static void print_mode(const struct key *key UNUSED, const void *field, struct printer *printer) {
        print_value(printer, "\"%04o\"", *(const mode_t *)field);
}

static void clear_mode(const struct key *key UNUSED, void *field) {
        *(mode_t *)field = UMASK_UNSET;
}

const struct key_type type_mode = {
        .name = "an octal mode",
        .size = sizeof(mode_t),
        .describe = describe_mode,
        .decode = decode_mode,
        .print = print_mode,
        .clear = clear_mode,
};
