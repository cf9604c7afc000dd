/* Syslog as the log's sink: datagrams of RFC 3164 to /dev/log, as syslog(3) sends them. That function would wait for a
 * daemon that does not read, and the whole broker with it. */
#pragma once

#include "base/log.h"

#include <sys/types.h>
#include <time.h>

/* A log_send_fn. The line is what text has, under the tag broker[PID] and the facility daemon. -EAGAIN: the
 * daemon has no room for the line. Without one another negative errno: the log then is text on stderr, until there is
 * one. */
int syslog_write(enum log_level level, const char *message, const struct log_field *fields);

#define SYSLOG_SIZE_MAX 8192 /* of a line; what is longer is cut */

/* The datagram, for syslog_write() and its test. */
struct syslog_head {
        enum log_level level;
        time_t time;
        pid_t pid;
};
void syslog_format(struct buf *out, const struct syslog_head *head, const char *message,
                   const struct log_field *fields);
