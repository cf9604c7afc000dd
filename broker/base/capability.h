/* Capabilities by name and number, and those this process has; over libcap. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* All there are, as a set. */
#define CAPABILITY_ALL UINT64_MAX

/* The set of one, by its number. */
#define CAPABILITY_BIT(number) ((uint64_t)1 << (number))

/* By name, with or without CAP_ in front, in any case. Returns 0 with the number; -ENOENT where libcap knows no such
 * name, with the nearest one that this kernel has in NEAREST, which stays empty when none is near; or -EOPNOTSUPP where
 * this kernel does not have it. */
int capability_find(const char *name, unsigned *ret, struct buf *nearest);

/* Adds the name, as docker compose writes it: NET_ADMIN. */
void capability_add_name(struct buf *out, unsigned number);

struct capability_sets {
        uint64_t bounding;
        uint64_t permitted;
        uint64_t effective;
        uint64_t inheritable;
        uint64_t ambient;
};

/* Those of this process. Returns 0 or a negative errno. */
int capability_get_own(struct capability_sets *ret);
