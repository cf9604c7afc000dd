#include "proc/pidfd.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.9; the headers may be older. */
#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1U << 2)
#endif

static int send_signal(int pidfd, int signal, unsigned flags) {
        return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, flags) < 0 ? -errno : 0;
}

int pidfd_signal(int pidfd, int signal) {
        return send_signal(pidfd, signal, 0);
}

int pidfd_signal_group(int pidfd, int signal) {
        return send_signal(pidfd, signal, PIDFD_SIGNAL_PROCESS_GROUP);
}
