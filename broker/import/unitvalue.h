/* Values of unit files as systemd reads them, where that is not how definitions are written. */
#pragma once

#include "base/defs.h"

#include <stdbool.h>

/* A time span (systemd.time(7)): "5min 20s", "1.5h", a number alone for seconds, infinity. */
bool unitvalue_duration(const char *text, usec_t *ret);

/* Bytes, with K, M, G, T, P and E as powers of 1024: "64K", "1.5G", "1G 512M". */
bool unitvalue_size(const char *text, uint64_t *ret);

/* A whole number within [MIN, MAX]; also hexadecimal and octal, as strtol(3) reads it. */
bool unitvalue_integer(const char *text, int64_t min, int64_t max, int64_t *ret);
