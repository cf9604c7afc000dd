/* From nodes to fields by the key tables, and what the types of keys share while they do it: the path of where they
 * are, which becomes text only when there is something to report. */
#pragma once

#include "conf/kept.h"
#include "conf/schema.h"
#include "conf/yaml.h"

struct path {
        const struct path *up;
        const char *name; /* NULL: an entry of a list */
        size_t index;
};

struct decoder {
        struct diag *diag;
        const struct kept *kept; /* what was asked before, with its answers; NULL: ask */
        const char *file;        /* the name in all marks; NULL for the tables' own defaults */
        const struct path *path; /* of the value being read */
};

/* What a section is read into. */
struct decode_target {
        const struct section *section;
        void *base;
        struct record *record; /* NULL, or where to note the keys of a service */
};

enum key_origin {
        KEY_ABSENT,
        KEY_DEFAULTED, /* it came from `defaults:` */
        KEY_WRITTEN,   /* in the service itself */
};

/* Which keys a service has, and where. */
struct record {
        struct service_def *def;
        const struct node *name;
        const struct node *values[SERVICE_KEY_N];
        enum key_origin origins[SERVICE_KEY_N];
        bool bad[SERVICE_KEY_N]; /* its value was refused; its field means nothing */
};

/* Report something about NODE, with the decoder's path. */
void decode_error(struct decoder *dec, const struct node *node, const char *format, ...) PRINTF_LIKE(3, 4);
void decode_warning(struct decoder *dec, const struct node *node, const char *format, ...) PRINTF_LIKE(3, 4);

/* Reports that memory ran out. Returns false. */
bool decode_no_memory(struct decoder *dec, const struct node *node);

/* Reports that NODE is not what its key takes, and what could be written. Returns false. */
bool decode_refuse(struct decoder *dec, const struct key *key, const struct node *node);

/* The same for a number that is one, but too small or too large. */
bool decode_out_of_range(struct decoder *dec, const struct key *key, const struct node *node);

/* The text of a scalar; NULL, after reporting, where NODE is none or stands for nothing. */
const char *decode_text(struct decoder *dec, const struct key *key, const struct node *node);

/* The same for an entry of a list of texts. */
const char *decode_entry_text(struct decoder *dec, const struct node *node);

struct mark decode_mark(const struct decoder *dec, const struct node *node);

/* Reads a mapping by its table. Every pair is read, also after an error. False when there was any. */
bool decode_section(struct decoder *dec, const struct decode_target *target, const struct node *node);

/* Calls EACH for every item of a list, or once for a value that is not one, with the path to it. False when any call
 * returned false. */
typedef bool decode_item_fn(struct decoder *dec, const struct key *key, const struct node *node, void *userdata);
bool decode_items(struct decoder *dec, const struct key *key, const struct node *node, decode_item_fn *each,
                  void *userdata);

/* The text of a value in messages: its beginning, where it is long. */
#define QUOTE_MAX 64
struct quote {
        char text[QUOTE_MAX + 4];
};
struct quote quote_text(const char *text);

/* Reports that a section has no key of PAIR's name, and which one was probably meant. The path leads to it already.
 * Returns that key where it is one of the same section, so that it is not found missing as well; or NULL. */
const struct key *unknown_key(struct decoder *dec, const struct section *section, const struct node_pair *pair);
