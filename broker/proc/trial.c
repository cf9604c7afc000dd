#include "proc/trial.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a child of vfork(2), whose oom_score_adj is its own although the memory is ours. Returns an errno. */
static int write_oom_score_adj(const char *text, size_t size) {
        int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

        return fd < 0 || write(fd, text, size) < 0 ? errno : 0;
}

static int wait_outcome(pid_t pid) {
        int status = 0;

        if (pid < 0)
                return err_raise(-errno);
        if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
                return err_raise(-ECHILD);
        return -WEXITSTATUS(status);
}

/* Nobody may be kept from widening its mask: what counts is the container's cpuset, which only the kernel knows. */
int trial_cpus(const cpu_set_t *cpus) {
        pid_t pid = vfork();

        if (pid == 0)
                _exit(sched_setaffinity(0, sizeof(*cpus), cpus) < 0 ? errno : 0);
        return wait_outcome(pid);
}

int trial_oom_score_adj(int32_t value) {
        char text[PLAN_OOM_TEXT_MAX];
        pid_t pid;

        plan_format_oom_score_adj(value, text);
        pid = vfork();
        if (pid == 0)
                _exit(write_oom_score_adj(text, strlen(text)));
        return wait_outcome(pid);
}
