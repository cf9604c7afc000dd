/* What the log has of programs and connections: one line for each start and each end. */
#pragma once

#include "core/program.h"

void record_start(const struct program *program, const struct process *process);
void record_end(const struct program *program, const struct process_end *end);

/* The end of a connection without a process, or of what we see of it. */
void record_finish(const struct service *service, const struct connection *connection,
                   const struct handoff_finish *finish);
