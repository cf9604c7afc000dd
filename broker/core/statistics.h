/* What the broker is doing, as lines in its log. */
#pragma once

struct manager;

/* One line for each service, for SIGUSR1. */
void statistics_log(struct manager *manager);

/* One for each process, for SIGUSR2. */
void statistics_log_processes(struct manager *manager);
