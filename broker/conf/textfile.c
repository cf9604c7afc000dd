#include "conf/textfile.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A sticky directory is open to all, but nobody can replace other people's files there. */
static bool is_trusted(const struct stat *st, struct buf *why) {
        if (geteuid() != 0)
                return true;
        if ((st->st_mode & S_IWOTH) && !(S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX))) {
                buf_printf(why,
                           "is refused, since everybody can write to it (mode %04o); root takes orders from "
                           "files that only their owner or group can change: chmod o-w",
                           st->st_mode & 07777u);
                return false;
        }
        if (st->st_uid != 0) {
                buf_printf(why,
                           "is refused, since it belongs to user %u; root takes orders from root's files only: "
                           "chown root",
                           st->st_uid);
                return false;
        }
        return true;
}

static int failed(const char *what, struct buf *why) {
        int r = -errno;

        buf_printf(why, "cannot be %s: %s", what, err_text(r));
        return err_raise(r);
}

static int read_all(int fd, size_t limit, struct buf *ret, struct buf *why) {
        char piece[16384];
        ssize_t n;

        while ((n = read(fd, piece, sizeof(piece))) > 0) {
                buf_add(ret, piece, (size_t)n);
                if (ret->size > limit) {
                        buf_printf(why, "is larger than %zu bytes", limit);
                        return err_raise(-EFBIG);
                }
        }
        if (n < 0)
                return failed("read", why);
        if (buf_failed(ret)) {
                buf_add_string(why, "cannot be read: out of memory");
                return err_raise(-ENOMEM);
        }
        return 0;
}

int textfile_read(const char *path, size_t limit, struct buf *ret, struct buf *why) {
        /* O_NONBLOCK for the sake of FIFOs, which would keep us waiting for a writer. */
        AUTO(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return failed("read", why);
        if (!S_ISREG(st.st_mode)) {
                buf_add_string(why, "is not a regular file");
                return err_raise(-EINVAL);
        }
        if (!is_trusted(&st, why))
                return err_raise(-EPERM);
        return read_all(fd, limit, ret, why);
}

char *textfile_resolve(const char *definition, const char *path) {
        const char *slash = path[0] != '/' && definition ? strrchr(definition, '/') : NULL;
        char *resolved;

        if (!slash)
                return strdup(path);
        return asprintf(&resolved, "%.*s/%s", (int)(slash - definition), definition, path) < 0 ? NULL : resolved;
}

bool textfile_trust_directory(const char *path, struct buf *why) {
        struct stat st;

        if (stat(path, &st) < 0) {
                failed("read", why);
                return false;
        }
        return is_trusted(&st, why);
}
