/* One process that is ready before its connection comes: all that a pool of them (spares.c) needs to know. Here it is
 * everything up to exec; whatever else can be kept ready answers the same questions. */
#pragma once

#include "handoff/handoff.h"

/* Starts one for HANDOFF's service. ORDER says who hears of its end; its request is not looked at. Returns 0 or a
 * negative errno; -EMFILE already while the broker itself still has some descriptors. */
int spare_start(struct handoff *handoff, const struct process_order *order, struct process **ret);

/* Whether a connection that it was given now would not wait. */
bool spare_is_ready(const struct process *process);

/* Whether one that is ready would keep a connection waiting all the same, since its user has stopped it. */
bool spare_is_stuck(const struct process *process);

/* Gives it CONNECTION, the descriptor of which stays the caller's to close. Returns 0, or a negative errno where it has
 * not got it. */
int spare_give(struct process *process, struct connection *connection);

/* Has a look at one that has got its connection: what nobody needs to know any more is closed. Returns false where it
 * is too early for that. */
bool spare_settle(struct process *process);
