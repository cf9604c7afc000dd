/* Where the control socket is: a path, or none. */
#include "base/number.h"
#include "conf/decode.h"
#include "conf/print.h"
#include "conf/servicedef.h"
#include "conf/types.h"

#include <sys/un.h>

static void describe_control(const struct key *key UNUSED, struct buf *out) {
        buf_add_string(out, "an absolute path, or no");
}

static const char *refuse_control(const char *text) {
        if (text[0] != '/')
                return "is not an absolute path; write one that starts with /, or no";
        if (text[strlen(text) - 1] == '/')
                return "is a directory; add a name for the socket";
        return strlen(text) < sizeof(((struct sockaddr_un *)NULL)->sun_path) ? NULL : "is too long for a socket";
}

static bool decode_control(struct decoder *dec, const struct key *key, const struct node *node, void *field) {
        struct control_def *control = field;
        const char *text = decode_text(dec, key, node), *problem;
        bool flag = true;

        if (!text)
                return false;
        control->mark = decode_mark(dec, node);
        if (number_parse_bool(text, &flag) == 0 && !flag) {
                control->off = true;
                return true;
        }
        problem = refuse_control(text);
        if (problem) {
                decode_error(dec, node, "'%s' %s", quote_text(text).text, problem);
                return false;
        }
        control->path = strdup(text);
        return control->path || decode_no_memory(dec, node);
}

static void print_control(const struct key *key UNUSED, const void *field, struct printer *printer) {
        const struct control_def *control = field;

        if (control->off)
                print_value(printer, "no");
        else
                print_text_value(printer, control->path);
}

static bool equal_control(const struct key *key UNUSED, const void *a, const void *b) {
        const struct control_def *x = a, *y = b;

        return x->off == y->off && (x->path && y->path ? strcmp(x->path, y->path) == 0 : x->path == y->path);
}

static bool copy_control(const struct key *key UNUSED, const void *from, void *to) {
        const struct control_def *x = from;
        struct control_def *y = to;

        *y = *x;
        y->path = x->path ? strdup(x->path) : NULL;
        return !x->path || y->path;
}

static void clear_control(const struct key *key UNUSED, void *field) {
        struct control_def *control = field;

        free(control->path);
        *control = (struct control_def){0};
}

const struct key_type type_control = {
        .name = "a control socket",
        .size = sizeof(struct control_def),
        .describe = describe_control,
        .decode = decode_control,
        .print = print_control,
        .equal = equal_control,
        .copy = copy_control,
        .clear = clear_control,
};
