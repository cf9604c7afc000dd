/* YAML text as a tree of nodes that know their places. What aliases and merge keys mean is settled here: an alias is
 * the node it names, and `<<` is gone. Nothing here knows what the keys mean. */
#pragma once

#include "base/diag.h"
#include "conf/arena.h"

#include <stdbool.h>

enum node_kind {
        NODE_SCALAR,
        NODE_SEQUENCE,
        NODE_MAPPING,
        NODE_BROKEN, /* what is wrong with it has been said already */
};

struct node;

struct node_pair {
        const struct node *key; /* a scalar */
        const struct node *value;
};

struct node {
        enum node_kind kind;
        bool quoted; /* of a scalar: it can only be text, since it has quotes, is a block, or is tagged !!str */
        unsigned line;
        unsigned column;
        size_t weight; /* nodes in it and itself, those that aliases repeat counted each time */
        size_t count;  /* of items or pairs */
        union {
                char *text; /* without NUL bytes inside */
                const struct node **items;
                struct node_pair *pairs; /* explicit ones in their order, then merged ones; no key twice */
        };
};

struct yaml_document {
        const char *name;        /* borrowed; the file in all marks */
        const struct node *root; /* NULL where there was nothing but comments */
        struct arena arena;
};

#define YAML_DOCUMENT_NULL ((struct yaml_document){0})

#define YAML_SIZE_MAX ((size_t)16 * 1024 * 1024) /* bytes of one file */
#define YAML_DEPTH_MAX 64
#define YAML_NODES_MAX ((size_t)4 * 1024 * 1024) /* counted as in node.weight */

/* Reads TEXT, the contents of NAME. Returns whether there is a tree to go on with; what is wrong is in DIAG, also with
 * true: keys given twice and the like. */
bool yaml_parse(const char *name, const struct buf *text, struct yaml_document *ret, struct diag *diag);
void yaml_document_deinit(struct yaml_document *document);

/* A scalar that stands for nothing: empty, ~ or null without quotes. */
bool node_is_null(const struct node *node);
