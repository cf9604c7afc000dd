/* Whether the broker can do what it is there for, as orchestrators and load balancers ask. */
#pragma once

#include "base/buf.h"
#include "core/manager.h"

/* Whether everything serves: WHY gets "ok", or a line for each thing that does not. */
bool health_is_ready(struct manager *manager, struct buf *why);

/* Whether SERVICE needs processes beside its sockets, workers or the server behind a proxy, and cannot keep them: WHY
 * gets how that shows. */
bool health_is_failing(const struct service *service, struct buf *why);

/* health_is_ready() in one line, of HEALTH_LINE_MAX bytes at most: "ok", or "failed: " and what does not serve. */
#define HEALTH_LINE_MAX 512
void health_say_line(struct manager *manager, struct buf *out);
