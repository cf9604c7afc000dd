/* From a definition to a launch plan: identity, words and limits resolved, so that a start looks nothing up. */
#pragma once

#include "conf/servicedef.h"
#include "proc/plan.h"

/* What all plans have in common; made once when the broker starts. */
struct planmake_base {
        struct strlist environment; /* the broker's own, less what no program is to see */
        struct rlimit nofile;       /* RLIMIT_NOFILE as it was before the broker raised its own */
        bool nofile_raised;
        bool has_ambient; /* the broker has capabilities that programs would get with it (capabilities(7)) */
};

#define PLANMAKE_BASE_NULL ((struct planmake_base){0})

/* Copies what is needed out of the broker's environment, and raises its limit of open files as far as it may. Returns 0
 * or -ENOMEM. */
int planmake_base_init(struct planmake_base *ret);
void planmake_base_deinit(struct planmake_base *base);

/* What was found out for a plan before the broker was upgraded. */
struct planmake_kept {
        struct creds *creds; /* taken over by the plan */
        char *path;          /* of the program, taken over likewise; NULL: it was not found */
        int notify_fd;       /* of its notify socket, likewise, for core/program; -EBADF: it had none */
};

struct planmake_request {
        const struct planmake_base *base; /* outlives the plan */
        const struct service_def *def;
        const char *const *fd_names; /* of the sockets, in their order */
        size_t fd_count;
        const char *notify_socket;  /* for NOTIFY_SOCKET; NULL: there is none */
        struct planmake_kept *kept; /* NULL: ask */
};

/* Makes the plan of REQUEST. What is wrong with the definition goes to DIAG: then -EINVAL. Otherwise 0 or -ENOMEM. A
 * program that does not exist is a warning: plan->path stays NULL. */
int planmake(const struct planmake_request *request, struct launch_plan *ret, struct diag *diag);

/* Adds what LISTEN_FDNAMES says of the sockets. */
void planmake_add_fd_names(const struct planmake_request *request, struct buf *out);

/* Looks for the program again. Returns 0 with plan->path set, or a negative errno of plan_find_program(). */
int planmake_find_program(struct launch_plan *plan);
