/* Whether a connection is let in: what its definition says about where it comes from, who it is, when it comes and how
 * many there are already. */
#pragma once

#include "core/limits.h"
#include "core/refusal.h"

#include <stdbool.h>

struct access;
struct service;

/* What admission keeps of a service between connections. */
struct admission {
        struct access *access; /* owned; NULL where the definition says nothing about it */
        struct limits limits;
};

/* Whether uid or gid, either of them, names the AF_UNIX peer, who is the one that connected as long as no header was
 * read. True for others, and where the definition names nobody. */
bool admission_knows_user(const struct service *service, const struct connection *connection);

/* Whether CONNECTION may come in at all: asks everything that says nothing about how many. */
enum refusal admission_check(struct service *service, const struct connection *connection);

/* After that, gives it its place and its ticket. Returns 0 with REFUSAL_NONE or the limit that was reached in *RET and
 * nothing taken beside what it had; or -ENOMEM. */
int admission_take(struct service *service, struct connection *connection, enum refusal *ret);

/* The same for a datagram, which has no place: the limit that it goes beyond, or REFUSAL_NONE. */
enum refusal admission_take_datagram(struct service *service);

/* Where clients wait rather than are refused (when_full: wait): the limit that keeps the next one in the backlog, or
 * REFUSAL_NONE. */
enum refusal admission_holds_back(struct service *service);

/* Notes that CONNECTION has touched a sensor. Returns 0 or -ENOMEM. */
int admission_touch_sensor(struct service *service, const struct connection *connection);
