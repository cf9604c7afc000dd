#include "activate/makeplan.h"

#include "base/err.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/select.h>

/* So that connections wait for nothing on their way to a process. The programs get the limit that we were given; those
 * of systemd-socket-activate at most what select(2) can do. */
static int raise_nofile(const struct options *options, struct launch_plan *plan) {
        struct rlimit given, wanted;
        bool raised;

        if (getrlimit(RLIMIT_NOFILE, &given) < 0)
                return err_raise(-errno);
        wanted = (struct rlimit){.rlim_cur = given.rlim_max, .rlim_max = given.rlim_max};
        raised = given.rlim_cur != given.rlim_max && setrlimit(RLIMIT_NOFILE, &wanted) == 0;
        if (options->systemd && given.rlim_cur > FD_SETSIZE)
                given.rlim_cur = FD_SETSIZE;
        else if (!raised)
                return 0;
        return plan_add_rlimit(plan, RLIMIT_NOFILE, &given);
}

int makeplan(const struct options *options, struct program *program, struct launch_plan *plan) {
        int r = 0;

        for (char **word = options->command; *word && r == 0; word++)
                r = plan_words_add_borrowed(&plan->argv, *word);
        for (size_t i = 0; i < program->env.count && r == 0; i++)
                r = plan_words_add_borrowed(&plan->env, program->env.items[i]);
        if (r == 0)
                r = raise_nofile(options, plan);
        plan->path = take_ptr(program->path);
        plan->creds = program->creds;
        program->creds = CREDS_NULL;
        /* To a worker nobody comes any more when we are gone. */
        if (options->workers > 0)
                plan->death_signal = SIGTERM;
        if (options->systemd) {
                /* As there: part of our group, and gone when we are. It knows no LISTEN_PIDFDID. */
                plan->new_session = false;
                plan->death_signal = SIGTERM;
                if (r == 0 && !options->stdio)
                        r = plan_words_add(&plan->env, "LISTEN_PID=${pid}", true);
        } else {
                plan->listen_pid = !options->stdio;
        }
        return r;
}
