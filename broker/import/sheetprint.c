/* A sheet as YAML: two blanks of indentation, lists and small mappings in one line where they fit. */
#include "base/buf.h"
#include "conf/print.h"
#include "import/sheet.h"
#include "import/sheetcomment.h"

#include <stdio.h>
#include <string.h>

#define WIDTH 100
#define KEY_INDENT 4
#define FLOW_PAIRS 3 /* a longer mapping is easier to read line by line */

static void print_node(const struct sheet_node *node, struct buf *out, unsigned indent);

static void print_blanks(struct buf *out, unsigned n) {
        buf_printf(out, "%*s", (int)n, "");
}

/* Breaks lines at blanks; what has none may be longer than a line. */
static void print_comment(const char *text, struct buf *out, unsigned indent) {
        AUTO(buf_deinit) struct buf escaped = BUF_NULL;
        const size_t room = WIDTH - indent - 2;
        const char *p;

        buf_add_escaped(&escaped, text);
        for (p = buf_text(&escaped); strlen(p) > room;) {
                size_t n = room;

                while (n > 0 && p[n] != ' ')
                        n--;
                if (n == 0)
                        n = strcspn(p, " ");
                print_blanks(out, indent);
                buf_printf(out, "# %.*s\n", (int)n, p);
                p += n + strspn(p + n, " ");
        }
        if (*p) {
                print_blanks(out, indent);
                buf_printf(out, "# %s\n", p);
        }
        if (buf_failed(&escaped))
                out->failed = true;
}

static void print_comments(const struct sheet_comment *comment, struct buf *out, unsigned indent) {
        for (; comment; comment = comment->next)
                print_comment(comment->text, out, indent);
}

static bool is_commented(const struct sheet_node *node) {
        for (const struct sheet_node *child = node->first; child; child = child->next)
                if (child->comments || is_commented(child))
                        return true;
        return false;
}

/* 10.0.0.0/8, 127.0.0.1:80: nothing else can be meant by these, and people write them without quotes. */
static bool is_ipv4(const char *text) {
        unsigned parts[4];
        int end = 0;

        /* What sscanf() would skip or take as a sign. */
        if (text[strspn(text, "0123456789./:")] != '\0')
                return false;
        if (sscanf(text, "%3u.%3u.%3u.%3u%n", &parts[0], &parts[1], &parts[2], &parts[3], &end) < 4 || end == 0)
                return false;
        return text[end] == '\0' || ((text[end] == '/' || text[end] == ':') && text[end + 1] != '\0' &&
                                     text[end + 1 + strspn(text + end + 1, "0123456789")] == '\0');
}

static void print_scalar(const char *text, struct buf *out) {
        if (is_ipv4(text))
                buf_add_string(out, text);
        else
                print_text(out, text);
}

static void print_flow(const struct sheet_node *node, struct buf *out) {
        bool map = node->kind == SHEET_MAP;
        const char *between = "";

        switch (node->kind) {
        case SHEET_EMPTY:
                break;
        case SHEET_TEXT:
                print_scalar(node->text, out);
                break;
        case SHEET_RAW:
                buf_add_string(out, node->text);
                break;
        case SHEET_LIST:
        case SHEET_MAP:
                buf_add_char(out, map ? '{' : '[');
                for (const struct sheet_node *child = node->first; child; child = child->next) {
                        if (child->kind == SHEET_EMPTY)
                                continue;
                        buf_add_string(out, between);
                        if (map) {
                                print_text(out, child->key);
                                buf_add_string(out, ": ");
                        }
                        print_flow(child, out);
                        between = ", ";
                }
                buf_add_char(out, map ? '}' : ']');
                break;
        }
}

static size_t count_pairs(const struct sheet_node *node) {
        size_t n = 0;

        for (const struct sheet_node *child = node->first; child; child = child->next)
                n += child->kind != SHEET_EMPTY;
        return n;
}

/* Whether NODE goes into the line that has USED columns already. */
static bool fits(const struct sheet_node *node, size_t used) {
        AUTO(buf_deinit) struct buf flow = BUF_NULL;

        if (is_commented(node))
                return false;
        if (count_pairs(node) == 0)
                return true;
        if (node->kind == SHEET_MAP &&
            (count_pairs(node) > FLOW_PAIRS || (node->key && strcmp(node->key, "environment") == 0)))
                return false;
        print_flow(node, &flow);
        return used + flow.size <= WIDTH;
}

static bool is_scalar(const struct sheet_node *node) {
        return node->kind == SHEET_TEXT || node->kind == SHEET_RAW;
}

/* Keys whose list of one is the same as that one. */
static bool is_collapsible(const struct sheet_node *node) {
        static const char *const keys[] = {"listen", "only_from", "no_access", "access_times", "env_file"};

        if (node->kind != SHEET_LIST || !node->first || node->first->next || node->first->comments || !node->key)
                return false;
        for (size_t i = 0; i < LENGTH_OF(keys); i++)
                if (strcmp(node->key, keys[i]) == 0)
                        return is_scalar(node->first);
        return false;
}

/* Items of a list or pairs of a mapping, each on lines of its own; FIRST_INDENT is what the first line still needs. */
static void print_block(const struct sheet_node *node, struct buf *out, unsigned indent, unsigned first_indent) {
        for (const struct sheet_node *child = node->first; child; child = child->next) {
                if (child->comments) {
                        print_comments(child->comments, out, indent);
                        first_indent = indent;
                }
                if (child->kind == SHEET_EMPTY)
                        continue;
                print_blanks(out, first_indent);
                first_indent = indent;
                if (node->kind == SHEET_MAP) {
                        print_node(child, out, indent);
                        continue;
                }
                buf_add_string(out, "- ");
                if (is_scalar(child) || fits(child, indent + 2)) {
                        print_flow(child, out);
                        buf_add_char(out, '\n');
                } else {
                        print_block(child, out, indent + 2, 0);
                }
        }
}

/* "KEY: VALUE" and what belongs to it; the line has its indentation already. */
static void print_node(const struct sheet_node *node, struct buf *out, unsigned indent) {
        size_t start = out->size;
        const struct sheet_node *value = is_collapsible(node) ? node->first : node;

        print_text(out, node->key);
        buf_add_char(out, ':');
        if (is_scalar(value) || fits(value, indent + (out->size - start) + 1)) {
                buf_add_char(out, ' ');
                print_flow(value, out);
                buf_add_char(out, '\n');
        } else {
                buf_add_char(out, '\n');
                print_block(value, out, indent + 2, indent + 2);
        }
}

static void print_keys(const struct sheet_service *service, struct buf *out, unsigned indent) {
        section_for_each(key, &section_service) {
                const struct sheet_node *node = sheet_find(service, key->name);

                if (!node)
                        continue;
                print_comments(node->comments, out, indent);
                if (node->kind == SHEET_EMPTY || (!is_scalar(node) && count_pairs(node) == 0))
                        continue;
                print_blanks(out, indent);
                print_node(node, out, indent);
        }
}

static void print_service(const struct sheet_service *service, struct buf *out) {
        print_comments(service->head, out, KEY_INDENT - 2);
        print_blanks(out, KEY_INDENT - 2);
        print_text(out, service->name);
        buf_add_string(out, ":\n");
        print_keys(service, out, KEY_INDENT);
        print_comments(service->end, out, KEY_INDENT);
}

static void print_commented_out(const struct sheet_service *service, struct buf *out) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        print_service(service, &text);
        for (const char *line = buf_text(&text); *line;) {
                size_t n = strcspn(line, "\n"), blanks = strspn(line, " ");

                buf_add_string(out, blanks > 2 ? "  # " : "  ");
                if (line[blanks] != '#' && blanks <= 2)
                        buf_add_string(out, "# ");
                buf_printf(out, "%.*s\n", (int)(n - 2), line + 2);
                line += n + (line[n] == '\n');
        }
        if (buf_failed(&text))
                out->failed = true;
}

void sheet_print(struct sheet *sheet, struct buf *out) {
        bool any = false;

        print_comments(sheet->top.head, out, 0);
        print_comments(sheet->top.end, out, 0);
        if (out->size > 0)
                buf_add_char(out, '\n');
        for (const struct sheet_service *service = sheet->first; service; service = service->next)
                any = any || !service->refused;
        if (sheet->defaults.root.first) {
                buf_add_string(out, "defaults:\n");
                print_keys(&sheet->defaults, out, KEY_INDENT - 2);
                buf_add_char(out, '\n');
        }
        buf_add_string(out, any ? "services:\n" : "services: {}\n");
        for (const struct sheet_service *service = sheet->first; service; service = service->next) {
                if (service != sheet->first)
                        buf_add_char(out, '\n');
                if (service->refused)
                        print_commented_out(service, out);
                else
                        print_service(service, out);
        }
        if (buf_failed(out))
                sheet->failed = true;
}
