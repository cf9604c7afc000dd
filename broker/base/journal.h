/* The journal as the log's sink, by its native protocol (systemd's "Native Journal Protocol"). sd_journal_sendv(3)
 * would wait for a journal that does not read, and the whole broker with it. */
#pragma once

#include "base/log.h"

/* A log_send_fn. Fields become upper-case journal fields with the prefix BROKER_; PRIORITY is the syslog level. What
 * would do something to a terminal is escaped as in text: journalctl(1) would not show such values, or show them as
 * they are. -EAGAIN: the journal has no room for the line. Without a journal another negative errno: the log then is
 * text on stderr. */
int journal_write(enum log_level level, const char *message, const struct log_field *fields);
