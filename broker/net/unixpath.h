/* The file-system side of AF_UNIX sockets and FIFOs: directories, stale paths, owner and mode, symlinks. */
#pragma once

#include "base/buf.h"
#include "net/addr.h"
#include "net/options.h"

/* Makes the directories above PATH that are missing. 0 or a negative errno, told in WHY. */
int unixpath_make_parents(const char *path, mode_t mode, struct buf *why);

/* Removes the socket at ADDR's path if nobody listens on it any more. 0 when the path is free afterwards; -EADDRINUSE
 * when it is in use or no socket, told in WHY; or another negative errno. */
int unixpath_clear(const struct addr *addr, struct buf *why);

/* Whom a path or a message queue shall belong to; (uid_t)-1 and (gid_t)-1 where nothing was said. 0 or a negative
 * errno, told in WHY. */
int unixpath_find_owner(const struct listen_options *options, uid_t *ret_uid, gid_t *ret_gid, struct buf *why);

/* Gives PATH, a socket or FIFO, its owner, group and mode. 0; -EEXIST when something else is there by now; or another
 * negative errno; told in WHY. */
int unixpath_set_access(const char *path, const struct listen_options *options, struct buf *why);

/* Removes those of LINKS that point to PATH: by now one may point elsewhere. */
void unixpath_unlink_links(const char *path, const struct strlist *links);

/* Makes those of LINKS that are not there point to PATH again. */
void unixpath_restore_links(const char *path, const struct strlist *links);

/* Makes the symlinks of OPTIONS point to PATH, in place of symlinks of the same name. */
int unixpath_link(const char *path, const struct listen_options *options, struct buf *why);
