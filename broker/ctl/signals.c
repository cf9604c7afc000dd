#include "ctl/signals.h"

#include "base/err.h"
#include "base/log.h"
#include "core/statistics.h"
#include "ctl/report.h"

#include <signal.h>
#include <string.h>

static const int watched[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

void signals_block(void) {
        sigset_t set;

        for (int s = 1; s < SIGRTMAX; s++)
                if (s != SIGKILL && s != SIGSTOP && s != SIGSEGV && s != SIGBUS && s != SIGILL && s != SIGFPE &&
                    s != SIGABRT)
                        signal(s, SIG_DFL);
        sigemptyset(&set);
        for (size_t i = 0; i < LENGTH_OF(watched); i++)
                sigaddset(&set, watched[i]);
        sigaddset(&set, SIGCHLD);
        /* Blocked, not ignored: what is ignored stays so in the programs we start. A broken pipe then is an errno. */
        sigaddset(&set, SIGPIPE);
        sigprocmask(SIG_SETMASK, &set, NULL);
}

static void on_stop(struct manager *manager, const char *name) {
        if (manager->draining) {
                log_warning("%s again: killing what is left", name);
                manager_kill(manager);
                return;
        }
        log_info("%s: no new connections, waiting for what runs", name);
        manager_drain(manager, 0);
}

static int on_signal(sd_event_source *source UNUSED, const struct signalfd_siginfo *info, void *userdata) {
        struct signals *signals = userdata;
        struct reload_report report;

        switch (info->ssi_signo) {
        case SIGTERM:
                on_stop(signals->manager, "SIGTERM");
                break;
        case SIGINT:
                on_stop(signals->manager, "SIGINT");
                break;
        case SIGHUP:
                if (signals->manager->draining)
                        break;
                report_reload(signals->manager, signals->paths, &report);
                reload_report_deinit(&report);
                break;
        case SIGUSR1:
                statistics_log(signals->manager);
                break;
        case SIGUSR2:
                statistics_log_processes(signals->manager);
                break;
        }
        return 0;
}

int signals_init(struct signals *signals, struct manager *manager, const struct strlist *paths) {
        *signals = (struct signals){.manager = manager, .paths = paths};
        for (size_t i = 0; i < LENGTH_OF(watched); i++) {
                int r = sd_event_add_signal(manager->event, &signals->sources[i], watched[i], on_signal, signals);

                if (r < 0)
                        return err_raise(r);
                /* An order to stop is not to wait behind a flood of connections. See also core/orphans.c. */
                sd_event_source_set_priority(signals->sources[i], SD_EVENT_PRIORITY_IMPORTANT);
        }
        return 0;
}

void signals_deinit(struct signals *signals) {
        for (size_t i = 0; i < LENGTH_OF(signals->sources); i++)
                signals->sources[i] = sd_event_source_disable_unref(signals->sources[i]);
}
