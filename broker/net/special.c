#include "net/special.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static int special_failed(const struct addr *addr, struct buf *why) {
        int r = -errno;

        buf_printf(why, "cannot open special:%s: %s", addr->sockaddr.un.sun_path, err_text(r));
        return err_raise(r);
}

static int special_refused(const struct addr *addr, const char *text, struct buf *why) {
        buf_printf(why, "cannot open special:%s: %s", addr->sockaddr.un.sun_path, text);
        return err_raise(-EINVAL);
}

static bool is_pollable(int fd) {
        AUTO(fd_closep) int epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = {.events = EPOLLPRI};

        /* EPERM alone says that it cannot be; a shortage is for whoever watches it in the end to report. */
        return epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 || errno != EPERM;
}

/* The file system a regular file is on, as far as it tells of changes; 0 for others. */
static unsigned long file_system(int fd) {
        struct statfs fs;
        struct stat st;

        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || fstatfs(fd, &fs) < 0)
                return 0;
        switch ((unsigned long)fs.f_type) {
        case PROC_SUPER_MAGIC:
        case SYSFS_MAGIC:
        case CGROUP_SUPER_MAGIC:
        case CGROUP2_SUPER_MAGIC:
                return (unsigned long)fs.f_type;
        }
        return 0;
}

/* A file of /sys counts as changed until somebody has read it. Those of /proc do not, and some are endless. */
static void read_once(int fd) {
        char text[4096];
        unsigned long fs = file_system(fd);

        if (fs != 0 && fs != PROC_SUPER_MAGIC && read(fd, text, sizeof(text)) > 0)
                lseek(fd, 0, SEEK_SET);
}

int special_open(const struct addr *addr, const struct listen_options *options, struct buf *why) {
        const char *path = addr->sockaddr.un.sun_path;
        int access = options->writable ? O_RDWR : O_RDONLY;
        AUTO(fd_closep) int fd = -EBADF;
        struct stat st;

        /* A stream that looks like a file: it would never count as changed. */
        if (strcmp(path, "/proc/kmsg") == 0)
                return special_refused(addr, "write special:/dev/kmsg, which is the same log", why);
        fd = open(path, access | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) < 0)
                return special_failed(addr, why);
        if (!S_ISCHR(st.st_mode) && !S_ISREG(st.st_mode))
                return special_refused(addr, "it is neither a character device nor a file of /proc or /sys", why);
        if (!is_pollable(fd))
                return special_refused(addr, "it never says when there is something to read (epoll_ctl(2))", why);
        read_once(fd);
        return take_fd(fd);
}

bool special_is(int fd) {
        struct stat st;

        return fstat(fd, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISREG(st.st_mode)) && is_pollable(fd);
}

void special_rewind(int fd) {
        if (file_system(fd) != 0)
                lseek(fd, 0, SEEK_SET);
}

uint32_t special_events(int fd) {
        return file_system(fd) != 0 ? EPOLLPRI : EPOLLIN;
}
