#include "core/planrights.h"

#include "base/capability.h"
#include "base/err.h"
#include "proc/trial.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct refusal {
        const struct service_def *def;
        struct diag *diag;
};

static int refuse(const struct refusal *refusal, const char *key, const struct mark *mark, const char *text) {
        AUTO(buf_deinit) struct buf path = BUF_NULL;

        buf_printf(&path, "services.%s.%s", refusal->def->name, key);
        diag_error(refusal->diag, mark, buf_text(&path), "%s", text);
        return -EINVAL;
}

/* Says of every entry of cap_add that cannot be given which one it is. */
static int refuse_missing(const struct refusal *refusal, uint64_t missing) {
        const struct capabilities_def *list = refusal->def->cap_add;

        for (size_t i = 0; i < list->count; i++) {
                AUTO(buf_deinit) struct buf text = BUF_NULL, name = BUF_NULL;

                if (list->items[i].number == CAPABILITY_ALL_NUMBER ||
                    !(missing & CAPABILITY_BIT(list->items[i].number)))
                        continue;
                capability_add_name(&name, list->items[i].number);
                buf_printf(&text,
                           "the broker itself does not have %s; start it with that (docker: --cap-add %s), or leave it "
                           "out",
                           buf_text(&name), buf_text(&name));
                refuse(refusal, "cap_add", &list->items[i].mark, buf_text(&text));
        }
        return -EINVAL;
}

static int make_caps(const struct refusal *refusal, const struct capability_sets *own, struct launch_plan *plan) {
        const struct service_def *def = refusal->def;
        const struct creds *creds = &plan->creds;
        struct plan_rare *rare = plan->rare;
        const struct caps_request request = {
                .own = *own,
                .drop = capabilities_def_set(def->cap_drop),
                .add = capabilities_def_set(def->cap_add),
                .root = (creds->change_user ? creds->uid : geteuid()) == 0,
                .changes_user = creds->change_user && creds->uid != geteuid(),
        };
        uint64_t missing = caps_missing(&request);

        if (missing != 0)
                return refuse_missing(refusal, missing);
        caps_work_out(&request, &rare->caps);
        if (rare->caps.bounding_drop == 0 || own->effective & CAPABILITY_BIT(CAP_SETPCAP))
                return 0;
        return refuse(refusal, "cap_drop", &def->cap_drop->items[0].mark,
                      "the broker can take capabilities away only with SETPCAP, which it does not have itself; start "
                      "it with that, or write no_new_privileges: yes and a user other than root");
}

/* A directory that is not there may be mounted later, as a program may. */
static int make_root_dir(const struct refusal *refusal, const struct capability_sets *own, struct plan_rare *rare) {
        const struct service_def *def = refusal->def;
        const struct mark mark = service_def_mark(def, def->places.root_dir);
        AUTO(buf_deinit) struct buf path = BUF_NULL;
        struct stat st;

        if (!(own->effective & CAPABILITY_BIT(CAP_SYS_CHROOT)))
                return refuse(refusal, "root_dir", &mark,
                              "the broker cannot change the root directory without SYS_CHROOT; start it with that "
                              "capability, or leave root_dir out");
        rare->root_dir = strdup(def->root_dir);
        if (!rare->root_dir)
                return err_raise(-ENOMEM);
        if (stat(def->root_dir, &st) == 0 && S_ISDIR(st.st_mode))
                return 0;
        buf_printf(&path, "services.%s.root_dir", def->name);
        diag_warning(refusal->diag, &mark, buf_text(&path), "there is no directory '%s'", def->root_dir);
        return 0;
}

static int make_cpus(const struct refusal *refusal, struct plan_rare *rare) {
        const struct service_def *def = refusal->def;
        int r;

        if (!def->cpuset)
                return 0;
        rare->cpus = calloc(1, sizeof(*rare->cpus));
        if (!rare->cpus)
                return err_raise(-ENOMEM);
        for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++)
                if (cpus_def_has(def->cpuset, cpu))
                        CPU_SET(cpu, rare->cpus);
        r = trial_cpus(rare->cpus);
        if (r == 0)
                return 0;
        return refuse(refusal, "cpuset", &def->cpuset->mark,
                      r == -EINVAL ? "there is none of these CPUs for us; see Cpus_allowed_list in /proc/self/status"
                                   : err_text(r));
}

static int make_oom_score_adj(const struct refusal *refusal, struct plan_rare *rare) {
        const struct service_def *def = refusal->def;
        const struct mark mark = service_def_mark(def, def->places.oom_score_adj);
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        int r;

        if (def->oom_score_adj == ADJUSTMENT_UNSET)
                return 0;
        plan_format_oom_score_adj(def->oom_score_adj, rare->oom_score_adj);
        r = trial_oom_score_adj(def->oom_score_adj);
        if (r == 0)
                return 0;
        if (r == -EACCES)
                buf_printf(&text,
                           "%d is lower than the broker may go without SYS_RESOURCE; start it with that capability, or "
                           "write a higher number",
                           def->oom_score_adj);
        else
                buf_printf(&text, "cannot be set: /proc/self/oom_score_adj: %s", err_text(r));
        return refuse(refusal, "oom_score_adj", &mark, buf_text(&text));
}

/* All that is wrong is said, not only the first. */
static void note(int *result, int r) {
        if (*result != -ENOMEM && r < 0)
                *result = r;
}

int planrights_make(const struct service_def *def, struct launch_plan *plan, struct diag *diag) {
        const struct refusal refusal = {.def = def, .diag = diag};
        bool caps = def->cap_add || def->cap_drop;
        struct capability_sets own;
        int result = 0;

        _Static_assert(CPUS_MAX == CPU_SETSIZE, "every CPU of a definition has its bit");
        if (!caps && !def->root_dir && !def->cpuset && def->oom_score_adj == ADJUSTMENT_UNSET)
                return 0;
        result = plan_add_rare(plan);
        if (result == 0 && (caps || def->root_dir))
                result = capability_get_own(&own);
        if (result < 0)
                return result;
        if (caps)
                note(&result, make_caps(&refusal, &own, plan));
        if (def->root_dir)
                note(&result, make_root_dir(&refusal, &own, plan->rare));
        note(&result, make_cpus(&refusal, plan->rare));
        note(&result, make_oom_score_adj(&refusal, plan->rare));
        return result;
}
