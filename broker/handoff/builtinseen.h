/* Which clients are where they say they are: they have opened a connection, which takes answers to what was sent to
 * that address. Datagrams from there are not forged, or are at least none of a stranger's business. A table of fixed
 * size, in which one address may take the place of another: forgetting does no harm. */
#pragma once

#include "base/defs.h"
#include "net/prefix.h"

#include <stdbool.h>

struct builtinseen;

/* NULL when memory ran out. */
struct builtinseen *builtinseen_new(void);
struct builtinseen *builtinseen_free(struct builtinseen *seen);

void builtinseen_note(struct builtinseen *seen, const union sockaddr_any *peer, usec_t now);
bool builtinseen_has(const struct builtinseen *seen, const union sockaddr_any *peer, usec_t now);
