/* The socket that programs send their notify messages to (NOTIFY_SOCKET, sd_notify(3)). It is in the abstract
 * namespace, which programs in a root_dir see as well. Anybody in the network namespace can send to it: who did is
 * for the caller to judge, by what the kernel says about the sender (proc/kinship.h). */
#pragma once

#include "base/fd.h"
#include "net/notifymessage.h"

#define NOTIFYSOCKET_NAME_MAX 108
#define NOTIFYSOCKET_FDS_MAX 253 /* the kernel's SCM_MAX_FD */

struct notifysocket {
        int fd;                           /* close-on-exec, non-blocking */
        bool pidfds;                      /* the kernel says who sent a message by pidfd (Linux 6.5) */
        char name[NOTIFYSOCKET_NAME_MAX]; /* for NOTIFY_SOCKET: "@..." */
};

#define NOTIFYSOCKET_NULL ((struct notifysocket){.fd = -EBADF})

/* One message as it came in. Owns its descriptors. */
struct notification {
        struct notifymessage message;
        pid_t pid; /* the sender's, as we see it; 0: in a namespace that we do not see into */
        uid_t uid;
        int pidfd; /* of the sender; -EBADF: it has ended and was waited for */
        int fds[NOTIFYSOCKET_FDS_MAX];
        size_t fd_count;
};

enum notifysocket_outcome {
        NOTIFYSOCKET_NOTHING,   /* none is there */
        NOTIFYSOCKET_MESSAGE,   /* RET is one */
        NOTIFYSOCKET_TRUNCATED, /* longer than a message may be, or descriptors that found no room */
        NOTIFYSOCKET_ANONYMOUS, /* the kernel does not say whose it is */
        NOTIFYSOCKET_MALFORMED, /* no message by notifymessage_parse(), or a barrier without its one descriptor */
};

/* Opens one with a name that nobody has. Returns 0 or a negative errno. */
int notifysocket_open(struct notifysocket *ret);

/* Takes over one that notifysocket_open() made in another life of this process. OWN_FD is consumed. 0 or a negative
 * errno. */
int notifysocket_adopt(int own_fd, struct notifysocket *ret);

/* The caller has stopped watching it. */
void notifysocket_close(struct notifysocket *socket);

/* Takes the next message. Returns an outcome or a negative errno. RET is always written: of what was rejected,
 * only pid and uid count, and no descriptor is left open. It may come from anybody. A barrier
 * (NOTIFYMESSAGE_BARRIER) has exactly one descriptor: to close it is the answer, which is due whoever asks, after
 * everything before it was dealt with. */
int notifysocket_receive(struct notifysocket *socket, struct notification *ret);

/* Closes the descriptors that were not taken (take_fd()). */
void notification_deinit(struct notification *notification);
