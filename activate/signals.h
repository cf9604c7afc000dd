/* Signals: read from a descriptor while we wait, default and unblocked for every program. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/* Blocks the signals we read, and SIGPIPE, so that a broken pipe is an errno. Read are SIGTERM, and SIGINT and SIGHUP
 * unless they were ignored (nohup(1), a shell's background job). With CHILDREN, SIGCHLD is read too, and what we
 * inherited as ignored is default from now on. Comes before anything that a signal must not leave half done; *RET says
 * which they are. */
void signals_block(bool children, sigset_t *ret);

/* The descriptor that delivers them, or a negative errno. */
int signals_open(const sigset_t *watched);

/* More than can be pending at a time. */
#define SIGNALS_MAX 8

/* Takes the signals that have arrived, all by one read. Returns how many. */
size_t signals_read(int fd, int out[SIGNALS_MAX]);

/* What programs start with: nothing blocked, nothing ignored. A SIGPIPE of ours that is pending goes. */
void signals_unblock(void);

/* Ends this process by SIGNAL, as whoever waits for it expects. The first process of a container cannot do that: it
 * ends with the status a shell would show. */
_Noreturn void signals_die(int signal);
