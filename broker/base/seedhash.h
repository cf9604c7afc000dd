/* A hash for keys that strangers choose: it depends on a secret of this process, so that nobody outside can find keys
 * that collide. Not for anything that leaves the process. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t seedhash(const void *data, size_t size);
