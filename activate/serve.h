/* activate --accept: one process per connection. */
#pragma once

#include "activate/options.h"

/* Serves until told to stop. Returns the exit status. */
int serve(const struct options *options);
