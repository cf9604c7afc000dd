/* Which lines of a unit count, and what becomes of those that have no key. */
#include "import/systemd.h"
#include "import/unitname.h"
#include "import/unitvalue.h"
#include "import/unitword.h"

#include <stdio.h>

/* What is said of a group; its lines come first. */
static const char *const group_texts[GROUP_N] = {
        [GROUP_ORDER] = "the broker starts services by their traffic alone, in no order and without regard to others",
        [GROUP_CONDITIONS] = "conditions are not looked at",
        [GROUP_COMMANDS] = "commands beside the program itself are not run",
        [GROUP_SOCKET_COMMANDS] = "commands of the socket unit are not run",
        [GROUP_RESTART] =
                "a server that is started on demand goes back to listening when it ends, in whatever way, and "
                "the next traffic starts it again",
        [GROUP_MANAGER] = "what the service manager does about a unit has no key here",
        [GROUP_DIRECTORIES] = "directories are not made; they have to be there, and be the user's, when the program "
                              "starts",
        [GROUP_SANDBOX] = "sandboxing has no keys here; it is the container's",
        [GROUP_RESOURCES] = "limits of control groups have no keys here; they are the container's",
        [GROUP_LOG] = "how the journal takes output has no key here",
        [GROUP_HELD] = "is so here in any case",
        [GROUP_INSTALL] = "the broker opens the sockets when it starts, and traffic starts the service",
        [GROUP_REPLACED] = "does not count, something later takes its place",
};

static const char *const group_keys[GROUP_N] = {
        [GROUP_RESTART] = "restart",
        [GROUP_ABOUT] = SHEET_HEAD,
        [GROUP_LOG] = "stderr",
        [GROUP_COMMANDS] = "command",
};

/* Of a server that starts with the broker. */
static const char *const booted_texts[GROUP_N] = {
        [GROUP_ORDER] = "the broker starts services in no order and without regard to others",
        [GROUP_RESTART] = "restart looks at whether a server has failed, and at nothing else",
        [GROUP_INSTALL] = "the broker opens the sockets when it starts",
};

static const char *group_text(const struct conversion *conv, int group) {
        bool booted = sheet_has(conv->out, "start");

        return booted && booted_texts[group] ? booted_texts[group] : group_texts[group];
}

void systemd_add_to_group(struct conversion *conv, enum systemd_group group, const struct unit_entry *entry) {
        struct group_line **p = &conv->groups[group];

        for (; *p; p = &(*p)->next)
                if (strcmp((*p)->entry->name, entry->name) == 0 && strcmp((*p)->entry->value, entry->value) == 0) {
                        (*p)->times++;
                        return;
                }
        *p = sheet_alloc(conv->sheet, sizeof(**p));
        if (*p)
                **p = (struct group_line){.entry = entry, .times = 1};
}

static bool is_first_of_name(const struct group_line *lines, const struct group_line *line) {
        for (; lines != line; lines = lines->next)
                if (strcmp(lines->entry->name, line->entry->name) == 0)
                        return false;
        return true;
}

/* "After=a, b; Wants=c (twice)". */
static void format_group(const struct group_line *lines, struct buf *out) {
        for (const struct group_line *line = lines; line; line = line->next) {
                const char *between = "=";

                if (!is_first_of_name(lines, line))
                        continue;
                buf_printf(out, "%s%s", out->size > 0 ? "; " : "", line->entry->name);
                for (const struct group_line *same = line; same; same = same->next) {
                        if (strcmp(same->entry->name, line->entry->name) != 0)
                                continue;
                        buf_printf(out, "%s%s", between, same->entry->value);
                        if (same->times > 1)
                                buf_printf(out, " (%u times)", same->times);
                        between = ", ";
                }
        }
}

void systemd_end_groups(struct conversion *conv) {
        for (int group = GROUP_NONE + 1; group < GROUP_N; group++) {
                AUTO(buf_deinit) struct buf text = BUF_NULL;
                const char *lines, *key = group_keys[group];

                if (!conv->groups[group])
                        continue;
                format_group(conv->groups[group], &text);
                lines = buf_text(&text);
                if (buf_failed(&text))
                        conv->sheet->failed = true;
                if (group < GROUP_HELD)
                        sheet_note(conv->out, key, &conv->groups[group]->entry->mark, "%s: %s", lines,
                                   group_text(conv, group));
                else if (group_text(conv, group))
                        sheet_remark(conv->out, key, "%s: %s", lines, group_text(conv, group));
                else
                        sheet_remark(conv->out, key, "%s", lines);
        }
}

void systemd_apply_group(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry) {
        systemd_add_to_group(conv, directive->group, entry);
}

void systemd_apply_note(struct conversion *conv, const struct directive *directive, const struct unit_entry *entry) {
        systemd_note(conv, directive->key, entry, "%s", directive->text);
}

void systemd_note(struct conversion *conv, const char *key, const struct unit_entry *entry, const char *format, ...) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        va_list args;

        va_start(args, format);
        buf_vprintf(&text, format, args);
        va_end(args);
        if (buf_failed(&text))
                conv->sheet->failed = true;
        sheet_note(conv->out, key, &entry->mark, "%s=%s: %s", entry->name, entry->value, buf_text(&text));
}

/* Whether a later line of the unit takes the one at I back. */
static bool is_replaced(const struct unit *unit, size_t i, enum directive_times times) {
        const struct unit_entry *entry = &unit->file.items[i];
        bool listen = strncmp(entry->name, "Listen", strlen("Listen")) == 0;

        for (size_t j = i + 1; times != DIRECTIVE_ALWAYS && j < unit->file.count; j++) {
                const struct unit_entry *later = &unit->file.items[j];
                bool same = strcmp(entry->name, later->name) == 0 ||
                            (listen && strncmp(later->name, "Listen", strlen("Listen")) == 0 && !later->value[0]);

                if (same && strcmp(entry->section, later->section) == 0 &&
                    (times == DIRECTIVE_ONCE || !later->value[0]))
                        return true;
        }
        return false;
}

/* A line that systemd would not know, or not in this section. */
static void take_unknown(struct conversion *conv, const struct unit_entry *entry) {
        if (strncmp(entry->section, "X-", 2) == 0)
                sheet_remark(conv->out, SHEET_HEAD, "[%s] %s=%s", entry->section, entry->name, entry->value);
        else if (strncmp(entry->name, "X-", 2) == 0)
                systemd_add_to_group(conv, GROUP_ABOUT, entry);
        else
                sheet_note(conv->out, SHEET_END, &entry->mark, "%s=%s: there is no such directive in [%s] of a %s unit",
                           entry->name, entry->value, entry->section, unitname_suffix(conv->unit->name) + 1);
}

static void take_entry(struct conversion *conv, const struct unit *unit, size_t i, struct effective *effective) {
        const struct unit_entry *entry = &unit->file.items[i];
        const struct directive *directive =
                systemd_find_directive(unitname_suffix(unit->name), entry->section, entry->name);

        if (!directive) {
                take_unknown(conv, entry);
                return;
        }
        if (is_replaced(unit, i, directive->times)) {
                systemd_add_to_group(conv, GROUP_REPLACED, entry);
                return;
        }
        if (entry->value[0] || directive->times == DIRECTIVE_LIST_SET)
                effective->items[effective->count++] = (struct effective_entry){directive, entry};
}

void systemd_look_at(struct conversion *conv, const struct unit *unit, struct effective *effective) {
        conv->unit = unit;
        conv->scope = (struct unitspec_scope){
                .name = unit->name,
                .path = unit->path,
                .user = unit->user,
                .per_connection = conv->accept && unit == conv->service,
                .keeps_instance = !conv->accept,
        };
        conv->effective = effective;
        if (effective->items)
                return;
        effective->items = sheet_alloc(conv->sheet, sizeof(*effective->items) * (unit->file.count + 1));
        for (size_t i = 0; effective->items && i < unit->file.count; i++)
                take_entry(conv, unit, i, effective);
}

void systemd_apply(struct conversion *conv) {
        for (size_t i = 0; i < conv->effective->count; i++) {
                const struct effective_entry *item = &conv->effective->items[i];

                if (item->directive->apply)
                        item->directive->apply(conv, item->directive, item->entry);
        }
}

const struct unit_entry *systemd_last(const struct effective *effective, const char *name) {
        for (size_t i = effective->count; i-- > 0;)
                if (strcmp(effective->items[i].directive->name, name) == 0)
                        return effective->items[i].entry;
        return NULL;
}

const struct unit_entry *systemd_next(const struct effective *effective, const char *name, size_t *i) {
        while (*i < effective->count) {
                const struct effective_entry *item = &effective->items[(*i)++];

                if (strcmp(item->directive->name, name) == 0)
                        return item->entry;
        }
        return NULL;
}

bool systemd_read_bool(struct conversion *conv, const struct effective *effective, const char *name, bool fallback) {
        const struct unit_entry *entry = systemd_last(effective, name);
        bool value = fallback;

        if (entry && !unitfile_read_bool(entry->value, &value))
                systemd_note(conv, SHEET_END, entry, "is not yes or no, so it means nothing");
        return value;
}

void systemd_hold_bool(struct conversion *conv, const struct unit_entry *entry) {
        bool value;

        if (unitfile_read_bool(entry->value, &value))
                systemd_add_to_group(conv, GROUP_HELD, entry);
}

usec_t systemd_read_duration(struct conversion *conv, const struct effective *effective, const char *name,
                             usec_t fallback) {
        const struct unit_entry *entry = systemd_last(effective, name);
        usec_t value = fallback;

        if (entry && !unitvalue_duration(entry->value, &value))
                systemd_note(conv, SHEET_END, entry, "is not a time span, so it means nothing");
        return value;
}

const char *systemd_expand(struct conversion *conv, const struct unit_entry *entry, const char *value) {
        AUTO(buf_deinit) struct buf text = BUF_NULL, why = BUF_NULL;
        bool machine = false;

        if (!strchr(value, '%'))
                return sheet_copy(conv->sheet, value);
        if (!unitspec_expand(&conv->scope, value, &text, &machine, &why)) {
                sheet_refuse(conv->out, &entry->mark, "%s=%s: %s", entry->name, entry->value, buf_text(&why));
                return sheet_copy(conv->sheet, value);
        }
        /* What a user's manager says is the user's, whoever asks; a name of the machine is another one elsewhere. */
        if (machine && conv->scope.user)
                sheet_remark(conv->out, SHEET_END, "%s=%s: '%s' for the user of the import", entry->name, entry->value,
                             buf_text(&text));
        else if (machine)
                systemd_note(conv, SHEET_END, entry, "'%s' is what it means on the machine of the import",
                             buf_text(&text));
        if (buf_failed(&text) || buf_failed(&why))
                conv->sheet->failed = true;
        return sheet_copy(conv->sheet, buf_text(&text));
}
