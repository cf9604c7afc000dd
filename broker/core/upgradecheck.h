/* The new binary is tried before the old one lets go: as a child that reads the state and makes all of it, with
 * stand-ins for the descriptors. It has a deadline, and nobody waits for it. Internal to ctl/upgrade. */
#pragma once

#include "base/buf.h"
#include "core/manager.h"

#include <stdbool.h>

#define UPGRADE_STATE_VARIABLE "BROKER_STATE_FD"
#define UPGRADE_VERB "check-state"
#define UPGRADE_TOKEN_MAX 33

/* What a child that could take over says, with the token of the state: no other program says that by chance. */
#define UPGRADE_ANSWER "broker-state-ok "

struct upgrade_check_order {
        const char *path;  /* of the binary */
        const char *argv0; /* what it is called */
        const char *token;
        int state_fd; /* borrowed until the call returns */
        /* Called once, not before the call has returned. WHY is "" with OK. */
        void (*done)(void *userdata, bool ok, const char *why);
        void *userdata;
};

struct upgrade_check;

/* Returns 0 with *RET, which the caller frees, in done() or later; or a negative errno. */
int upgrade_check_start(struct manager *manager, const struct upgrade_check_order *order, struct upgrade_check **ret);

/* Ends it where it is still under way; done() is not called then. NULL is fine; returns NULL. */
struct upgrade_check *upgrade_check_free(struct upgrade_check *check);
