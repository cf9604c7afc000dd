#include "proc/kinship.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As deep as programs start programs; a chain of helpers that is longer is not worth the reading. */
#define ANCESTORS_MAX 32

/* A parent can end while we look; then its children have another one. */
#define TRIES_MAX 3

/* Whether its pid still is that of the process the pidfd was made for: it runs, or nobody has waited for it yet. */
static bool is_held(int pidfd) {
        return pidfd >= 0 && (syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0 || errno == EPERM);
}

/* 0 where there is none that we could see, or no such process any more. */
static pid_t parent_of(pid_t pid) {
        char path[sizeof("/proc//stat") + 3 * sizeof(pid)], text[512];
        AUTO(fd_closep) int fd = -EBADF;
        const char *behind;
        pid_t parent;
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        n = read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return 0;
        text[n] = '\0';
        /* The program's name stands in parentheses, and may have some itself. */
        behind = strrchr(text, ')');
        return behind && sscanf(behind, ") %*c %d", &parent) == 1 ? parent : 0;
}

/* Whether the chain PIDS, each the child of the next, has been one all the time since it was read: from its far end, so
 * that each one is looked at again after its parent was. A child whose parent had ended would have another by now. */
static bool chain_holds(const pid_t *pids, size_t count) {
        for (size_t i = count - 1; i > 0; i--)
                if (parent_of(pids[i - 1]) != pids[i])
                        return false;
        return true;
}

static bool descends_from(pid_t pid, pid_t main) {
        pid_t pids[ANCESTORS_MAX + 1] = {pid};

        for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
                size_t count = 1;

                while (count <= ANCESTORS_MAX && pids[count - 1] > 1 && pids[count - 1] != main) {
                        pids[count] = parent_of(pids[count - 1]);
                        count++;
                }
                if (pids[count - 1] != main)
                        return false;
                if (chain_holds(pids, count))
                        return true;
        }
        return false;
}

static bool is_in_session(const struct kinship_family *family, pid_t pid) {
        pid_t session = getsid(pid);

        if (session <= 0)
                return false;
        for (size_t i = 0; i < LENGTH_OF(family->sessions); i++)
                if (family->sessions[i] == session)
                        return true;
        return false;
}

enum kinship kinship_find(const struct kinship_family *family, pid_t pid, int pidfd) {
        bool belongs;

        if (pid <= 0)
                return KINSHIP_STRANGER;
        if (!is_held(pidfd))
                return KINSHIP_GONE;
        belongs = pid == family->main || is_in_session(family, pid) || descends_from(pid, family->main);
        if (!is_held(pidfd))
                return KINSHIP_GONE;
        /* Its number may have been given away while we looked, or before. */
        return belongs && is_held(family->main_pidfd) ? KINSHIP_MEMBER : KINSHIP_STRANGER;
}
