#include "conf/kept.h"

#include "base/err.h"
#include "conf/servicedef.h"

#include <errno.h>
#include <string.h>

void kept_deinit(struct kept *kept) {
        for (size_t i = 0; i < kept->count; i++) {
                free(kept->items[i].question);
                free(kept->items[i].data);
        }
        free(kept->items);
        strlist_deinit(&kept->env_file_values);
        *kept = KEPT_NULL;
}

int kept_add(struct kept *kept, const struct kept_answer *answer) {
        struct kept_answer copy = {.kind = answer->kind, .size = answer->size};

        if (kept->count == kept->room) {
                size_t room = MAX_OF(2 * kept->room, (size_t)4);
                struct kept_answer *items = reallocarray(kept->items, room, sizeof(*items));

                if (!items)
                        return err_raise(-ENOMEM);
                kept->items = items;
                kept->room = room;
        }
        copy.question = strdup(answer->question);
        if (answer->size > 0)
                copy.data = copy_items(answer->data, 1, answer->size);
        if (!copy.question || (answer->size > 0 && !copy.data)) {
                free(copy.question);
                free(copy.data);
                return err_raise(-ENOMEM);
        }
        kept->items[kept->count++] = copy;
        return 0;
}

static int add(struct kept *kept, enum kept_kind kind, char *question, const void *data, size_t size) {
        const struct kept_answer answer = {.kind = kind, .question = question, .data = (void *)data, .size = size};

        return kept_find(kept, kind, question) ? 0 : kept_add(kept, &answer);
}

/* An option of the entry says the protocol, and the same address may stand in another entry without it. */
static int collect_address(struct kept *kept, char *address, const struct addr_list *addrs) {
        AUTO(freep) struct addr *items = NULL;

        if (addrs->count == 0)
                return 0;
        items = copy_items(addrs->items, addrs->count, sizeof(*items));
        if (!items)
                return err_raise(-ENOMEM);
        for (size_t i = 0; i < addrs->count; i++)
                if (addr_is_ip(&items[i]))
                        items[i].protocol = 0;
        return add(kept, KEPT_ADDRESS, address, items, addrs->count * sizeof(*items));
}

static int collect_hosts(struct kept *kept, const struct networks_def *list) {
        int r = 0;

        for (size_t i = 0; i < list->count && r == 0; i++) {
                const struct network_def *network = &list->items[i];

                if (!prefix_looks_numeric(network->text))
                        r = add(kept, KEPT_HOST, network->text, network->prefixes,
                                network->count * sizeof(*network->prefixes));
        }
        return r;
}

static int collect_ids(struct kept *kept, enum kept_kind kind, const struct peer_ids_def *list) {
        int r = 0;

        for (size_t i = 0; list && i < list->names.count && r == 0; i++)
                r = add(kept, kind, list->names.items[i], &list->ids[i], sizeof(list->ids[i]));
        return r;
}

static int collect_file(struct kept *kept, const struct banner_def *banner) {
        size_t skip = strlen(BANNER_FILE);

        if (!banner || strncmp(banner->text, BANNER_FILE, skip) != 0)
                return 0;
        return add(kept, KEPT_FILE, banner->text + skip, banner->data, banner->size);
}

int kept_collect(struct kept *kept, const struct service_def *def) {
        int r = 0;

        for (size_t i = 0; i < def->listen.count && r == 0; i++)
                r = collect_address(kept, def->listen.items[i].address, &def->listen.items[i].addrs);
        if (r == 0 && def->proxy)
                r = collect_address(kept, def->proxy->text, &def->proxy->addrs);
        if (r == 0)
                r = collect_hosts(kept, &def->only_from);
        if (r == 0)
                r = collect_hosts(kept, &def->no_access);
        if (r == 0)
                r = collect_hosts(kept, &def->proxy_protocol_from);
        if (r == 0)
                r = collect_ids(kept, KEPT_USER, def->uid);
        if (r == 0)
                r = collect_ids(kept, KEPT_GROUP, def->gid);
        if (r == 0)
                r = collect_ids(kept, KEPT_USER, def->claim);
        if (r == 0)
                r = collect_file(kept, def->banner);
        if (r == 0)
                r = collect_file(kept, def->banner_success);
        if (r == 0)
                r = collect_file(kept, def->banner_fail);
        for (size_t i = 0; i < def->env_file_values.count && r == 0; i++)
                r = strlist_add(&kept->env_file_values, def->env_file_values.items[i]);
        return r;
}

int kept_collect_broker(struct kept *kept, const struct broker_def *def) {
        return collect_address(kept, def->metrics.address, &def->metrics.addrs);
}

const struct kept_answer *kept_find(const struct kept *kept, enum kept_kind kind, const char *question) {
        for (size_t i = 0; kept && i < kept->count; i++)
                if (kept->items[i].kind == kind && strcmp(kept->items[i].question, question) == 0)
                        return &kept->items[i];
        return NULL;
}
