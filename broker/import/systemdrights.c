/* Capabilities, and what goes with them. In systemd the bounding set says what a program can have and the ambient
 * set what it has from the start; our cap_add is both of a user who is not root. */
#include "base/capability.h"
#include "import/systemd.h"
#include "import/unitword.h"

#include <linux/capability.h>

#define ALL_KNOWN ((CAPABILITY_BIT(CAP_LAST_CAP) << 1) - 1)

struct rights {
        bool is_bounded;
        uint64_t bounding;
        uint64_t ambient;
};

static uint64_t read_names(struct conversion *conv, const struct unit_entry *entry, const char *value) {
        AUTO(buf_deinit) struct buf word = BUF_NULL;
        uint64_t set = 0;

        while (unitword_next(&value, &word) < UNITWORD_END) {
                AUTO(buf_deinit) struct buf nearest = BUF_NULL;
                unsigned number;
                int r = capability_find(buf_text(&word), &number, &nearest);

                if (r < 0)
                        systemd_note(conv, "cap_add", entry, "there is no capability '%s'", buf_text(&word));
                else
                        set |= CAPABILITY_BIT(number);
        }
        return set;
}

/* A line adds to what those before have said; with ~ it takes away. The first one of all starts from ALL with ~. */
static uint64_t read_set(struct conversion *conv, const char *name, bool *ret_any) {
        const struct unit_entry *entry;
        uint64_t set = 0;

        *ret_any = false;
        for (size_t i = 0; (entry = systemd_next(&conv->service_effective, name, &i));) {
                bool inverted = entry->value[0] == '~';
                uint64_t named = read_names(conv, entry, entry->value + inverted);

                if (!*ret_any || named == 0)
                        set = inverted ? ALL_KNOWN & ~named : named;
                else
                        set = inverted ? set & ~named : set | named;
                *ret_any = true;
        }
        return set;
}

static void append_names(struct conversion *conv, const char *key, uint64_t set) {
        for (unsigned number = 0; number <= CAP_LAST_CAP; number++) {
                AUTO(buf_deinit) struct buf name = BUF_NULL;

                if (!(set & CAPABILITY_BIT(number)))
                        continue;
                capability_add_name(&name, number);
                sheet_append(conv->out, key, buf_text(&name));
        }
}

static bool runs_as_root(const struct conversion *conv) {
        const struct unit_entry *user = systemd_last(&conv->service_effective, "User");

        if (!user)
                return !sheet_has(conv->out, "user"); /* nobody, for DynamicUser */
        return strcmp(user->value, "root") == 0 || strcmp(user->value, "0") == 0;
}

/* What is left of the bounding set is either all that is added again, or what is not taken away; the shorter is
 * written. Who is not root and cannot gain privileges by exec has nothing of it but the ambient set. */
static void write_bounding(struct conversion *conv, const struct rights *rights, bool root) {
        uint64_t dropped = ALL_KNOWN & ~rights->bounding;
        uint64_t added = root ? rights->bounding : rights->ambient;
        bool is_same = rights->bounding == added || (!root && sheet_has(conv->out, "no_new_privileges"));

        if (is_same && __builtin_popcountll(dropped) > __builtin_popcountll(added)) {
                sheet_raw(conv->out, "cap_drop", "ALL");
                if (root)
                        append_names(conv, "cap_add", added);
        } else {
                append_names(conv, "cap_drop", dropped);
        }
}

void systemd_convert_rights(struct conversion *conv, const char *privileged) {
        const struct unit_entry *entry = systemd_last(&conv->service_effective, "NoNewPrivileges");
        const struct unit_entry *bounding = systemd_last(&conv->service_effective, "CapabilityBoundingSet");
        const struct unit_entry *ambient = systemd_last(&conv->service_effective, "AmbientCapabilities");
        bool root = runs_as_root(conv) || privileged, full = privileged && privileged[0] == '+', any;
        struct rights rights = {0};

        if (entry && !systemd_read_bool(conv, &conv->service_effective, "NoNewPrivileges", false))
                systemd_hold_bool(conv, entry);
        else if (entry && full)
                systemd_note(conv, "no_new_privileges", entry, "does not count for a program with + in front");
        else if (entry)
                sheet_raw(conv->out, "no_new_privileges", "yes");
        rights.bounding = read_set(conv, "CapabilityBoundingSet", &rights.is_bounded);
        rights.ambient = read_set(conv, "AmbientCapabilities", &any);
        if (full) {
                if (bounding)
                        systemd_note(conv, "cap_drop", bounding, "does not count for a program with + in front");
                rights.is_bounded = false;
        }
        if (rights.is_bounded)
                write_bounding(conv, &rights, root);
        if (root && ambient)
                systemd_add_to_group(conv, GROUP_HELD, ambient);
        else
                append_names(conv, "cap_add", rights.ambient);
}
