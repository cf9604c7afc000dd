/* What several services say alike, said once: the section `defaults` of a sheet. */
#include "conf/nameset.h"
#include "conf/schema.h"
#include "conf/servicedef.h"
#include "import/sheet.h"
#include "import/sheetcomment.h"

#include <string.h>

#define SHARERS_MIN 3 /* two services are easier to read as they are */

/* Keys that say how programs and their clients are treated, which people write once; what a program is, and whose,
 * stands with the service. */
static const enum service_key shared_keys[] = {
        SERVICE_STOP_GRACE_PERIOD, SERVICE_GROUPS,    SERVICE_UMASK,     SERVICE_WORKING_DIR,
        SERVICE_PASS_ENVIRONMENT,  SERVICE_STDERR,    SERVICE_INSTANCES, SERVICE_PER_SOURCE,
        SERVICE_SOURCE_PREFIX,     SERVICE_WHEN_FULL, SERVICE_CPS,       SERVICE_CPS_PAUSE,
        SERVICE_MAX_LOAD,          SERVICE_ONLY_FROM, SERVICE_NO_ACCESS, SERVICE_ACCESS_TIMES,
};

/* Whether a default for KEY would count for the service: the broker leaves out what means nothing to it. */
static bool takes_default(struct sheet_service *service, const struct key *key) {
        const struct sheet_node *wait = sheet_find(service, "wait");
        struct service_def def = {
                .wait = wait && wait->kind == SHEET_RAW && strcmp(wait->text, "yes") == 0,
                .builtin = sheet_has(service, "builtin") ? BUILTIN_ECHO : BUILTIN_NONE,
                .sensor = sheet_has(service, "sensor"),
        };
        struct proxy_def proxy;

        def.command.count = sheet_has(service, "command");
        def.proxy = sheet_has(service, "proxy") ? &proxy : NULL;
        return key_applies(key, &def);
}

/* A value with its comments as one text, the same for the same ones. */
static void describe(const struct sheet_node *node, struct buf *out) {
        buf_printf(out, "%d %zu:%s ", node->kind, node->text ? strlen(node->text) : 0, node->text ? node->text : "");
        for (const struct sheet_comment *comment = node->comments; comment; comment = comment->next)
                buf_printf(out, "#%zu:%s ", strlen(comment->text), comment->text);
        for (const struct sheet_node *child = node->first; child; child = child->next) {
                buf_printf(out, "(%s ", child->key ? child->key : "");
                describe(child, out);
                buf_add_char(out, ')');
        }
}

/* Counts the values of KEY. Returns the first one of those that most services have, NULL where fewer than SHARERS_MIN
 * agree, or one says nothing although a default would count for it. */
static const struct sheet_node *find_common(struct sheet *sheet, const struct key *key, struct buf *ret_text) {
        AUTO(nameset_deinit) struct nameset counts = NAMESET_NULL;
        const struct sheet_node *best = NULL;
        unsigned most = SHARERS_MIN - 1;

        for (struct sheet_service *service = sheet->first; service; service = service->next) {
                const struct sheet_node *node = sheet_find(service, key->name);
                AUTO(buf_deinit) struct buf text = BUF_NULL;
                const struct nameset_item *item;
                unsigned count;

                if (service->refused)
                        continue;
                if (!sheet_has(service, key->name)) {
                        if (takes_default(service, key))
                                return NULL;
                        continue;
                }
                describe(node, &text);
                item = nameset_find(&counts, buf_text(&text));
                count = item ? item->mark.line + 1 : 1;
                if (buf_failed(&text) ||
                    nameset_put(&counts, buf_text(&text), &(struct nameset_item){.mark = {.line = count}}) < 0) {
                        sheet->failed = true;
                        return NULL;
                }
                if (count <= most)
                        continue;
                most = count;
                best = node;
        }
        if (best)
                describe(best, ret_text);
        return best;
}

/* Takes KEY away from all services that have the value TEXT. */
static void take_away(struct sheet *sheet, const struct key *key, const char *text) {
        for (struct sheet_service *service = sheet->first; service; service = service->next) {
                struct sheet_node *node = sheet_find(service, key->name);
                AUTO(buf_deinit) struct buf own = BUF_NULL;

                if (!node || !sheet_has(service, key->name))
                        continue;
                describe(node, &own);
                if (strcmp(buf_text(&own), text) != 0)
                        continue;
                node_clear(node);
                node->comments = NULL;
        }
}

void sheet_share(struct sheet *sheet) {
        for (size_t i = 0; i < LENGTH_OF(shared_keys); i++)
                section_for_each(key, &section_service) {
                        AUTO(buf_deinit) struct buf text = BUF_NULL;
                        const struct sheet_node *common;
                        struct sheet_node *node;

                        if (key->id != shared_keys[i])
                                continue;
                        common = find_common(sheet, key, &text);
                        node = common ? sheet_key(&sheet->defaults, key->name) : NULL;
                        if (!node)
                                continue;
                        node->kind = common->kind;
                        node->text = common->text;
                        node->comments = common->comments;
                        node->first = common->first;
                        node->last = common->last;
                        take_away(sheet, key, buf_text(&text));
                }
}
