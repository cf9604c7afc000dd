/* What the broker tells whoever supervises it (sd_notify(3)): systemd, podman --sdnotify=container, another broker. */
#pragma once

#include "core/manager.h"

/* Everything is bound: READY=1 and a STATUS line. Also after a reload. */
void report_ready(const struct manager *manager);

/* RELOADING=1 with the time the protocol wants. */
void report_reloading(void);

/* STOPPING=1. */
void report_stopping(void *userdata);
