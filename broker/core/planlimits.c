#include "core/planlimits.h"

#include "base/number.h"

#include <inttypes.h>

/* Nobody gets a higher limit than fs.nr_open, be he root. Without /proc there is our own to go by. */
static rlim_t find_ceiling(const struct rlimit *own) {
        int64_t value;

        return number_read_file("/proc/sys/fs/nr_open", 1, INT64_MAX, &value) == 0 ? (rlim_t)value : own->rlim_max;
}

/* The highest limit that our programs can get. It is tried, since a capability says nothing where users are not the
 * system's own; to take it back needs none. */
static rlim_t find_highest(const struct rlimit *own, rlim_t ceiling) {
        const struct rlimit trial = {own->rlim_cur, ceiling};

        if (own->rlim_max >= ceiling)
                return ceiling;
        if (setrlimit(RLIMIT_NOFILE, &trial) < 0)
                return own->rlim_max;
        setrlimit(RLIMIT_NOFILE, own);
        return ceiling;
}

static void warn_cut(const struct service_def *def, rlim_t value, rlim_t ceiling, struct diag *diag) {
        const struct mark mark = service_def_mark(def, def->places.ulimits);
        AUTO(buf_deinit) struct buf path = BUF_NULL;

        buf_printf(&path, "services.%s.ulimits.nofile", def->name);
        diag_warning(diag, &mark, buf_text(&path),
                     "%" PRIu64 " is more than the kernel gives any program; they get %" PRIu64
                     ", which is fs.nr_open here",
                     (uint64_t)value, (uint64_t)ceiling);
}

/* A number that we have no right to give stays as it is: the start fails then, and says so. */
static struct rlimit resolve_nofile(const struct service_def *def, const struct rlimit *asked, struct diag *diag) {
        struct rlimit own, limit = *asked;
        rlim_t ceiling, highest;

        if (getrlimit(RLIMIT_NOFILE, &own) < 0 || asked->rlim_max <= own.rlim_max)
                return limit;
        ceiling = find_ceiling(&own);
        highest = find_highest(&own, ceiling);
        if (asked->rlim_max != RLIM_INFINITY && asked->rlim_max > ceiling)
                warn_cut(def, asked->rlim_max, ceiling, diag);
        else if (asked->rlim_cur != RLIM_INFINITY && asked->rlim_cur > ceiling)
                warn_cut(def, asked->rlim_cur, ceiling, diag);
        if (limit.rlim_cur == RLIM_INFINITY)
                limit.rlim_cur = highest;
        limit.rlim_cur = MIN_OF(limit.rlim_cur, ceiling);
        if (limit.rlim_max == RLIM_INFINITY)
                limit.rlim_max = MAX_OF(highest, limit.rlim_cur);
        limit.rlim_max = MIN_OF(limit.rlim_max, ceiling);
        return limit;
}

int planlimits_make(const struct planmake_base *base, const struct service_def *def, struct launch_plan *plan,
                    struct diag *diag) {
        const struct ulimits_def *ulimits = &def->ulimits;
        bool nofile = false;
        int r = 0;

        for (size_t i = 0; i < ulimits->count && r == 0; i++) {
                const struct ulimit_def *ulimit = &ulimits->items[i];
                struct rlimit limit = ulimit->limit;

                if (ulimit->resource == RLIMIT_NOFILE) {
                        nofile = true;
                        limit = resolve_nofile(def, &limit, diag);
                }
                r = plan_add_rlimit(plan, ulimit->resource, &limit);
        }
        /* Programs that use select(2) break where descriptors go beyond 1024: they get the limit we were given. */
        if (r == 0 && !nofile && base->nofile_raised)
                r = plan_add_rlimit(plan, RLIMIT_NOFILE, &base->nofile);
        return r;
}
