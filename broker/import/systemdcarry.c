/* Values that mean the same in our tables: read as systemd does, written as the type of the key wants it. */
#include "base/number.h"
#include "conf/types.h"
#include "import/systemd.h"
#include "import/unitvalue.h"

#include <ctype.h>
#include <inttypes.h>

static bool is_within(const struct key *key, int64_t value, struct buf *why) {
        bool bounded = key->min != 0 || key->max != 0;

        if (!bounded || (value >= key->min && (key->max == 0 || value <= key->max)))
                return true;
        buf_add_string(why, "is out of bounds here: ");
        key->type->describe(key, why);
        return false;
}

static bool carry_bool(const char *value, struct buf *ret, struct buf *why) {
        bool flag;

        if (!unitfile_read_bool(value, &flag)) {
                buf_add_string(why, "is not yes or no, so it means nothing");
                return false;
        }
        buf_add_string(ret, flag ? "yes" : "no");
        return true;
}

static bool carry_integer(const struct key *key, const char *value, struct buf *ret, struct buf *why) {
        int64_t number;

        if (!unitvalue_integer(value, INT64_MIN, INT64_MAX, &number)) {
                buf_add_string(why, "is not a whole number, so it means nothing");
                return false;
        }
        if (!is_within(key, number, why))
                return false;
        buf_printf(ret, "%" PRId64, number);
        return true;
}

static bool carry_size(const struct key *key, const char *value, struct buf *ret, struct buf *why) {
        uint64_t size;

        if (!unitvalue_size(value, &size) || size > INT64_MAX) {
                buf_add_string(why, "is not a size, so it means nothing");
                return false;
        }
        if (!is_within(key, (int64_t)size, why))
                return false;
        number_add_size(ret, size);
        return true;
}

static bool carry_duration(const struct key *key, const char *value, struct buf *ret, struct buf *why) {
        bool seconds = key->type == &type_seconds;
        usec_t time;

        if (!unitvalue_duration(value, &time)) {
                buf_add_string(why, "is not a time span, so it means nothing");
                return false;
        }
        if (time == USEC_INFINITY) {
                if (key->type != &type_duration) {
                        buf_add_string(why, "has no end, which there is not here");
                        return false;
                }
                buf_add_string(ret, "infinity");
                return true;
        }
        if (seconds)
                time = (time + USEC_PER_SEC - 1) / USEC_PER_SEC * USEC_PER_SEC;
        if (time > INT64_MAX || !is_within(key, (int64_t)(seconds ? time / USEC_PER_SEC : time), why)) {
                if (time > INT64_MAX)
                        buf_add_string(why, "is too long");
                return false;
        }
        number_add_duration(ret, time);
        return true;
}

static bool carry_mode(const struct key *key, const char *value, struct buf *ret, struct buf *why) {
        mode_t mode;

        if (number_parse_mode(value, &mode) < 0) {
                buf_add_string(why, "is not an octal mode, so it means nothing");
                return false;
        }
        if (key->max != 0 && mode > (mode_t)key->max) {
                buf_add_string(why, "is out of bounds here: ");
                key->type->describe(key, why);
                return false;
        }
        buf_printf(ret, "\"%04o\"", (unsigned)mode);
        return true;
}

static bool carry_signal(const char *value, struct buf *ret, struct buf *why) {
        int number;

        if (number_parse_signal(value, &number) < 0) {
                buf_add_string(why, "is not a signal, so it means nothing");
                return false;
        }
        number_add_signal(ret, number);
        return true;
}

bool systemd_carry_value(const struct key *key, const char *value, struct buf *ret, struct buf *why) {
        const struct key_type *type = key->type;
        int64_t number;

        if (type == &type_bool || type == &type_flag)
                return carry_bool(value, ret, why);
        if (type == &type_integer || type == &type_adjustment || type == &type_count)
                return carry_integer(key, value, ret, why);
        if (type == &type_bytes)
                return carry_size(key, value, ret, why);
        if (type == &type_duration || type == &type_seconds || type == &type_period)
                return carry_duration(key, value, ret, why);
        if (type == &type_mode)
                return carry_mode(key, value, ret, why);
        if (type == &type_signal)
                return carry_signal(value, ret, why);
        if (type == &type_tos && unitvalue_integer(value, 0, 255, &number)) {
                buf_printf(ret, "%" PRId64, number); /* not a name */
                return true;
        }
        buf_add_string(ret, value); /* a text, which the caller quotes */
        if (key->refuse && key->refuse(value)) {
                buf_add_string(why, key->refuse(value));
                return false;
        }
        return true;
}

void systemd_apply_key(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry) {
        const struct key *key = section_find(&section_service, directive->key);
        AUTO(buf_deinit) struct buf text = BUF_NULL, why = BUF_NULL;
        const char *value = systemd_expand(conv, entry, entry->value);

        if (!value)
                return;
        if (!key_applies(key, &conv->shape))
                systemd_note(conv, directive->key, entry, "%s is for %s", key->name, key_scope_text(key->scope));
        else if (!systemd_carry_value(key, value, &text, &why))
                systemd_note(conv, directive->key, entry, "%s", buf_text(&why));
        else if (key->type == &type_text)
                sheet_text(conv->out, key->name, buf_text(&text));
        else
                sheet_raw(conv->out, key->name, "%s", buf_text(&text));
        if (buf_failed(&text) || buf_failed(&why))
                conv->sheet->failed = true;
}
