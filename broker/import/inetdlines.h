/* The lines of an inetd.conf, in any of its dialects: cut into words, continuations joined, comments told from what
 * only looks like one. What the words mean is inetdentry's. */
#pragma once

#include "base/strlist.h"

#include <stdbool.h>

enum inetd_line_kind {
        INETD_ENTRY,   /* a service, in fields */
        INETD_KEYED,   /* a service as NetBSD writes it: SERVICE on KEY = VALUE, …; */
        INETD_HOST,    /* ADDRESS: alone, for the lines that follow */
        INETD_POLICY,  /* #@, what IPsec is to do for the lines that follow */
        INETD_INCLUDE, /* .include and whatever else begins with a dot */
        INETD_COMMENT,
};

/* KEY = VALUE VALUE… of INETD_KEYED. */
struct inetd_option {
        unsigned line;
        char *key;
        struct strlist values;
};

struct inetd_line {
        enum inetd_line_kind kind;
        unsigned line;        /* its first one, from 1 */
        char *text;           /* as written, with a newline between lines that belong together */
        bool off;             /* Debian's #<off>#, NetBSD's off: here, but not in use */
        bool quoted;          /* quotes were taken for what holds words together */
        bool indented;        /* begins with a blank below another one, but is too complete to be its continuation */
        const char *error;    /* why it cannot be read, without its subject; NULL: it can */
        struct strlist words; /* of a comment: none */
        struct inetd_option *options;
        size_t option_count;
};

struct inetd_lines {
        struct inetd_line *items;
        size_t count;
};

#define INETD_LINES_NULL ((struct inetd_lines){0})

void inetd_lines_deinit(struct inetd_lines *lines);

/* Cuts TEXT into its lines; blank ones are left out. Returns 0 or -ENOMEM. */
int inetd_lines_parse(const char *text, struct inetd_lines *ret);
