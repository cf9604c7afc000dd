/* Messages to the supervisor that started us, by the protocol of sd_notify(3). Its own function would wait for a
 * supervisor that does not read, and all of us with it. */
#pragma once

#include "base/buf.h"

/* Sends MESSAGE, lines of NAME=VALUE, to the socket that NOTIFY_SOCKET names. What finds no room is lost, as it would
 * be on a supervisor that has died. Returns 0, also where there is no supervisor, or a negative errno. */
int notify_send(const struct buf *message);
