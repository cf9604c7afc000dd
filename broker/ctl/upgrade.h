/* `broker upgrade`: the running broker becomes the binary on disk, in the same process. First a child, the new
 * binary as `broker check-state`, says whether it can take over what we have; only then we are replaced, by
 * execve(2). Until that moment nothing was let go, and whatever fails leaves the broker as it was.
 *
 * The state (core/state.h) is found by an environment variable, which no program gets to see. */
#pragma once

#include "core/manager.h"

#include <stdbool.h>

struct upgrade;

/* The binary to become is that at the path by which this one was started, as it will be then. ARGV, the broker's
 * own, is borrowed. Returns 0 with *RET, or a negative errno. */
int upgrade_new(struct manager *manager, char **argv, struct upgrade **ret);
struct upgrade *upgrade_free(struct upgrade *upgrade);

static inline void upgrade_freep(struct upgrade **upgrade) {
        *upgrade = upgrade_free(*upgrade);
}

enum upgrade_outcome {
        UPGRADE_REFUSED, /* nothing has changed, for the reason given */
        UPGRADE_BEGINS,  /* the new binary takes over as soon as this returns: what is to be said has to be said now */
        UPGRADE_FAILED,  /* after that: it could not be executed all the same, and the old one goes on */
};

typedef void upgrade_done_fn(void *userdata, enum upgrade_outcome outcome, const char *why);

bool upgrade_is_under_way(const struct upgrade *upgrade);

/* Begins, when none is under way. DONE will be called, perhaps before this returns. */
void upgrade_begin(struct upgrade *upgrade, upgrade_done_fn *done, void *userdata);

/* Whoever asked is gone: DONE, known by USERDATA, is not called any more. The upgrade goes on. */
void upgrade_forget(struct upgrade *upgrade, const void *userdata);

/* How often this process has been upgraded. */
unsigned upgrade_count(const struct upgrade *upgrade);

/* The state that another binary has left us, as the environment says, which is cleaned of it; -EBADF: none. For the
 * first lines of main(): every descriptor but those of stdio is close-on-exec afterwards. */
int upgrade_find_state(void);

/* Makes MANAGER, which is new but for its companions, what the state in OWN_FD says. Returns 0; or -EINVAL with a
 * sentence in WHY. */
int upgrade_take_over(struct manager *manager, struct upgrade *upgrade, int own_fd, struct buf *why);
void upgrade_set_count(struct upgrade *upgrade, unsigned count);

/* Its own part of `broker check-state`: tries that without descriptors, and says what came of it in the way that
 * upgrade_begin() reads. MANAGER is new and cannot be used any more. UNDERSTANDS: whether a broker could be run with
 * these arguments. Returns the exit status. */
int upgrade_check(struct manager *manager, int own_fd, bool (*understands)(int argc, char **argv));
