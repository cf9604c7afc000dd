/* Putting a sheet together; sheetprint.c writes it. */
#include "import/sheet.h"

#include "base/template.h"
#include "base/utf8.h"
#include "conf/refuse.h"
#include "import/sheetcomment.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 64 /* of a service's name, see conf/refuse.c */
#define SUFFIX_ROOM 8     /* of "-123" */

void sheet_init(struct sheet *sheet) {
        *sheet = (struct sheet){0};
        sheet->top.sheet = sheet;
        sheet->defaults.sheet = sheet;
        sheet->defaults.root = (struct sheet_node){.service = &sheet->defaults, .kind = SHEET_MAP};
        sheet->diag.keeps_all = true;
}

void sheet_deinit(struct sheet *sheet) {
        diag_deinit(&sheet->diag);
        nameset_deinit(&sheet->names);
        arena_deinit(&sheet->arena);
        *sheet = (struct sheet){0};
}

void *sheet_alloc(struct sheet *sheet, size_t size) {
        void *piece = arena_alloc(&sheet->arena, size);

        if (!piece) {
                sheet->failed = true;
                return NULL;
        }
        return memset(piece, 0, size);
}

char *sheet_copy(struct sheet *sheet, const char *text) {
        char *copy = sheet_alloc(sheet, strlen(text) + 1);

        if (copy)
                strcpy(copy, text);
        return copy;
}

static char *sheet_vprintf(struct sheet *sheet, const char *format, va_list args) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        buf_vprintf(&text, format, args);
        if (buf_failed(&text)) {
                sheet->failed = true;
                return NULL;
        }
        return sheet_copy(sheet, buf_text(&text));
}

char *sheet_printf(struct sheet *sheet, const char *format, ...) {
        va_list args;
        char *text;

        va_start(args, format);
        text = sheet_vprintf(sheet, format, args);
        va_end(args);
        return text;
}

const char *sheet_dollars(struct sheet *sheet, const char *text) {
        AUTO(buf_deinit) struct buf doubled = BUF_NULL;

        if (template_is_plain(text))
                return text;
        for (; *text; text++) {
                if (*text == '$')
                        buf_add_char(&doubled, '$');
                buf_add_char(&doubled, *text);
        }
        if (buf_failed(&doubled))
                sheet->failed = true;
        return sheet_copy(sheet, buf_text(&doubled));
}

bool sheet_is_named(const struct sheet *sheet, const char *name) {
        return nameset_find(&sheet->names, name) != NULL;
}

static void remember_name(struct sheet *sheet, const char *name, unsigned last) {
        const struct nameset_item item = {.mark = {.line = last}};

        if (nameset_put(&sheet->names, name, &item) < 0)
                sheet->failed = true;
}

char *sheet_number(struct sheet *sheet, const char *base) {
        const struct nameset_item *item = nameset_find(&sheet->names, base);
        unsigned last = item ? item->mark.line : 0;
        char *chosen;

        do {
                last++;
                chosen = last == 1 ? sheet_copy(sheet, base)
                                   : sheet_printf(sheet, "%.*s-%u", NAME_MAX_BYTES - SUFFIX_ROOM, base, last);
        } while (chosen && sheet_is_named(sheet, chosen));
        if (chosen && last > 1)
                remember_name(sheet, base, last);
        return chosen;
}

/* A name that definitions accept and nobody has, as near to NAME as can be. */
static char *choose_name(struct sheet *sheet, const char *name) {
        char base[NAME_MAX_BYTES + 1], *chosen;

        while (*name && refuse_service_name((const char[]){*name, '\0'}))
                name++;
        snprintf(base, sizeof(base), "%s", *name ? name : "service");
        for (char *p = base; *p; p++)
                if (refuse_service_name((const char[]){'a', *p, '\0'}))
                        *p = '-';
        chosen = sheet_number(sheet, base);
        if (chosen)
                remember_name(sheet, chosen, 1);
        return chosen;
}

struct sheet_service *sheet_add(struct sheet *sheet, const char *name, const struct mark *mark) {
        struct sheet_service *service = sheet_alloc(sheet, sizeof(*service));

        if (!service)
                return NULL;
        service->sheet = sheet;
        service->mark = *mark;
        service->root = (struct sheet_node){.service = service, .kind = SHEET_MAP};
        service->name = choose_name(sheet, name);
        if (!service->name)
                return NULL;
        if (sheet->last)
                sheet->last->next = service;
        else
                sheet->first = service;
        sheet->last = service;
        if (strcmp(service->name, name) != 0)
                sheet_remark(service, SHEET_HEAD, "called '%s' there", name);
        return service;
}

static struct sheet_node *node_find(const struct sheet_node *node, const char *key) {
        for (struct sheet_node *child = node->kind == SHEET_MAP ? node->first : NULL; child; child = child->next)
                if (strcmp(child->key, key) == 0)
                        return child;
        return NULL;
}

void node_clear(struct sheet_node *node) {
        if (!node)
                return;
        node->kind = SHEET_EMPTY;
        node->text = NULL;
        node->first = node->last = NULL;
}

static struct sheet_node *append(struct sheet_node *node, enum sheet_kind kind) {
        struct sheet_node *child = sheet_alloc(node->service->sheet, sizeof(*child));

        if (!child)
                return NULL;
        if (node->kind != kind)
                node_clear(node);
        node->kind = kind;
        child->service = node->service;
        if (node->last)
                node->last->next = child;
        else
                node->first = child;
        node->last = child;
        return child;
}

struct sheet_node *node_add(struct sheet_node *node) {
        return node ? append(node, SHEET_LIST) : NULL;
}

static bool is_utf8(const char *text) {
        for (const unsigned char *p = (const unsigned char *)text; *p;) {
                size_t n = utf8_sequence(p);

                if (n == 0)
                        return false;
                p += n;
        }
        return true;
}

/* Refuses the service of a node for what YAML cannot hold. */
static void refuse_bytes(struct sheet_node *node, const char *text) {
        sheet_refuse(node->service, &node->service->mark,
                     "'%s' is not UTF-8, and nothing else can be written in a definition", text);
}

struct sheet_node *node_key(struct sheet_node *node, const char *key) {
        struct sheet_node *child;
        char *copy;

        if (!node)
                return NULL;
        if (!is_utf8(key)) {
                refuse_bytes(node, key);
                return NULL;
        }
        child = node_find(node, key);
        if (child)
                return child;
        copy = sheet_copy(node->service->sheet, key);
        child = copy ? append(node, SHEET_MAP) : NULL;
        if (child)
                child->key = copy;
        return child;
}

struct sheet_node *node_text(struct sheet_node *node, const char *text) {
        if (!node)
                return NULL;
        node_clear(node);
        if (!is_utf8(text)) {
                refuse_bytes(node, text);
                return node;
        }
        node->text = sheet_copy(node->service->sheet, text);
        node->kind = node->text ? SHEET_TEXT : SHEET_EMPTY;
        return node;
}

static struct sheet_node *node_vraw(struct sheet_node *node, const char *format, va_list args) {
        if (!node)
                return NULL;
        node_clear(node);
        node->text = sheet_vprintf(node->service->sheet, format, args);
        node->kind = node->text ? SHEET_RAW : SHEET_EMPTY;
        return node;
}

struct sheet_node *node_raw(struct sheet_node *node, const char *format, ...) {
        va_list args;

        va_start(args, format);
        node_vraw(node, format, args);
        va_end(args);
        return node;
}

struct sheet_node *sheet_key(struct sheet_service *service, const char *key) {
        return service ? node_key(&service->root, key) : NULL;
}

struct sheet_node *sheet_find(const struct sheet_service *service, const char *key) {
        return service ? node_find(&service->root, key) : NULL;
}

bool sheet_has(struct sheet_service *service, const char *key) {
        const struct sheet_node *node = sheet_find(service, key);

        return node && node->kind != SHEET_EMPTY;
}

void sheet_text(struct sheet_service *service, const char *key, const char *text) {
        node_text(sheet_key(service, key), text);
}

void sheet_raw(struct sheet_service *service, const char *key, const char *format, ...) {
        va_list args;

        va_start(args, format);
        node_vraw(sheet_key(service, key), format, args);
        va_end(args);
}

void sheet_append(struct sheet_service *service, const char *key, const char *text) {
        node_text(node_add(sheet_key(service, key)), text);
}

void sheet_clear(struct sheet_service *service, const char *key) {
        node_clear(sheet_key(service, key));
}

static void add_comment(struct sheet_service *service, const char *key, const char *text) {
        struct sheet_comment **p, *comment;
        struct sheet_node *node;

        if (!service || !text)
                return;
        if (!key) {
                p = &service->end;
        } else if (key[0] == '\0') {
                p = &service->head;
        } else {
                node = sheet_key(service, key);
                if (!node)
                        return;
                p = &node->comments;
        }
        comment = sheet_alloc(service->sheet, sizeof(*comment));
        if (!comment)
                return;
        comment->text = text;
        while (*p)
                p = &(*p)->next;
        *p = comment;
}

void sheet_note(struct sheet_service *service, const char *key, const struct mark *mark, const char *format, ...) {
        va_list args;
        char *text;

        if (!service)
                return;
        va_start(args, format);
        text = sheet_vprintf(service->sheet, format, args);
        va_end(args);
        if (!text)
                return;
        diag_warning(&service->sheet->diag, mark, service->name, "%s", text);
        add_comment(service, key, text);
}

void sheet_remark(struct sheet_service *service, const char *key, const char *format, ...) {
        va_list args;

        if (!service)
                return;
        va_start(args, format);
        add_comment(service, key, sheet_vprintf(service->sheet, format, args));
        va_end(args);
}

void sheet_refuse(struct sheet_service *service, const struct mark *mark, const char *format, ...) {
        va_list args;
        char *text;

        if (!service)
                return;
        va_start(args, format);
        text = sheet_vprintf(service->sheet, format, args);
        va_end(args);
        if (!text)
                return;
        diag_error(&service->sheet->diag, mark, service->name, "%s", text);
        if (service->name)
                text = sheet_printf(service->sheet, "%s is left out: %s", service->name, text);
        service->refused = true;
        add_comment(service, SHEET_HEAD, text);
}

void sheet_program(struct sheet_service *service, const struct mark *mark, const char *path) {
        if (!template_is_plain(path))
                sheet_refuse(service, mark, "'%s': $$ and ${ cannot be written in the name of a program", path);
        else
                sheet_append(service, "command", path);
}
