#include "net/unixpath.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int path_failed(const char *what, const char *path, struct buf *why) {
        int r = -errno;

        buf_printf(why, "cannot %s %s: %s", what, path, err_text(r));
        return err_raise(r);
}

int unixpath_make_parents(const char *path, mode_t mode, struct buf *why) {
        char partial[PATH_MAX];
        mode_t saved;
        int r;

        if (strlen(path) >= sizeof(partial))
                return err_raise(-ENAMETOOLONG);
        strcpy(partial, path);
        for (char *slash = strchr(partial + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                saved = umask(0);
                r = mkdir(partial, mode);
                umask(saved);
                if (r < 0 && errno != EEXIST)
                        return path_failed("make the directory", partial, why);
                *slash = '/';
        }
        return 0;
}

/* Asks the socket at ADDR itself. A datagram socket that is alive accepts connect(2) as well. */
static bool is_alive(const struct addr *addr) {
        AUTO(fd_closep) int fd = socket(AF_UNIX, addr->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                return true;
        /* EAGAIN: its backlog is full. EPROTOTYPE: it is of another type. Both are alive. */
        return connect(fd, &addr->sockaddr.sa, addr->size) == 0 || (errno != ECONNREFUSED && errno != ENOENT);
}

int unixpath_clear(const struct addr *addr, struct buf *why) {
        const char *path = addr->sockaddr.un.sun_path;
        struct stat st;

        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : path_failed("look at", path, why);
        if (!S_ISSOCK(st.st_mode)) {
                buf_printf(why, "cannot bind %s: it exists and is not a socket", path);
                return err_raise(-EADDRINUSE);
        }
        if (is_alive(addr)) {
                buf_printf(why, "cannot bind %s: another program listens on it", path);
                return err_raise(-EADDRINUSE);
        }
        if (unlink(path) < 0 && errno != ENOENT)
                return path_failed("replace", path, why);
        return 0;
}

int unixpath_find_owner(const struct listen_options *options, uid_t *ret_uid, gid_t *ret_gid, struct buf *why) {
        uid_t uid = (uid_t)-1;
        gid_t gid = (gid_t)-1;

        if (options->socket_user && ids_find_user(options->socket_user, &uid) < 0) {
                buf_printf(why, "names the socket_user '%s', who does not exist", options->socket_user);
                return err_raise(-ENOENT);
        }
        if (options->socket_group && ids_find_group(options->socket_group, &gid) < 0) {
                buf_printf(why, "names the socket_group '%s', which does not exist", options->socket_group);
                return err_raise(-ENOENT);
        }
        *ret_uid = uid;
        *ret_gid = gid;
        return 0;
}

/* What FD, opened with O_PATH, stands for. fchmod(2) refuses such a descriptor; its name in /proc is followed to the
 * file itself. */
static int set_mode(int fd, mode_t mode) {
        char name[sizeof("/proc/self/fd/") + 3 * sizeof(fd)];

#ifdef SYS_fchmodat2
        if (syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH) == 0)
                return 0;
        if (errno != ENOSYS && errno != EPERM)
                return -1;
#endif
        snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        return chmod(name, mode);
}

/* By a descriptor, and only if it is what we make: in a directory of others the name may be a symlink, or another
 * file, by now. */
int unixpath_set_access(const char *path, const struct listen_options *options, struct buf *why) {
        AUTO(fd_closep) int fd = -EBADF;
        struct stat st;
        uid_t uid;
        gid_t gid;
        int r = unixpath_find_owner(options, &uid, &gid, why);

        if (r < 0)
                return r;
        fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return path_failed("find", path, why);
        if (!S_ISSOCK(st.st_mode) && !S_ISFIFO(st.st_mode)) {
                buf_printf(why, "its path %s is another program's by now", path);
                return err_raise(-EEXIST);
        }
        /* The owner first: the mode is 0 until the right ones can use it. */
        if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
                return path_failed("change the owner of", path, why);
        if (set_mode(fd, options->socket_mode) < 0)
                return path_failed("set the mode of", path, why);
        return 0;
}

int unixpath_link(const char *path, const struct listen_options *options, struct buf *why) {
        for (size_t i = 0; i < options->symlinks.count; i++) {
                const char *name = options->symlinks.items[i];
                struct stat st;
                int r = unixpath_make_parents(name, options->directory_mode, why);

                if (r < 0)
                        return r;
                if (lstat(name, &st) == 0 && S_ISLNK(st.st_mode))
                        unlink(name);
                if (symlink(path, name) < 0)
                        return path_failed("make the symlink", name, why);
        }
        return 0;
}

void unixpath_unlink_links(const char *path, const struct strlist *links) {
        char target[PATH_MAX];

        for (size_t i = 0; i < links->count; i++) {
                ssize_t n = readlink(links->items[i], target, sizeof(target) - 1);

                if (n < 0)
                        continue;
                target[n] = '\0';
                if (strcmp(target, path) == 0)
                        unlink(links->items[i]);
        }
}

void unixpath_restore_links(const char *path, const struct strlist *links) {
        for (size_t i = 0; i < links->count; i++)
                if (symlink(path, links->items[i]) < 0)
                        continue; /* another has taken its place, or its directory is gone */
}
