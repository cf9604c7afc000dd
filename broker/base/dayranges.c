#include "base/dayranges.h"

#include <ctype.h>

/* H:MM or HH:MM, up to 24:00; *P ends up behind it. */
static bool parse_time(const char **p, uint16_t *ret) {
        unsigned hours = 0, minutes;
        int digits = 0;

        for (; isdigit((unsigned char)**p) && digits < 2; (*p)++, digits++)
                hours = 10 * hours + (unsigned)(**p - '0');
        if (digits == 0 || (*p)[0] != ':' || !isdigit((unsigned char)(*p)[1]) || !isdigit((unsigned char)(*p)[2]))
                return false;
        minutes = 10 * (unsigned)((*p)[1] - '0') + (unsigned)((*p)[2] - '0');
        *p += 3;
        if (minutes > 59 || 60 * hours + minutes > MINUTES_PER_DAY)
                return false;
        *ret = (uint16_t)(60 * hours + minutes);
        return true;
}

bool dayranges_parse(const char *text, struct day_range *ret, struct buf *why) {
        struct day_range range;

        if (!parse_time(&text, &range.from) || *text++ != '-' || !parse_time(&text, &range.to) || *text != '\0') {
                buf_add_string(why, "is not a range of times; write one such as 8:00-18:00 or 22:00-2:00");
                return false;
        }
        if (range.from == MINUTES_PER_DAY) {
                buf_add_string(why, "begins at 24:00; write 0:00 for the beginning of a day");
                return false;
        }
        if (range.from == range.to) {
                buf_add_string(why, "ends when it begins; write 0:00-24:00 for the whole day");
                return false;
        }
        *ret = range;
        return true;
}

void dayranges_format(const struct day_range *range, struct buf *out) {
        buf_printf(out, "%d:%02d-%d:%02d", range->from / 60, range->from % 60, range->to / 60, range->to % 60);
}

static bool contains(const struct day_range *range, unsigned minute) {
        if (range->from < range->to)
                return minute >= range->from && minute < range->to;
        return minute >= range->from || minute < range->to;
}

bool dayranges_contain(const struct day_ranges *ranges, unsigned minute) {
        for (size_t i = 0; i < ranges->count; i++)
                if (contains(&ranges->items[i], minute))
                        return true;
        return false;
}
