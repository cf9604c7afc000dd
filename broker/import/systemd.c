/* `broker import systemd`: which units belong together. Sockets that start the same service become one service. */
#include "import/systemd.h"
#include "import/source.h"
#include "import/unitname.h"
#include "import/unitword.h"

#include <stdio.h>

/* A service and its sockets. */
struct group {
        const char *name; /* of the service unit */
        const char *directory;
        struct unit *service; /* NULL: there is none */
        struct unit **sockets;
        size_t count;
        bool accept;
        struct group *next;
};

struct grouping {
        struct sheet *sheet;
        struct unitset units;
        struct group *first, *last;
        struct systemd_taken *taken;
};

static bool is_socket(const char *name) {
        return strcmp(unitname_suffix(name), ".socket") == 0;
}

static bool is_service(const char *name) {
        return strcmp(unitname_suffix(name), ".service") == 0;
}

static bool accepts(const struct unit *socket) {
        const struct unit_entry *entry = unitfile_last(&socket->file, "Socket", "Accept");
        bool accept = false;

        return entry && unitfile_read_bool(entry->value, &accept) && accept;
}

/* The name of the service unit that SOCKET starts. */
static const char *name_service(struct grouping *grouping, const struct unit *socket) {
        const struct unit_entry *entry = unitfile_last(&socket->file, "Socket", "Service");
        const struct unitspec_scope scope = {.name = socket->name, .path = socket->path, .user = socket->user};
        AUTO(buf_deinit) struct buf name = BUF_NULL, why = BUF_NULL;
        bool machine = false;

        if (accepts(socket)) {
                unitname_prefix(socket->name, &name);
                buf_add_string(&name, "@.service");
        } else if (entry && entry->value[0] && unitspec_expand(&scope, entry->value, &name, &machine, &why)) {
                /* as written */
        } else if (entry && entry->value[0]) {
                buf_clear(&name); /* of a template without an instance */
                buf_add_string(&name, entry->value);
        } else {
                unitname_with_suffix(socket->name, ".service", &name);
        }
        if (unitname_is_template(socket->name) && !unitname_is_valid(buf_text(&name))) {
                AUTO(buf_deinit) struct buf template = BUF_NULL;

                unitname_template(buf_text(&name), &template);
                return sheet_copy(grouping->sheet, buf_text(&template));
        }
        if (buf_failed(&name))
                grouping->sheet->failed = true;
        return sheet_copy(grouping->sheet, buf_text(&name));
}

/* The unit NAME, beside the socket or among those that were named. */
static struct unit *find_unit(struct grouping *grouping, const char *directory, const char *name) {
        struct unit *unit = unitname_is_valid(name) ? unitset_get(&grouping->units, directory, name) : NULL;

        if (!unit)
                for (unit = grouping->units.first; unit && strcmp(unit->name, name) != 0;)
                        unit = unit->next;
        return unit ? unit : unitset_find_alias(&grouping->units, name);
}

static struct group *find_group(const struct grouping *grouping, const struct unit *service, const char *name,
                                bool accept) {
        for (struct group *group = grouping->first; group; group = group->next)
                if (group->accept == accept && (service ? group->service == service : strcmp(group->name, name) == 0))
                        return group;
        return NULL;
}

static struct group *add_group(struct grouping *grouping, const struct unit *socket, const char *name) {
        struct group *group = sheet_alloc(grouping->sheet, sizeof(*group));

        if (!group)
                return NULL;
        group->name = name;
        group->directory = socket->directory;
        if (grouping->last)
                grouping->last->next = group;
        else
                grouping->first = group;
        grouping->last = group;
        return group;
}

static void add_socket(struct grouping *grouping, struct unit *socket) {
        const char *name = name_service(grouping, socket);
        struct unit *service = name ? find_unit(grouping, socket->directory, name) : NULL;
        bool accept = accepts(socket);
        struct group *group = name ? find_group(grouping, service, name, accept) : NULL;
        struct unit **sockets;

        if (!name || socket->is_used)
                return;
        socket->is_used = true;
        if (!group)
                group = add_group(grouping, socket, name);
        sockets = group ? sheet_alloc(grouping->sheet, sizeof(struct unit *) * (group->count + 1)) : NULL;
        if (!sockets)
                return;
        if (group->count > 0)
                memcpy(sockets, group->sockets, sizeof(struct unit *) * group->count);
        sockets[group->count++] = socket;
        group->sockets = sockets;
        group->service = service;
        group->accept = accept;
        if (service)
                service->is_used = true;
}

/* Sockets that a service has of itself: those it names, and the one that is called as it is. */
static void add_sockets_of(struct grouping *grouping, struct unit *service) {
        AUTO(buf_deinit) struct buf name = BUF_NULL, word = BUF_NULL;
        struct unit *socket;

        for (size_t i = 0; i < service->file.count; i++) {
                const struct unit_entry *entry = &service->file.items[i];
                const struct unitspec_scope scope = {.name = service->name, .path = service->path};
                AUTO(buf_deinit) struct buf names = BUF_NULL, why = BUF_NULL;
                bool machine = false;
                const char *p;

                if (strcmp(entry->section, "Service") != 0 || strcmp(entry->name, "Sockets") != 0 ||
                    !unitspec_expand(&scope, entry->value, &names, &machine, &why))
                        continue;
                p = buf_text(&names);
                while (unitword_next(&p, &word) < UNITWORD_END)
                        if (is_socket(buf_text(&word)) &&
                            (socket = find_unit(grouping, service->directory, buf_text(&word))) && !socket->is_used)
                                add_socket(grouping, socket);
        }
        if (service->is_used)
                return;
        if (unitname_is_template(service->name)) {
                unitname_prefix(service->name, &name);
                buf_add_string(&name, ".socket");
        } else {
                unitname_with_suffix(service->name, ".socket", &name);
        }
        socket = find_unit(grouping, service->directory, buf_text(&name));
        if (socket && !socket->is_used)
                add_socket(grouping, socket);
}

/* The service is there, but as a template where it should be none, or the other way round. It is taken for what it
 * is, so that the definition that is left out shows it. */
static void find_other(struct grouping *grouping, struct group *group, struct buf *why) {
        AUTO(buf_deinit) struct buf other = BUF_NULL;

        if (group->accept) {
                unitname_prefix(group->name, &other);
                buf_add_string(&other, ".service");
        } else {
                unitname_template(group->name, &other);
        }
        group->service = find_unit(grouping, group->directory, buf_text(&other));
        if (!group->service)
                return;
        group->service->is_used = true;
        buf_printf(why, ", only %s, which is for Accept=%s", buf_text(&other), group->accept ? "no" : "yes");
}

/* Where it is said which service SOCKET starts; its file where nothing is said. */
static struct mark pairing_mark(const struct unit *socket) {
        const struct unit_entry *entry = unitfile_last(&socket->file, "Socket", "Service");

        return entry && entry->value[0] ? entry->mark : (struct mark){.file = socket->path};
}

/* Refuses OUT for what is wrong with a socket of the group. False where there is nothing to be said of its service. */
static bool check_socket(const struct group *group, const struct unit *socket, struct sheet_service *out) {
        const struct unit_entry *entry = unitfile_last(&socket->file, "Socket", "Service");
        const struct mark mark = {.file = socket->path};

        if (unitname_is_template(socket->name))
                sheet_refuse(out, &mark, "%s is a template; import an instance of it, as PREFIX@INSTANCE.socket",
                             socket->name);
        if (socket->masked || socket->broken)
                sheet_refuse(out, &mark, "%s %s", socket->name, socket->masked ? "is masked" : "cannot be loaded");
        if (group->accept && entry && entry->value[0])
                sheet_refuse(out, &entry->mark, "Service=%s: systemd does not allow it with Accept=yes", entry->value);
        return !socket->masked;
}

/* Refuses OUT where the group cannot be imported. */
static void check_group(struct grouping *grouping, struct group *group, struct sheet_service *out) {
        const struct unit *service = group->service;
        const struct mark mark = pairing_mark(group->sockets[0]);
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        bool any = false;

        for (size_t i = 0; i < group->count; i++)
                any = check_socket(group, group->sockets[i], out) || any;
        if (!any)
                return;
        if (!is_service(group->name)) {
                sheet_refuse(out, &mark, "%s is not the name of a service", group->name);
        } else if (!service) {
                find_other(grouping, group, &why);
                sheet_refuse(out, &mark, "there is no %s beside it%s", group->name, buf_text(&why));
        } else if (service->masked || service->broken) {
                const struct mark own = {.file = service->path};

                sheet_refuse(out, &own, "%s %s", service->name, service->masked ? "is masked" : "cannot be loaded");
        }
}

static void convert_service(struct conversion *conv) {
        const char *privileged;

        if (!conv->service)
                return;
        systemd_look_at(conv, conv->service, &conv->service_effective);
        systemd_apply(conv);
        privileged = systemd_find_rights(conv);
        systemd_convert_process(conv, privileged);
        systemd_convert_rights(conv, privileged);
        systemd_convert_start(conv);
        systemd_convert_times(conv);
        systemd_convert_output(conv);
        systemd_read_environment(conv);
        systemd_convert_command(conv);
}

/* What the service unit says of its stdin decides how the sockets are handed over. */
static void choose_shape(struct conversion *conv) {
        bool stdio = false;

        if (conv->service) {
                systemd_look_at(conv, conv->service, &conv->service_effective);
                stdio = systemd_find_stdio(&conv->service_effective);
        }
        conv->shape.wait = !conv->accept;
        conv->shape.handoff = stdio ? HANDOFF_STDIO : HANDOFF_FDS;
        sheet_raw(conv->out, "wait", conv->accept ? "no" : "yes");
        if (stdio != conv->accept)
                sheet_raw(conv->out, "handoff", stdio ? "stdio" : "fds");
}

static bool has_socket(const struct conversion *conv, const char *name) {
        for (size_t i = 0; i < conv->socket_count; i++)
                if (strcmp(conv->sockets[i]->name, name) == 0)
                        return true;
        return false;
}

/* Why the service does not get the socket NAME. */
static void note_missing(struct grouping *grouping, struct conversion *conv, const struct unit_entry *entry,
                         const char *name) {
        const struct unit *socket = is_socket(name) ? find_unit(grouping, conv->service->directory, name) : NULL;
        const char *service = socket ? name_service(grouping, socket) : NULL;

        if (service)
                systemd_note(conv, "listen", entry, "the program does not get %s, which starts %s", name, service);
        else
                systemd_note(conv, "listen", entry, "the program does not get %s, which was not found", name);
}

/* Sockets= names what the program gets; one that is not there is missing here. */
static void remark_sockets(struct grouping *grouping, struct conversion *conv, const struct unit_entry *entry) {
        AUTO(buf_deinit) struct buf word = BUF_NULL;
        const char *p = systemd_expand(conv, entry, entry->value);
        bool all = true;

        while (p && unitword_next(&p, &word) < UNITWORD_END)
                if (!has_socket(conv, buf_text(&word))) {
                        note_missing(grouping, conv, entry, buf_text(&word));
                        all = false;
                }
        if (all)
                sheet_remark(conv->out, "listen", "Sockets=%s", entry->value);
}

/* What is about the pairing is neither a key nor dropped. */
static void remark_pairing(struct grouping *grouping, struct conversion *conv) {
        for (size_t i = 0; i < conv->socket_count; i++) {
                const struct unit_entry *entry = unitfile_last(&conv->sockets[i]->file, "Socket", "Service");

                if (entry && entry->value[0])
                        sheet_remark(conv->out, "listen", "%s: Service=%s", conv->sockets[i]->name, entry->value);
        }
        for (size_t i = 0; conv->service && i < conv->service_effective.count; i++) {
                const struct effective_entry *item = &conv->service_effective.items[i];

                if (strcmp(item->directive->name, "Sockets") == 0)
                        remark_sockets(grouping, conv, item->entry);
        }
}

static void convert_group(struct grouping *grouping, struct group *group) {
        const struct mark mark = {.file = group->sockets[0]->path};
        struct conversion conv = {
                .sheet = grouping->sheet,
                .sockets = group->sockets,
                .socket_count = group->count,
                .accept = group->accept,
                .taken = &grouping->taken,
        };
        const char *name = group->service ? group->service->name : group->name;
        char *stem = sheet_printf(grouping->sheet, "%.*s", (int)(strlen(name) - strlen(unitname_suffix(name))), name);

        if (stem && group->accept)
                stem[strcspn(stem, "@")] = '\0';
        conv.out = stem ? sheet_add(grouping->sheet, stem, &mark) : NULL;
        if (!conv.out)
                return;
        check_group(grouping, group, conv.out);
        conv.service = group->service;
        conv.is_template = unitname_is_template(group->sockets[0]->name);
        choose_shape(&conv);
        systemd_convert_sockets(&conv);
        convert_service(&conv);
        remark_pairing(grouping, &conv);
        systemd_take_addresses(&conv);
        systemd_end_groups(&conv);
        strlist_deinit(&conv.environment);
        strlist_deinit(&conv.passed);
        strlist_deinit(&conv.unset);
        buf_deinit(&conv.redirections);
}

static int filter_sockets(const struct dirent *entry) {
        return is_socket(entry->d_name);
}

/* Loads the sockets of the directory PATH. False where it is none. */
static bool load_directory(struct grouping *grouping, const char *path) {
        struct dirent **entries = NULL;
        int n = source_scan(path, &entries, filter_sockets);
        const struct mark mark = {.file = path};
        bool any = false;

        for (int i = 0; i < n; i++) {
                if (unitname_is_valid(entries[i]->d_name) && unitset_get(&grouping->units, path, entries[i]->d_name))
                        any = true;
                free(entries[i]);
        }
        free(entries);
        if (n >= 0 && !any)
                sheet_note(&grouping->sheet->top, SHEET_HEAD, &mark,
                           "there are no socket units in %s, and nothing else is imported of a directory", path);
        return n >= 0;
}

/* A template may say which instance is meant when none is named. */
static void load_default_instance(struct grouping *grouping, const char *directory, const struct unit *unit) {
        const struct unit_entry *entry = unitfile_last(&unit->file, "Install", "DefaultInstance");
        AUTO(buf_deinit) struct buf name = BUF_NULL;

        if (!entry || !entry->value[0] || !unitname_is_template(unit->name))
                return;
        unitname_fill(unit->name, entry->value, &name);
        if (unitname_is_valid(buf_text(&name)))
                unitset_get(&grouping->units, directory, buf_text(&name));
}

/* Loads what the command line names: a unit, or a directory. */
static void load_file(struct grouping *grouping, const char *file) {
        const struct mark mark = {.file = file};
        const char *slash = strrchr(file, '/');
        const char *name = slash ? slash + 1 : file;
        char *directory =
                sheet_printf(grouping->sheet, "%.*s", (int)(slash ? slash - file + (slash == file) : 0), file);
        struct unit *unit;

        if (!unitname_is_valid(name) || (!is_socket(name) && !is_service(name))) {
                if (!load_directory(grouping, file))
                        sheet_refuse(&grouping->sheet->top, &mark, "%s is neither NAME.socket nor NAME.service", file);
                return;
        }
        unit = directory ? unitset_get(&grouping->units, directory, name) : NULL;
        if (unit)
                load_default_instance(grouping, directory, unit);
        else
                sheet_refuse(&grouping->sheet->top, &mark, "%s cannot be read: No such file or directory", file);
}

/* A template stands for its instances, where one of them is imported. */
static bool has_instance(const struct grouping *grouping, const struct unit *template) {
        for (const struct unit *unit = grouping->units.first; unit; unit = unit->next)
                if (unitname_is_template(template->name) && unit != template && unit->path && template->path &&
                    strcmp(unit->path, template->path) == 0)
                        return true;
        return false;
}

static void import_units(struct grouping *grouping, char *const *files) {
        for (char *const *file = files; *file; file++)
                load_file(grouping, *file);
        for (struct unit *unit = grouping->units.first; unit; unit = unit->next)
                if (is_socket(unit->name) && !unit->is_used && !has_instance(grouping, unit))
                        add_socket(grouping, unit);
        for (struct unit *unit = grouping->units.first; unit; unit = unit->next)
                if (is_service(unit->name))
                        add_sockets_of(grouping, unit);
        for (struct group *group = grouping->first; group; group = group->next)
                convert_group(grouping, group);
        for (struct unit *unit = grouping->units.first; unit; unit = unit->next) {
                const struct mark mark = {.file = unit->path};

                if (is_service(unit->name) && !unit->is_used && !has_instance(grouping, unit))
                        sheet_refuse(&grouping->sheet->top, &mark,
                                     "%s is left out: no socket starts it, and the broker starts nothing else",
                                     unit->name);
        }
}

void import_systemd(struct import *import) {
        struct grouping grouping = {.sheet = &import->sheet, .units = {.sheet = &import->sheet}};

        import_units(&grouping, import->files);
        unitset_deinit(&grouping.units);
}
