#include "activate/signals.h"

#include "base/err.h"

#include <errno.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

static bool is_ignored(int sig) {
        struct sigaction action;

        return sigaction(sig, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void reset_ignored(void) {
        for (int sig = 1; sig < _NSIG; sig++)
                if (sig != SIGKILL && sig != SIGSTOP && is_ignored(sig))
                        signal(sig, SIG_DFL);
}

void signals_block(bool children, sigset_t *ret) {
        sigset_t watched, blocked;

        sigemptyset(&watched);
        sigaddset(&watched, SIGTERM);
        if (!is_ignored(SIGINT))
                sigaddset(&watched, SIGINT);
        if (!is_ignored(SIGHUP))
                sigaddset(&watched, SIGHUP);
        if (children)
                sigaddset(&watched, SIGCHLD);
        blocked = watched;
        sigaddset(&blocked, SIGPIPE);
        if (children) {
                /* Children inherit what is ignored, not what is blocked, which the launcher sees to. */
                sigaddset(&blocked, SIGINT);
                sigaddset(&blocked, SIGHUP);
        }
        sigprocmask(SIG_SETMASK, &blocked, NULL);
        if (children)
                reset_ignored();
        *ret = watched;
}

int signals_open(const sigset_t *watched) {
        int fd = signalfd(-1, watched, SFD_NONBLOCK | SFD_CLOEXEC);

        return fd < 0 ? err_raise(-errno) : fd;
}

size_t signals_read(int fd, int out[SIGNALS_MAX]) {
        struct signalfd_siginfo infos[SIGNALS_MAX];
        ssize_t n = read(fd, infos, sizeof(infos));
        size_t count = n < 0 ? 0 : (size_t)n / sizeof(*infos);

        for (size_t i = 0; i < count; i++)
                out[i] = (int)infos[i].ssi_signo;
        return count;
}

void signals_unblock(void) {
        sigset_t set;

        /* To ignore it discards the one that is pending. */
        signal(SIGPIPE, SIG_IGN);
        reset_ignored();
        sigemptyset(&set);
        sigprocmask(SIG_SETMASK, &set, NULL);
}

_Noreturn void signals_die(int sig) {
        signal(sig, SIG_DFL);
        signals_unblock();
        raise(sig);
        _exit(128 + sig);
}
