/* Processes that stand ready to become a program as soon as they get the connection it is to serve. A spare is started
 * as any program is, by launcher_start() and all it checks and gives away, but then runs a small program of our own
 * (proc/sparemain.c) in a memory of its own, which waits; so there is one path on which rights are given up.
 *
 * What depends on the connection is sent to it: the descriptor, variables and the client's address. */
#pragma once

#include "proc/launch.h"

#define SPARE_FDS_EXTRA 2 /* descriptors that a spare gets beside those of its program */
#define SPARE_SETTINGS_MAX 128

/* The program a spare runs first, which the broker carries in itself: a descriptor to execute, close-on-exec, or a
 * negative errno: -EOPNOTSUPP where there is none for the processor, or the system lets none be executed. */
int spare_open_image(void);

/* What a negative errno of making a spare means. */
const char *spare_error_text(int error);

/* A pair of connected sockets for the broker and a spare. Returns 0 or a negative errno, -EMFILE already while there
 * are some descriptors left: a spare is a convenience, and connections are not to run short of them because of it. */
int spare_open_link(int ends[2]);

/* Makes REQUEST, whose plan is that of the program and whose fds have something in every place that the connection is
 * to take, that of a spare. Its fds have room for SPARE_FDS_EXTRA more. */
struct spare_setup {
        const int *targets; /* what the connection becomes: 1 to 4 descriptors, of which the first is below 4 */
        size_t target_count;
        int image; /* of spare_open_image() */
        int link;  /* its end of a connected pair of SOCK_SEQPACKET sockets */
        struct launch_fd *fds;
        char settings[SPARE_SETTINGS_MAX]; /* filled in, and needed until it was started */
        char stand_ins[2][2];              /* likewise: what stands for the client's address and port */
};

/* Returns 0, or -E2BIG where the plan's words leave no byte that could stand for the address. */
int spare_make_request(struct spare_setup *setup, struct launch_request *request);

/* Gives it SOCKET, and what else REQUEST says of that connection. Returns 0; or a negative errno, when it has got
 * nothing: it is not there any more. */
int spare_send(int link, const struct launch_request *request, int socket);

/* Once the process has ended: whether it had its connection and never became the program, and why. */
bool spare_failure(int link, struct launch_failure *ret);

/* Whether the spare PID, a child that was not waited for, is stopped by a signal: whatever it is given has to wait. */
bool spare_is_stopped(pid_t pid);

/* Whether it cannot say any more that it has failed: it has become the program, or has ended. */
bool spare_is_over(int link);
