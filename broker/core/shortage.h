/* Running out of something that others may give back: what it is, for the log. */
#pragma once

#include <stdbool.h>

/* Whether ERROR, a negative errno of accept(2), clone(2), pipe2(2) and the like, is one that passes. */
bool shortage_is(int error);

/* What ran out, and which limit that is: a noun phrase. */
const char *shortage_text(int error);
