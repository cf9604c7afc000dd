/* Names of units: PREFIX.TYPE, PREFIX@INSTANCE.TYPE, and PREFIX@.TYPE for templates (systemd.unit(5)). */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

/* Whether NAME can be that of a unit, with a type from its last dot on. */
bool unitname_is_valid(const char *name);

/* The type with its dot, ".socket"; "" where there is none. Borrowed. */
const char *unitname_suffix(const char *name);

bool unitname_is_template(const char *name);
bool unitname_is_instance(const char *name);

/* Each writes its part to RET: what stands before the @ or the type; the instance, which may be ""; PREFIX@.TYPE of an
 * instance; the same name with another type; and PREFIX@INSTANCE.TYPE of a template. */
void unitname_prefix(const char *name, struct buf *ret);
void unitname_instance(const char *name, struct buf *ret);
void unitname_template(const char *name, struct buf *ret);
void unitname_with_suffix(const char *name, const char *suffix, struct buf *ret);
void unitname_fill(const char *name, const char *instance, struct buf *ret);

/* What PART of a name stands for: - is a slash, \xNN any byte. */
void unitname_unescape(const char *part, struct buf *ret);
