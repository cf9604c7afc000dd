/* What `broker import` prints: services with their keys, values and comments. An importer puts them together in
 * the order of its own format; they are written in the order of the key tables, as `broker show` does it.
 *
 * All memory lives in the sheet until sheet_deinit(). Running out of it is remembered in sheet->failed and
 * reported once at the end, and whatever takes a node or a service takes NULL for one that could not be made:
 * importers need not check.
 *
 * Texts may hold any bytes of the input. Values that YAML cannot hold refuse the service; in comments and messages
 * they are escaped. */
#pragma once

#include "base/diag.h"
#include "conf/arena.h"
#include "conf/nameset.h"

struct sheet;
struct sheet_comment;
struct sheet_service;

enum sheet_kind {
        SHEET_EMPTY, /* no value: there are comments where it would stand, at most */
        SHEET_TEXT,
        SHEET_RAW, /* a scalar as it is to be written: a number, yes, 50/1s */
        SHEET_LIST,
        SHEET_MAP,
};

struct sheet_node {
        struct sheet_service *service;
        enum sheet_kind kind;
        const char *key;  /* in its mapping; NULL for items of lists */
        const char *text; /* of TEXT and RAW */
        struct sheet_comment *comments;
        struct sheet_node *first, *last; /* of LIST and MAP */
        struct sheet_node *next;
};

struct sheet_service {
        struct sheet *sheet;
        const char *name; /* NULL: the sheet's head */
        struct mark mark; /* where it begins in the input */
        struct sheet_comment *head;
        struct sheet_comment *end;
        struct sheet_node root; /* a MAP, whose keys are in any order */
        bool refused;
        struct sheet_service *next;
};

struct sheet {
        struct arena arena;
        struct diag diag;
        struct sheet_service top;      /* its comments stand above `services:`; it has no keys */
        struct sheet_service defaults; /* what sheet_share() makes; it has keys alone */
        struct sheet_service *first, *last;
        struct nameset names; /* of the services; the line of each is the last number that was behind it */
        bool failed;
};

void sheet_init(struct sheet *sheet);
void sheet_deinit(struct sheet *sheet);

/* A copy that lives as long as the sheet; NULL when memory ran out. */
char *sheet_copy(struct sheet *sheet, const char *text);
char *sheet_printf(struct sheet *sheet, const char *format, ...) PRINTF_LIKE(2, 3);
void *sheet_alloc(struct sheet *sheet, size_t size); /* zeroed */

/* TEXT as words of command, argv0 and values of environment are to be written, where $$ is a dollar sign. */
const char *sheet_dollars(struct sheet *sheet, const char *text);

/* PATH as the first word of SERVICE's `command`. One with $$ or ${ cannot be written there: the service is refused, at
 * MARK. */
void sheet_program(struct sheet_service *service, const struct mark *mark, const char *path);

/* A new service behind the others. It is called NAME as far as services here can be, with -2 and so on behind it where
 * there is one of that name already; where it is called otherwise a remark says so. */
struct sheet_service *sheet_add(struct sheet *sheet, const char *name, const struct mark *mark);

/* Whether there is a service of that name. */
bool sheet_is_named(const struct sheet *sheet, const char *name);

/* BASE, or with -2 and so on behind it the first name that no service has. NULL when memory ran out. */
char *sheet_number(struct sheet *sheet, const char *base);

/* The value of KEY, a key of the tables, made EMPTY when there is none yet. */
struct sheet_node *sheet_key(struct sheet_service *service, const char *key);

/* The same, or NULL. */
struct sheet_node *sheet_find(const struct sheet_service *service, const char *key);

/* Whether KEY has a value. */
bool sheet_has(struct sheet_service *service, const char *key);

/* Gives KEY the value TEXT, quoted as needed, or what FORMAT makes as it is, in place of what it had. */
void sheet_text(struct sheet_service *service, const char *key, const char *text);
void sheet_raw(struct sheet_service *service, const char *key, const char *format, ...) PRINTF_LIKE(3, 4);

/* Appends TEXT to the list at KEY, which is made when there is none. */
void sheet_append(struct sheet_service *service, const char *key, const char *text);

/* Takes the value of KEY away; comments stay. */
void sheet_clear(struct sheet_service *service, const char *key);

/* The same for nodes below keys. node_text() and node_raw() return NODE. */
struct sheet_node *node_text(struct sheet_node *node, const char *text);
struct sheet_node *node_raw(struct sheet_node *node, const char *format, ...) PRINTF_LIKE(2, 3);
struct sheet_node *node_add(struct sheet_node *node);                  /* a new item; NODE becomes a list */
struct sheet_node *node_key(struct sheet_node *node, const char *key); /* the value of KEY; NODE becomes a mapping */
void node_clear(struct sheet_node *node);

/* Where a comment stands that belongs to no key. */
#define SHEET_HEAD ""  /* above the name of the service */
#define SHEET_END NULL /* below its last key */

/* What has no equivalent: a comment in front of KEY, whether it has a value or not, or at SHEET_HEAD or SHEET_END,
 * and a warning at MARK. The text begins with the directive as it was written: "log_on_failure += USERID: clients
 * are not …". With &sheet->top as SERVICE it is about the file as a whole. */
void sheet_note(struct sheet_service *service, const char *key, const struct mark *mark, const char *format, ...)
        PRINTF_LIKE(4, 5);

/* A comment at the same place without a warning: why something is written out, what it was called. */
void sheet_remark(struct sheet_service *service, const char *key, const char *format, ...) PRINTF_LIKE(3, 4);

/* What would mean something else here: an error at MARK. The service is left out but for a comment with the reason and
 * what there is of its definition, commented out. With &sheet->top a part of the file is left out. */
void sheet_refuse(struct sheet_service *service, const struct mark *mark, const char *format, ...) PRINTF_LIKE(3, 4);

/* Moves what services say alike of how programs are treated to `defaults`, where the result means the same: a service
 * that says nothing about it keeps the broker's own default. The last thing to do before sheet_print(). */
void sheet_share(struct sheet *sheet);

/* Writes it as YAML. Call it before the messages are printed: it may add some. */
void sheet_print(struct sheet *sheet, struct buf *out);
