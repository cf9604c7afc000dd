/* Whether the broker can do what it is there for, as orchestrators ask. */
#pragma once

#include "base/buf.h"
#include "core/manager.h"

/* Whether everything serves: WHY gets "ok", or a line for each thing that does not. */
bool health_is_ready(struct manager *manager, struct buf *why);
