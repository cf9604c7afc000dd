/* Strict readers of numbers as people write them in definitions and on command lines, and their way back to text.
 * A reader takes the whole string or nothing: 0, -EINVAL (not one), or -ERANGE (one, but out of bounds). */
#pragma once

#include "base/buf.h"
#include "base/defs.h"
#include "base/rate.h"

#include <stdbool.h>
#include <sys/types.h>

/* A decimal integer within [MIN, MAX]; a sign only in front, no blanks, no leading zeros. */
int number_parse(const char *text, int64_t min, int64_t max, int64_t *ret);

/* The same, alone on the first line of the file at PATH, as the kernel shows its settings; -errno where it cannot be
 * read. */
int number_read_file(const char *path, int64_t min, int64_t max, int64_t *ret);

/* yes/no/true/false/on/off, in any of YAML's three spellings of case. */
int number_parse_bool(const char *text, bool *ret);

/* Bytes: a plain number, or with K, M, G, T (powers of 1024). */
int number_parse_size(const char *text, uint64_t *ret);

/* A duration: 500ms, 30s, 5min, 1h, 2d, 1h30min, a plain number for seconds (2.5 allowed), infinity. */
int number_parse_duration(const char *text, usec_t *ret);

/* N/DURATION, as in 20/2s, or `unlimited`. */
int number_parse_rate(const char *text, struct rate_limit *ret);

/* An octal mode of up to four digits, as in 0660 or 022. */
int number_parse_mode(const char *text, mode_t *ret);

/* A signal: TERM, SIGTERM, SIGRTMIN+3, or its number. */
int number_parse_signal(const char *text, int *ret);

/* The inverse: the shortest text that reads back as the same value. */
void number_add_size(struct buf *buf, uint64_t value);
void number_add_duration(struct buf *buf, usec_t value);
void number_add_rate(struct buf *buf, const struct rate_limit *value);
void number_add_signal(struct buf *buf, int value);
