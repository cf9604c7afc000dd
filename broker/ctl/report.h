/* What the broker tells whoever supervises it (sd_notify(3)): systemd, podman --sdnotify=container, another broker. */
#pragma once

#include "core/manager.h"
#include "core/reload.h"

/* Everything is bound: READY=1 and a STATUS line. Also after a reload. */
void report_ready(const struct manager *manager);

/* RELOADING=1 with the time that the protocol wants, and a STATUS line. READY=1 is to follow. */
void report_reloading(const char *status);

/* Reads PATHS again, as reload_from(), with RELOADING=1 before and READY=1 after it. */
enum reload_outcome report_reload(struct manager *manager, const struct strlist *paths, struct reload_report *ret);

/* STOPPING=1. */
void report_stopping(void *userdata);
