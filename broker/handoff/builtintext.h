/* What built-ins say: times and characters, as their RFCs have it. */
#pragma once

#include "base/buf.h"
#include "base/defs.h"

#include <time.h>

/* RFC 867: the local time, as inetd writes it: "Sat Nov 21 17:13:55 2026" and the line's end. */
#define BUILTIN_DAYTIME_SIZE 26
void builtintext_daytime(time_t now, char out[BUILTIN_DAYTIME_SIZE + 1]);

/* RFC 868: the seconds since 1900, in network order; they begin anew in 2036. */
#define BUILTIN_TIME_SIZE 4
void builtintext_time(time_t now, char out[BUILTIN_TIME_SIZE]);

/* RFC 864: lines of 72 of the 95 printing characters, each beginning one character later; then it repeats. */
#define BUILTIN_PATTERN_SIZE (95 * 74)
void builtintext_pattern(char out[BUILTIN_PATTERN_SIZE]);
