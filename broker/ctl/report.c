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

        buf_printf(&message, "READY=1\nSTATUS=%zu services", manager->service_count);
        send_report(&message);
}

void report_reloading(void) {
        AUTO(buf_deinit) struct buf message = BUF_NULL;

        buf_printf(&message, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reading definitions",
                   (unsigned long long)clock_monotonic());
        send_report(&message);
}

void report_stopping(void *userdata UNUSED) {
        AUTO(buf_deinit) struct buf message = BUF_NULL;

        buf_add_string(&message, "STOPPING=1\nSTATUS=Waiting for processes to end");
        send_report(&message);
}
