#include "ctl/report.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/notify.h"

static void send_report(const struct buf *message) {
        int r = notify_send(message);

        if (r < 0)
                log_warning("the supervisor (NOTIFY_SOCKET) cannot be told: %s", err_text(r));
}

void report_ready(const struct manager *manager) {
        AUTO(buf_deinit) struct buf message = BUF_NULL;

        buf_printf(&message, "READY=1\nSTATUS=%zu service%s", manager->service_count,
                   manager->service_count == 1 ? "" : "s");
        send_report(&message);
}

void report_reloading(const char *status) {
        AUTO(buf_deinit) struct buf message = BUF_NULL;

        buf_printf(&message, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=%s", (unsigned long long)clock_monotonic(),
                   status);
        send_report(&message);
}

enum reload_outcome report_reload(struct manager *manager, const struct strlist *paths, struct reload_report *ret) {
        enum reload_outcome outcome;

        report_reloading("Reading definitions");
        outcome = reload_from(manager, paths, ret);
        report_ready(manager);
        return outcome;
}

void report_stopping(void *userdata UNUSED) {
        AUTO(buf_deinit) struct buf message = BUF_NULL;

        buf_add_string(&message, "STOPPING=1\nSTATUS=Waiting for processes to end");
        send_report(&message);
}
