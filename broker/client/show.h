/* The three ways of showing what the broker has answered. Internal to client/. */
#pragma once

#include "base/buf.h"
#include "client/terminal.h"
#include "client/view.h"

/* One line for each service, and their sums. */
void show_table(const struct view *view, const struct terminal *terminal, struct buf *out);

/* Everything about one service and its workers. */
void show_detail(const struct view *view, const struct terminal *terminal, struct buf *out);

/* An object with the list of services. COMPACT: on one line. */
void show_json(const struct view *view, bool compact, struct buf *out);

/* How the state of a service is to look. */
enum terminal_colour show_state_colour(const char *state);
