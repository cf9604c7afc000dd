/* What a client gets to read from the broker itself (banner, banner_success, banner_fail), and a farewell that lets it
 * read that to the end. */
#pragma once

#include "conf/servicedef.h"
#include "core/waitlist.h"

#include <stdbool.h>

struct manager;

/* Sends BANNER, which may be NULL, as far as the socket takes it at once: it is at most as long as the smallest send
 * buffer. Returns whether there was something to send. */
bool banner_send(const struct connection *connection, const struct banner_def *banner);

/* The same for a text of our own. Returns true. */
bool banner_say(const struct connection *connection, const char *text);

/* Ends OWN_CONNECTION after the last words: closing a socket with unread data resets it, and the client's end may then
 * throw away what it has not read. So it is closed when the client has closed, a little later otherwise, and at once
 * where too many are parting already. */
void banner_part(struct manager *manager, struct connection *own_connection);

/* Prepares LIST for connections that are parting. */
void banner_partings_init(struct waitlist *list);
