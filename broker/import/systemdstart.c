/* When a server is started: by its traffic, or with the broker, and again when it has ended. */
#include "import/systemd.h"
#include "import/unitname.h"
#include "import/unitword.h"

/* Targets that a machine does not reach whenever it boots. */
static bool is_reached_later(const char *target) {
        static const char *const names[] = {
                "sockets.target",    "printer.target",      "bluetooth.target",   "sound.target", "smartcard.target",
                "usb-gadget.target", "rescue.target",       "emergency.target",   "sleep.target", "suspend.target",
                "hibernate.target",  "hybrid-sleep.target", "umount.target",      "final.target", "shutdown.target",
                "reboot.target",     "poweroff.target",     "soft-reboot.target", "halt.target",  "kexec.target",
                "exit.target",       "system-update.target"};

        for (size_t i = 0; i < LENGTH_OF(names); i++)
                if (strcmp(target, names[i]) == 0)
                        return true;
        return false;
}

static bool is_for_boot(const struct unit_entry *entry) {
        AUTO(buf_deinit) struct buf word = BUF_NULL;
        const char *p = entry->value;

        while (unitword_next(&p, &word) < UNITWORD_END)
                if (strcmp(unitname_suffix(buf_text(&word)), ".target") == 0 && !is_reached_later(buf_text(&word)))
                        return true;
        return false;
}

/* The service's own [Install]. Whether somebody enabled it is a matter of links elsewhere. */
static void convert_install(struct conversion *conv, const struct effective *service) {
        static const char *const names[] = {"WantedBy", "RequiredBy", "UpheldBy"};
        const struct unit_entry *entry;

        for (size_t name = 0; name < LENGTH_OF(names); name++)
                for (size_t i = 0; (entry = systemd_next(service, names[name], &i));) {
                        if (conv->accept || !is_for_boot(entry)) {
                                systemd_add_to_group(conv, GROUP_INSTALL, entry);
                                continue;
                        }
                        sheet_raw(conv->out, "start", "boot");
                        sheet_remark(conv->out, "start", "%s=%s: where the socket alone is enabled, leave this out",
                                     entry->name, entry->value);
                }
}

/* There is no restart that looks at how a server has failed. */
static void convert_booted(struct conversion *conv, const struct unit_entry *restart) {
        const char *value = restart->value;

        if (strcmp(value, "no") == 0) {
                systemd_add_to_group(conv, GROUP_HELD, restart);
        } else if (strcmp(value, "always") == 0 || strcmp(value, "on-failure") == 0) {
                sheet_raw(conv->out, "restart", "%s", value);
        } else if (strcmp(value, "on-abnormal") == 0 || strcmp(value, "on-abort") == 0 ||
                   strcmp(value, "on-watchdog") == 0) {
                sheet_raw(conv->out, "restart", "on-failure");
                systemd_note(conv, "restart", restart, "here after an exit status other than 0, too");
        } else if (strcmp(value, "on-success") == 0) {
                systemd_note(conv, "restart", restart, "here the next traffic starts it again");
        } else {
                systemd_note(conv, "restart", restart, "is no kind of restart, so it means nothing");
        }
}

void systemd_convert_start(struct conversion *conv) {
        const struct effective *service = &conv->service_effective;
        const struct unit_entry *restart = systemd_last(service, "Restart");

        convert_install(conv, service);
        if (restart && sheet_has(conv->out, "start"))
                convert_booted(conv, restart);
        else if (restart)
                systemd_add_to_group(conv, strcmp(restart->value, "no") == 0 ? GROUP_HELD : GROUP_RESTART, restart);
}
