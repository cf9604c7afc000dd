/* Our own processes are reaped by their pidfds. SIGCHLD comes for them too, and asking the kernel for "any child" walks
 * all of them; so it is asked at most ten times a second, and not at all while nothing ends. */
#include "core/orphans.h"

#include "base/err.h"
#include "base/log.h"
#include "core/manager.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define SWEEP_DELAY (100 * USEC_PER_MSEC)

static int on_sigchld(sd_event_source *source, const struct signalfd_siginfo *info UNUSED, void *userdata) {
        struct manager *manager = userdata;

        /* While it is off, further signals melt into one that stays pending. */
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        sd_event_source_set_time_relative(manager->orphan_timer, SWEEP_DELAY);
        sd_event_source_set_enabled(manager->orphan_timer, SD_EVENT_ONESHOT);
        return 0;
}

static int on_sweep(sd_event_source *source, uint64_t now UNUSED, void *userdata) {
        struct manager *manager = userdata;

        for (;;) {
                siginfo_t info = {.si_pid = 0};
                struct process *process;

                if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
                        break;
                process = process_host_find(&manager->host, info.si_pid);
                if (process)
                        process_end_unwatched(process);
                if (process && !process_host_find(&manager->host, info.si_pid))
                        continue;
                if (process) {
                        /* One of ours, about to be reaped by its pidfd, hides what is behind it: look again later. */
                        sd_event_source_set_time_relative(source, SWEEP_DELAY);
                        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
                        return 0;
                }
                waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
                log_event(LOG_LEVEL_DEBUG, LOG_FIELDS(LOG_INTEGER("pid", info.si_pid)), "orphan reaped");
        }
        remains_sweep(&manager->host.remains);
        sd_event_source_set_enabled(manager->sigchld, SD_EVENT_ON);
        return 0;
}

void orphans_look(struct manager *manager) {
        sd_event_source_set_enabled(manager->sigchld, SD_EVENT_OFF);
        sd_event_source_set_time_relative(manager->orphan_timer, SWEEP_DELAY);
        sd_event_source_set_enabled(manager->orphan_timer, SD_EVENT_ONESHOT);
}

int orphans_watch(struct manager *manager) {
        int r;

        if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
                return err_raise(-errno);
        r = sd_event_add_time_relative(manager->event, &manager->orphan_timer, CLOCK_MONOTONIC, SWEEP_DELAY, 0,
                                       on_sweep, manager);
        if (r >= 0)
                r = sd_event_source_set_enabled(manager->orphan_timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_signal(manager->event, &manager->sigchld, SIGCHLD, on_sigchld, manager);
        /* sd-event keeps one signalfd for each priority and closes it with the last signal that is enabled there. A
         * child on its way to exec may have a copy of that descriptor, which keeps the closed one in our epoll set,
         * with an address that is no more. So this one shares a priority with those of ctl/signals.c, which never
         * go away. */
        if (r >= 0)
                r = sd_event_source_set_priority(manager->sigchld, SD_EVENT_PRIORITY_IMPORTANT);
        return r < 0 ? err_raise(r) : 0;
}
