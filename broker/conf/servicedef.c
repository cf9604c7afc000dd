#include "conf/servicedef.h"

#include "base/capability.h"
#include "conf/print.h"
#include "conf/schema.h"

#include <string.h>

struct service_def *service_def_free(struct service_def *def) {
        if (!def)
                return NULL;
        section_clear(&section_service, def);
        strlist_deinit(&def->env_file_values);
        free(def->name);
        free(def);
        return NULL;
}

struct service_def *service_def_copy(const struct service_def *def) {
        struct service_def *copy = calloc(1, sizeof(*copy));

        if (!copy)
                return NULL;
        copy->mark = def->mark;
        copy->places = def->places;
        copy->name = strdup(def->name);
        if (!copy->name || !section_copy(&section_service, def, copy) ||
            strlist_copy(&def->env_file_values, &copy->env_file_values) < 0)
                return service_def_free(copy);
        return copy;
}

bool service_def_answers_at(const struct service_def *def, const union sockaddr_any *sa) {
        return def->udp_public || def->builtin == BUILTIN_DISCARD || addr_is_loopback(sa);
}

struct mark service_def_mark(const struct service_def *def, struct place place) {
        return (struct mark){.file = def->mark.file, .line = place.line, .column = place.column};
}

uint64_t capabilities_def_set(const struct capabilities_def *list) {
        uint64_t set = 0;

        for (size_t i = 0; list && i < list->count; i++)
                if (list->items[i].number == CAPABILITY_ALL_NUMBER)
                        return CAPABILITY_ALL;
                else
                        set |= CAPABILITY_BIT(list->items[i].number);
        return set;
}

struct def_set *def_set_free(struct def_set *set) {
        if (!set)
                return NULL;
        for (size_t i = 0; i < set->count; i++)
                service_def_free(set->services[i]);
        free(set->services);
        broker_def_deinit(&set->broker);
        free(set->by_name);
        broker_def_deinit(&set->broker);
        free(set);
        return NULL;
}

static int compare_name(const void *name, const void *entry) {
        return strcmp(name, (*(struct service_def *const *)entry)->name);
}

const struct service_def *def_set_find(const struct def_set *set, const char *name) {
        struct service_def *const *found;

        if (set->count == 0)
                return NULL;
        found = bsearch(name, set->by_name, set->count, sizeof(struct service_def *), compare_name);
        return found ? *found : NULL;
}

/* What files say counts, not how they are called. */
bool service_def_equal(const struct service_def *a, const struct service_def *b) {
        section_for_each(key, &section_service) if (key->visible && !key_equal(key, key_const_field(key, a),
                                                                               key_const_field(key, b))) return false;
        return strlist_equal(&a->env_file_values, &b->env_file_values);
}

bool service_def_same(const struct service_def *a, const struct service_def *b) {
        return strcmp(a->name, b->name) == 0 && section_equal(&section_service, a, b) &&
               strlist_equal(&a->env_file_values, &b->env_file_values);
}

bool listen_options_equal(const struct listen_options *a, const struct listen_options *b) {
        const size_t start = offsetof(struct listen_def, options);

        section_for_each(key, &section_listen) if (key->offset >= start &&
                                                   !key_equal(key, (const char *)a + (key->offset - start),
                                                              (const char *)b + (key->offset - start))) return false;
        return true;
}

void service_def_print(const struct service_def *def, struct buf *out) {
        struct printer printer = {.out = out, .indent = 4, .service = def};

        buf_add_string(out, "  ");
        print_text(out, def->name);
        buf_add_string(out, ":\n");
        print_section(&printer, &section_service, def);
}

void broker_def_deinit(struct broker_def *def) {
        section_clear(&section_broker, def);
}

bool broker_def_equal(const struct broker_def *a, const struct broker_def *b) {
        return section_equal(&section_broker, a, b);
}

void broker_def_print(const struct broker_def *def, struct buf *out) {
        struct printer printer = {.out = out, .indent = 2};

        buf_add_string(out, "broker:\n");
        print_section(&printer, &section_broker, def);
}
