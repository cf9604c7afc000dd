/* YAML on its way out: values after their keys, texts with the quotes they need. */
#pragma once

#include "conf/schema.h"

struct printer {
        struct buf *out;
        unsigned indent;                   /* of the key whose value is being written */
        const struct service_def *service; /* whose keys are written; NULL otherwise */
};

/* Adds TEXT as one scalar that any YAML reader takes for this very text: plain, or in double quotes. */
void print_text(struct buf *out, const char *text);

/* Adds " VALUE" and a newline. */
void print_value(struct printer *printer, const char *format, ...) PRINTF_LIKE(2, 3);

/* Adds " TEXT" as print_text() does, and a newline. */
void print_text_value(struct printer *printer, const char *text);

/* Adds the indentation of DEPTH levels below the key. */
void print_indent(const struct printer *printer, unsigned depth);

/* Adds " [a, b]" and a newline. */
void print_flow_list(struct printer *printer, char *const *items, size_t count);

/* Writes the keys of a section that are set and apply, indented by printer->indent. */
void print_section(struct printer *printer, const struct section *section, const void *base);
