#include "conf/print.h"

#include "base/number.h"
#include "conf/servicedef.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

static bool is_word_of_yaml(const char *text) {
        static const char *const words[] = {"y", "n", "null", ".nan", ".inf"};
        bool flag;

        for (size_t i = 0; i < LENGTH_OF(words); i++)
                if (strcasecmp(text, words[i]) == 0)
                        return true;
        return number_parse_bool(text, &flag) == 0;
}

/* Stays on the safe side: whatever might be a number, a date or a word with a meaning gets quotes. */
static bool can_be_plain(const char *text) {
        const char *start = text[0] == '-' ? text + 1 + (text[1] == '-') : text;

        if (!isalpha((unsigned char)*start) && *start != '/' && *start != '_')
                return false;
        return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./@%+=-")] == '\0' &&
               !is_word_of_yaml(text);
}

/* Reads one code point of what is valid UTF-8 here, since libyaml lets nothing else in. */
static unsigned long next_code_point(const unsigned char **p) {
        unsigned long c = *(*p)++;
        int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;

        if (more > 0)
                c &= 0x3fu >> more;
        for (; more > 0 && (**p & 0xc0) == 0x80; more--)
                c = c << 6 | (*(*p)++ & 0x3fu);
        return c;
}

static bool is_printable(unsigned long c) {
        if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0xd800 && c < 0xe000))
                return false;
        return c != 0x2028 && c != 0x2029 && c != 0xfeff && c != 0xfffe && c != 0xffff;
}

static void print_quoted(struct buf *out, const char *text) {
        const unsigned char *p = (const unsigned char *)text;

        buf_add_char(out, '"');
        while (*p) {
                const char *start = (const char *)p;
                unsigned long c = next_code_point(&p);

                if (c == '"' || c == '\\')
                        buf_printf(out, "\\%c", (int)c);
                else if (c == '\n' || c == '\t')
                        buf_add_string(out, c == '\n' ? "\\n" : "\\t");
                else if (is_printable(c))
                        buf_add(out, start, (size_t)((const char *)p - start));
                else
                        buf_printf(out, "\\u%04lx", c);
        }
        buf_add_char(out, '"');
}

void print_text(struct buf *out, const char *text) {
        if (can_be_plain(text))
                buf_add_string(out, text);
        else
                print_quoted(out, text);
}

void print_value(struct printer *printer, const char *format, ...) {
        va_list args;

        buf_add_char(printer->out, ' ');
        va_start(args, format);
        buf_vprintf(printer->out, format, args);
        va_end(args);
        buf_add_char(printer->out, '\n');
}

void print_text_value(struct printer *printer, const char *text) {
        buf_add_char(printer->out, ' ');
        print_text(printer->out, text);
        buf_add_char(printer->out, '\n');
}

void print_indent(const struct printer *printer, unsigned depth) {
        buf_printf(printer->out, "%*s", (int)(printer->indent + 2 * depth), "");
}

void print_flow_list(struct printer *printer, char *const *items, size_t count) {
        buf_add_string(printer->out, " [");
        for (size_t i = 0; i < count; i++) {
                if (i > 0)
                        buf_add_string(printer->out, ", ");
                print_text(printer->out, items[i]);
        }
        buf_add_string(printer->out, "]\n");
}

/* A service that is asked for by name need not listen, and then there is nothing to write. */
static bool is_left_out(const struct key *key, const struct service_def *service) {
        return service && key->section == &section_listen && service->listen.count == 0;
}

void print_section(struct printer *printer, const struct section *section, const void *base) {
        section_for_each(key, section) {
                const void *field = key_const_field(key, base);

                if (!key_is_set(key, field) || is_left_out(key, printer->service) ||
                    (printer->service && !key_applies(key, printer->service)))
                        continue;
                print_indent(printer, 0);
                buf_printf(printer->out, "%s:", key->name);
                key->type->print(key, field, printer);
        }
}
