/* broker_listen_fds(): what sd_listen_fds_with_names(3) does, without libsystemd. */
#include "sockbroker/sockbroker.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PIDFS_MAGIC 0x50494446 /* not in the headers of older C libraries */

char **broker_names_free(char **names) {
        for (char **name = names; name && *name; name++)
                free(*name);
        free(names);
        return NULL;
}

/* Digits and nothing else. */
static bool parse_number(const char *text, uint64_t *ret) {
        char *end;

        if (!isdigit((unsigned char)*text))
                return false;
        errno = 0;
        *ret = strtoull(text, &end, 10);
        return errno == 0 && *end == '\0';
}

/* A pid may be used again, the inode of a pidfd is not. Where the kernel has no such inodes the pid has to do. */
static bool is_other_pidfd(uint64_t inode) {
        int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
        struct statfs fs;
        struct stat st;
        bool known = fd >= 0 && fstatfs(fd, &fs) == 0 && (unsigned long)fs.f_type == PIDFS_MAGIC && fstat(fd, &st) == 0;

        if (fd >= 0)
                close(fd);
        return known && st.st_ino != inode;
}

/* The number of descriptors meant for this process, or -EINVAL. */
static int announced(void) {
        const char *pid_text = getenv("LISTEN_PID"), *inode_text = getenv("LISTEN_PIDFDID"),
                   *count_text = getenv("LISTEN_FDS");
        uint64_t pid, inode, count;

        if (!pid_text)
                return 0;
        if (!parse_number(pid_text, &pid) || pid < 1 || pid > INT_MAX)
                return -EINVAL;
        if (pid != (uint64_t)getpid())
                return 0;
        if (inode_text) {
                if (!parse_number(inode_text, &inode))
                        return -EINVAL;
                if (is_other_pidfd(inode))
                        return 0;
        }
        if (!count_text)
                return 0;
        if (!parse_number(count_text, &count) || count < 1 || count > INT_MAX - BROKER_LISTEN_FDS_START)
                return -EINVAL;
        return (int)count;
}

static int set_cloexec(int count) {
        for (int i = 0; i < count; i++) {
                int fd = BROKER_LISTEN_FDS_START + i, flags = fcntl(fd, F_GETFD);

                if (flags < 0 || ((flags & FD_CLOEXEC) == 0 && fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0))
                        return -errno;
        }
        return 0;
}

/* One name of TEXT, which goes on behind it; *MORE: whether there is another. As sd_listen_fds_with_names(3) reads
 * them, a backslash takes the meaning of the character after it. 0, -EINVAL or -ENOMEM. */
static int take_name(const char **text, bool *more, char **ret) {
        const char *p = *text;
        char *name = malloc(strlen(p) + 1), *end = name;

        if (!name)
                return -ENOMEM;
        for (; *p != '\0' && *p != ':'; *end++ = *p++)
                if (*p == '\\' && *++p == '\0') {
                        free(name);
                        return -EINVAL;
                }
        *end = '\0';
        *more = *p == ':';
        *text = *more ? p + 1 : p;
        *ret = name;
        return 0;
}

/* TEXT is LISTEN_FDNAMES, or NULL. An empty name is one, too. */
static int split_names(const char *text, int count, char ***ret) {
        char **names = calloc((size_t)count + 1, sizeof(*names));
        bool more = true;
        int n = 0, r = 0;

        if (!names)
                return -ENOMEM;
        for (; more && n < count && r == 0; n++)
                if (text)
                        r = take_name(&text, &more, &names[n]);
                else
                        r = (names[n] = strdup("unknown")) ? 0 : -ENOMEM;
        if (r == 0 && (n < count || (text && more)))
                r = -EINVAL;
        if (r < 0) {
                broker_names_free(names);
                return r;
        }
        *ret = names;
        return 0;
}

int broker_listen_fds(bool unset_environment, char ***ret_names) {
        const char *names_text = getenv("LISTEN_FDNAMES");
        char **names = NULL;
        int count = announced(), r = count > 0 ? set_cloexec(count) : count;

        if (r == 0 && count > 0 && ret_names)
                r = split_names(names_text, count, &names);
        if (unset_environment) {
                unsetenv("LISTEN_PID");
                unsetenv("LISTEN_PIDFDID");
                unsetenv("LISTEN_FDS");
                unsetenv("LISTEN_FDNAMES");
        }
        if (r < 0)
                return r;
        if (ret_names)
                *ret_names = names;
        return count;
}
