#include "client/text.h"

#include "base/utf8.h"

#include <langinfo.h>
#include <stdio.h>
#include <string.h>

bool text_is_utf8(void) {
        return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* As utf8_sequence(), with the code point. */
static size_t next_character(const unsigned char *p, unsigned *ret) {
        size_t n = utf8_sequence(p);

        *ret = n > 1 ? p[0] & (0xffu >> (n + 1)) : p[0];
        for (size_t i = 1; i < n; i++)
                *ret = *ret << 6 | (p[i] & 0x3f);
        return n;
}

/* C0 and C1 controls; marks and overrides of the direction; line and paragraph separators; what shows nothing. */
static bool is_harmful(unsigned code) {
        return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200b && code <= 0x200f) ||
               (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) || code == 0x061c ||
               code == 0xfeff || (code >= 0xfff9 && code <= 0xfffb);
}

void text_add_safe(struct buf *out, const char *text, bool utf8) {
        const unsigned char *p = (const unsigned char *)text;

        while (*p) {
                unsigned code = 0;
                size_t n = next_character(p, &code);

                if (n > 0 && !is_harmful(code) && (utf8 || code < 0x80)) {
                        buf_add(out, (const char *)p, n);
                } else {
                        n = n > 0 ? n : 1;
                        for (size_t i = 0; i < n; i++)
                                buf_printf(out, "\\x%02x", p[i]);
                }
                p += n;
        }
}

void text_add_safe_lines(struct buf *out, const char *text, bool utf8) {
        while (*text) {
                size_t n = strcspn(text, "\n");
                AUTO(freep) char *line = strndup(text, n);

                if (line)
                        text_add_safe(out, line, utf8);
                text += n;
                if (*text)
                        buf_add(out, text++, 1);
        }
}

static bool begins_character(char c) {
        return ((unsigned char)c & 0xc0) != 0x80;
}

size_t text_width(const char *text) {
        size_t width = 0;

        for (; *text; text++)
                width += begins_character(*text);
        return width;
}

size_t text_prefix(const char *text, size_t width) {
        size_t n = 0;

        for (; text[n]; n++)
                if (begins_character(text[n]) && width-- == 0)
                        return n;
        return n;
}

void text_add_fitted(struct buf *out, const char *text, size_t width, bool utf8) {
        const char *ellipsis = utf8 ? "…" : "~";
        size_t own = text_width(text);

        if (own > width && width > 0) {
                buf_add(out, text, text_prefix(text, width - 1));
                buf_add_string(out, ellipsis);
                return;
        }
        buf_printf(out, "%s%*s", text, (int)(width > own ? width - own : 0), "");
}

void text_add_age(struct buf *out, usec_t age) {
        unsigned long long seconds = age / USEC_PER_SEC, minutes = seconds / 60, hours = minutes / 60;

        if (seconds == 0)
                buf_add_string(out, "<1s");
        else if (minutes == 0)
                buf_printf(out, "%llus", seconds);
        else if (hours == 0)
                buf_printf(out, "%llumin", minutes);
        else if (hours < 24)
                buf_printf(out, minutes % 60 ? "%lluh %llumin" : "%lluh", hours, minutes % 60);
        else
                buf_printf(out, hours % 24 ? "%llud %lluh" : "%llud", hours / 24, hours % 24);
}

void text_add_duration(struct buf *out, usec_t duration) {
        static const struct {
                const char *name;
                usec_t size;
        } units[] = {
                {"h", 3600 * USEC_PER_SEC}, {"min", 60 * USEC_PER_SEC}, {"s", USEC_PER_SEC}, {"ms", USEC_PER_MSEC}};

        if (duration == USEC_INFINITY) {
                buf_add_string(out, "more");
                return;
        }
        for (size_t i = 0; i < LENGTH_OF(units); i++)
                if (duration >= units[i].size) {
                        buf_printf(out, "%.3g%s", (double)duration / (double)units[i].size, units[i].name);
                        return;
                }
        buf_printf(out, "%lluus", (unsigned long long)duration);
}

void text_add_bar(struct buf *out, const struct text_bar *bar) {
        static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
        unsigned steps = bar->utf8 ? 8 : 1;
        uint64_t filled = 0;

        if (bar->value > 0 && bar->full > 0) {
                filled = (uint64_t)((double)bar->value / (double)bar->full * (double)(bar->width * steps));
                filled = MIN_OF(MAX_OF(filled, 1), bar->width * steps);
        }
        for (uint64_t i = 0; i < filled / steps; i++)
                buf_add_string(out, bar->utf8 ? "█" : "#");
        buf_add_string(out, eighths[filled % steps]);
}

void text_fit_columns(const struct text_columns *columns) {
        size_t total = (columns->count - 1) * columns->gap;

        for (size_t i = 0; i < columns->count; i++)
                total += columns->widths[i];
        while (columns->room > 0 && total > columns->room) {
                size_t widest = columns->count;

                for (size_t i = 0; i < columns->count; i++)
                        if (columns->minimums[i] > 0 && columns->widths[i] > columns->minimums[i] &&
                            (widest == columns->count || columns->widths[i] > columns->widths[widest]))
                                widest = i;
                if (widest == columns->count)
                        return;
                columns->widths[widest]--;
                total--;
        }
}
