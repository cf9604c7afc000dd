/* The journal as the log's sink (sd_journal_sendv(3)). Apart from base/log, so that programs that never log there do
 * not load libsystemd. */
#pragma once

#include "base/log.h"

/* A log_journal_fn. Fields become upper-case journal fields with the prefix BROKER_; PRIORITY is the syslog level. */
int journal_write(enum log_level level, const char *message, const struct log_field *fields);
