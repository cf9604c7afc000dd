/* What the key table says, for people: `broker explain`, and the key list of broker.yaml(5). */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

/* Writes what KEY means, its type, default and an example: `user`, `listen.backlog`, `services.web.user`,
 * `broker.log.level` are all understood. False when there is no such key; then RET_NEAREST names the nearest one, or is
 * NULL. */
bool explain_key(const char *key, struct buf *out, const char **ret_nearest);

/* Writes one line per key: its name and its one-line meaning, by section. */
void explain_all(struct buf *out);

/* Writes the same table as scdoc(5) source, for the manual. */
void explain_scdoc(struct buf *out);
