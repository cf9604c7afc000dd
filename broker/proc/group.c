/* All threads of all members: the state of a process is that of its first thread, and another one can still be on its
 * way out of the user's program.
 *
 * There is no list of a group's members. Going through the numbers in /proc and asking for the group of each is two
 * system calls for a hundred processes or so, plus one for each, and only members are looked into. */
#include "proc/group.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/number.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_MAX_TASK 64

static void closedirp(DIR **dir) {
        if (*dir)
                closedir(*dir);
}

/* The next entry that is a number; 0 at the end. */
static pid_t next_number(DIR *dir) {
        for (;;) {
                const struct dirent *entry = readdir(dir);
                int64_t number;

                if (!entry)
                        return 0;
                if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
                    number_parse(entry->d_name, 1, INT32_MAX, &number) == 0)
                        return (pid_t)number;
        }
}

/* T stopped, t stopped by a debugger, Z and X ended. One that has ended altogether has no file any more. */
static bool thread_is_stopped(int tasks, pid_t thread) {
        char path[PATH_MAX_TASK], line[256];
        const char *state;
        ssize_t size;
        AUTO(fd_closep) int fd = -EBADF;

        snprintf(path, sizeof(path), "%d/stat", thread);
        fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT;
        size = read(fd, line, sizeof(line) - 1);
        if (size < 0)
                return errno == ESRCH;
        line[size] = '\0';
        /* Behind the name, which may hold anything, brackets too. */
        state = strrchr(line, ')');
        return state && state[1] == ' ' && strchr("TtZX", state[2]);
}

/* Returns 1 or 0, or a negative errno. */
static int process_is_stopped(pid_t pid) {
        char path[PATH_MAX_TASK];
        AUTO(closedirp) DIR *dir = NULL;
        pid_t thread;

        snprintf(path, sizeof(path), "/proc/%d/task", pid);
        dir = opendir(path);
        if (!dir)
                return errno == ENOENT ? 1 : err_raise(-errno);
        while ((thread = next_number(dir)) != 0)
                if (!thread_is_stopped(dirfd(dir), thread))
                        return 0;
        return 1;
}

int group_is_stopped(pid_t group) {
        AUTO(closedirp) DIR *dir = opendir("/proc");
        bool any = false;
        pid_t pid;

        if (!dir)
                return err_raise(-errno);
        while ((pid = next_number(dir)) != 0) {
                int r;

                any = true;
                if (getpgid(pid) != group)
                        continue;
                r = process_is_stopped(pid);
                if (r <= 0)
                        return r;
        }
        /* A directory without processes is not what it should be. */
        return any ? 1 : err_raise(-ENOSYS);
}
