/* What units are on the disk, beside what stands in them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Whether there is a file or a link of that name, wherever the link may lead. */
bool unitdisk_exists(const char *path);

/* The last part of where the link at PATH leads to, in TARGET, terminated. False where it is no link. */
bool unitdisk_read_link(const char *path, char *target, size_t room);

/* Whether it is an empty file or leads to /dev/null, which takes away what stands elsewhere under the same name. */
bool unitdisk_is_mask(const char *path);
