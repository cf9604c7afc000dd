/* Lines on stderr, each written whole by one call, so that those of several processes do not mix. A reader that does
 * not read loses lines; it never holds us up. */
#pragma once

#include "base/defs.h"

/* What went wrong: "NAME: text", NAME being the one we were called by. */
void say_error(const char *format, ...) PRINTF_LIKE(1, 2);

/* What is going on, for --verbose and for systemd-socket-activate's users: the text alone. */
void say_note(const char *format, ...) PRINTF_LIKE(1, 2);
