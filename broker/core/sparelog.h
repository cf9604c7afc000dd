/* What the log says of processes that were kept ready: as struct handoff_events calls it, with the program. */
#pragma once

#include "handoff/handoff.h"

void sparelog_ended(void *userdata, struct handoff *handoff, const struct process_end *end);
void sparelog_failed(void *userdata, struct handoff *handoff, int error);
