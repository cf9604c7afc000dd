#include "core/planmake.h"

#include "base/capability.h"
#include "base/err.h"
#include "base/template.h"
#include "core/planlimits.h"
#include "core/planrights.h"
#include "net/connenv.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* Meant for the broker itself (sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3)). */
static const char *const own_variables[] = {
        "LISTEN_FDS",    "LISTEN_PID",    "LISTEN_FDNAMES", "LISTEN_PIDFDID",
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
};

static bool starts_with_name(const char *entry, const char *name) {
        size_t n = strlen(name);

        return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

static bool is_for_programs(const char *entry) {
        for (size_t i = 0; i < LENGTH_OF(own_variables); i++)
                if (starts_with_name(entry, own_variables[i]))
                        return false;
        /* Another broker's or inetd's connection, not ours. */
        for (size_t i = 0; connenv_names[i]; i++)
                if (starts_with_name(entry, connenv_names[i]))
                        return false;
        return strchr(entry, '=') != NULL;
}

int planmake_base_init(struct planmake_base *ret) {
        struct capability_sets own;
        struct rlimit limit;
        int r;

        for (char **entry = environ; *entry; entry++)
                if (is_for_programs(*entry)) {
                        r = strlist_add(&ret->environment, *entry);
                        if (r < 0)
                                return r;
                }
        /* Rather one system call too many at each start than one too few. */
        ret->has_ambient = capability_get_own(&own) < 0 || own.ambient != 0;
        if (getrlimit(RLIMIT_NOFILE, &ret->nofile) < 0)
                return err_raise(-errno);
        limit = ret->nofile;
        limit.rlim_cur = limit.rlim_max;
        ret->nofile_raised = limit.rlim_cur != ret->nofile.rlim_cur && setrlimit(RLIMIT_NOFILE, &limit) == 0;
        return 0;
}

void planmake_base_deinit(struct planmake_base *base) {
        strlist_deinit(&base->environment);
}

struct word_filling {
        const struct planmake_request *request;
        bool dynamic; /* out: it has placeholders that only a start can fill in */
};

/* ${fd:NAME} now; the others stay as they are. Which exist was checked when the definition was read. */
static bool fill_word(void *userdata, const struct template_name *name, struct buf *out) {
        struct word_filling *filling = userdata;
        const struct planmake_request *request = filling->request;

        if (strcmp(name->name, "fd") != 0) {
                filling->dynamic = true;
                buf_add(out, name->text, name->size);
                return true;
        }
        for (size_t i = 0; i < request->fd_count; i++)
                if (strcmp(request->fd_names[i], name->argument) == 0) {
                        buf_printf(out, "%zu", 3 + i);
                        return true;
                }
        return false;
}

static int add_word(struct plan_words *words, const char *word, const struct planmake_request *request) {
        AUTO(buf_deinit) struct buf partly = BUF_NULL, whole = BUF_NULL;
        struct word_filling filling = {.request = request};

        if (template_expand_partly(word, fill_word, &filling, &partly) != TEMPLATE_OK)
                return err_raise(-EINVAL);
        if (filling.dynamic)
                return plan_words_add(words, buf_text(&partly), true);
        if (template_expand(word, fill_word, &filling, &whole) != TEMPLATE_OK || buf_failed(&whole))
                return err_raise(-EINVAL);
        return plan_words_add(words, buf_text(&whole), false);
}

static int make_argv(const struct planmake_request *request, struct launch_plan *plan) {
        const struct service_def *def = request->def;

        if (def->argv0 && (plan_add_rare(plan) < 0 || !(plan->rare->command = strdup(def->command.items[0]))))
                return err_raise(-ENOMEM);
        for (size_t i = 0; i < def->command.count; i++) {
                const char *word = i == 0 && def->argv0 ? def->argv0 : def->command.items[i];
                int r = add_word(&plan->argv, word, request);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* What a definition adds to or takes from the broker's own environment, later ones winning. */
static int collect_own(const struct planmake_request *request, const struct creds *creds, struct strlist *own) {
        const struct service_def *def = request->def;
        int r = 0;

        if (creds->name) {
                r = strlist_set_env(own, "USER", creds->name);
                if (r == 0)
                        r = strlist_set_env(own, "LOGNAME", creds->name);
                if (r == 0)
                        r = strlist_set_env(own, "HOME", creds->home);
                if (r == 0)
                        r = strlist_set_env(own, "SHELL", creds->shell);
        }
        for (size_t list = 0; list < 2 && r == 0; list++) {
                const struct strlist *from = list == 0 ? &def->env_file_values : &def->environment;

                for (size_t i = 0; i < from->count && r == 0; i++) {
                        const char *value = strchr(from->items[i], '=');
                        AUTO(freep)
                        char *name = value ? strndup(from->items[i], (size_t)(value - from->items[i]))
                                           : strdup(from->items[i]);

                        if (!name)
                                return err_raise(-ENOMEM);
                        if (!value) {
                                value = strlist_get_env(&request->base->environment, name);
                                if (value)
                                        r = strlist_set_env(own, name, value);
                        } else {
                                r = strlist_set_env(own, name, value + 1);
                        }
                }
        }
        return r;
}

static bool is_passed(const struct service_def *def, const char *entry) {
        if (def->pass_environment.all)
                return true;
        for (size_t i = 0; i < def->pass_environment.names.count; i++)
                if (starts_with_name(entry, def->pass_environment.names.items[i]))
                        return true;
        return false;
}

static bool is_overridden(const struct strlist *own, const char *entry) {
        for (size_t i = 0; i < own->count; i++) {
                size_t n = strcspn(own->items[i], "=") + 1;

                if (strncmp(own->items[i], entry, n) == 0)
                        return true;
        }
        return false;
}

/* Values from files are taken as they are; only `environment` has placeholders. */
static bool has_placeholders(const struct service_def *def, const char *entry) {
        return strlist_has(&def->environment, entry);
}

void planmake_add_fd_names(const struct planmake_request *request, struct buf *out) {
        for (size_t i = 0; i < request->fd_count; i++)
                buf_printf(out, "%s%s", i > 0 ? ":" : "", request->fd_names[i]);
}

static int add_listen_variables(const struct planmake_request *request, struct plan_words *env) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        int r;

        buf_printf(&text, "LISTEN_FDS=%zu", request->fd_count);
        r = plan_words_add(env, buf_text(&text), false);
        if (r < 0)
                return r;
        buf_clear(&text);
        buf_add_string(&text, "LISTEN_FDNAMES=");
        planmake_add_fd_names(request, &text);
        return buf_failed(&text) ? err_raise(-ENOMEM) : plan_words_add(env, buf_text(&text), false);
}

/* Whether LISTEN_FDS and LISTEN_FDNAMES are the same at each start; else the handoff adds them. */
static bool has_listen_variables(const struct service_def *def) {
        return (def->handoff == HANDOFF_FDS || def->handoff == HANDOFF_PASS) && def->fd_store == 0;
}

/* sd_notify(3), sd_watchdog_enabled(3). */
static int add_supervision_variables(const struct planmake_request *request, struct plan_words *env) {
        const struct service_def *def = request->def;
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        int r = 0;

        if (request->notify_socket) {
                buf_printf(&text, "NOTIFY_SOCKET=%s", request->notify_socket);
                r = buf_failed(&text) ? err_raise(-ENOMEM) : plan_words_add(env, buf_text(&text), false);
        }
        if (r < 0 || def->watchdog == USEC_INFINITY)
                return r;
        buf_clear(&text);
        buf_printf(&text, "WATCHDOG_USEC=%" PRIu64, def->watchdog);
        r = buf_failed(&text) ? err_raise(-ENOMEM) : plan_words_add(env, buf_text(&text), false);
        return r < 0 ? r : plan_words_add(env, "WATCHDOG_PID=${pid}", true);
}

static int make_env(const struct planmake_request *request, struct launch_plan *plan) {
        AUTO(strlist_deinit) struct strlist own = STRLIST_NULL;
        const struct strlist *base = &request->base->environment;
        int r;

        r = collect_own(request, &plan->creds, &own);
        if (r == 0 && own.count == 0 && request->def->pass_environment.all && request->def->handoff != HANDOFF_FDS &&
            request->def->handoff != HANDOFF_PASS && !service_def_is_supervised(request->def) && base->count > 0) {
                plan_words_share(&plan->env, base->items, base->count);
                return 0;
        }
        for (size_t i = 0; i < base->count && r == 0; i++)
                if (is_passed(request->def, base->items[i]) && !is_overridden(&own, base->items[i]))
                        r = plan_words_add_borrowed(&plan->env, base->items[i]);
        for (size_t i = 0; i < own.count && r == 0; i++)
                r = has_placeholders(request->def, own.items[i]) ? add_word(&plan->env, own.items[i], request)
                                                                 : plan_words_add(&plan->env, own.items[i], false);
        if (r == 0 && has_listen_variables(request->def))
                r = add_listen_variables(request, &plan->env);
        if (r == 0 && service_def_is_supervised(request->def))
                r = add_supervision_variables(request, &plan->env);
        plan->listen_pid = request->def->handoff == HANDOFF_FDS || request->def->handoff == HANDOFF_PASS;
        return r;
}

static int resolve_creds(const struct planmake_request *planmake, struct creds *ret, struct diag *diag) {
        const struct service_def *def = planmake->def;
        const struct creds_request request = {
                .user = def->user,
                .group = def->group,
                .group_add = &def->group_add,
                .groups = def->groups,
        };
        const struct place places[] = {
                [CREDS_USER] = def->places.user,
                [CREDS_GROUP] = def->places.group,
                [CREDS_GROUP_ADD] = def->places.group_add,
        };
        static const char *const keys[] = {
                [CREDS_USER] = "user",
                [CREDS_GROUP] = "group",
                [CREDS_GROUP_ADD] = "group_add",
        };
        AUTO(buf_deinit) struct buf why = BUF_NULL, path = BUF_NULL;
        enum creds_part part = CREDS_USER;
        struct mark mark;
        int r;

        if (planmake->kept) {
                *ret = *planmake->kept->creds;
                *planmake->kept->creds = CREDS_NULL;
                return 0;
        }
        r = creds_resolve(&request, ret, &part, &why);
        if (r == 0 || r == -ENOMEM)
                return r;
        buf_printf(&path, "services.%s.%s", def->name, keys[part]);
        mark = service_def_mark(def, places[part]);
        diag_error(diag, &mark, buf_text(&path), "%s", buf_text(&why));
        return -EINVAL;
}

static const char *plan_command(const struct launch_plan *plan) {
        return plan->rare && plan->rare->command ? plan->rare->command : plan->argv.items[0];
}

static const char *plan_root_dir(const struct launch_plan *plan) {
        return plan->rare ? plan->rare->root_dir : NULL;
}

static const char *plan_search_path(const struct launch_plan *plan) {
        for (size_t i = 0; i < plan->env.count; i++)
                if (strncmp(plan->env.items[i], "PATH=", 5) == 0)
                        return plan->env.items[i] + 5;
        return NULL;
}

int planmake_find_program(struct launch_plan *plan) {
        const struct plan_search search = {
                .command = plan_command(plan),
                .path = plan_search_path(plan),
                .root_dir = plan_root_dir(plan),
        };

        return plan_find_program(&search, &plan->path);
}

static int find_program(const struct service_def *def, struct launch_plan *plan, struct diag *diag) {
        const struct mark mark = service_def_mark(def, def->places.command);
        const char *root_dir = plan_root_dir(plan);
        AUTO(buf_deinit) struct buf path = BUF_NULL;
        int r = planmake_find_program(plan);

        if (r == 0 || r == -ENOMEM)
                return r;
        /* Of a root_dir that is not there we have warned already. */
        if (root_dir && (r == -ENOTDIR || access(root_dir, F_OK) < 0))
                return 0;
        buf_printf(&path, "services.%s.command", def->name);
        diag_warning(diag, &mark, buf_text(&path),
                     r == -EACCES ? "'%s' cannot be executed%s%s" : "there is no program '%s'%s%s", plan_command(plan),
                     root_dir ? " in " : "", root_dir ? root_dir : "");
        return 0;
}

int planmake(const struct planmake_request *request, struct launch_plan *ret, struct diag *diag) {
        AUTO(plan_deinit) struct launch_plan plan = PLAN_NULL;
        const struct service_def *def = request->def;
        int r;

        r = resolve_creds(request, &plan.creds, diag);
        plan.creds.drop_ambient = request->base->has_ambient;
        if (r == 0)
                r = make_argv(request, &plan);
        if (r == 0)
                r = make_env(request, &plan);
        if (r == 0)
                r = planlimits_make(request->base, def, &plan, diag);
        if (r == 0)
                r = planrights_make(def, &plan, diag);
        if (request->kept)
                plan.path = take_ptr(request->kept->path);
        if (r == 0 && def->command.count > 0 && !request->kept)
                r = find_program(def, &plan, diag);
        if (r == 0 && def->working_dir && !(plan.working_dir = strdup(def->working_dir)))
                r = err_raise(-ENOMEM);
        if (r < 0)
                return r;
        plan.umask = def->umask;
        plan.nice = def->nice;
        plan.no_new_privileges = def->no_new_privileges;
        /* A server holds sockets that the next broker needs, who is behind a proxy has lost it, and to a worker nobody
         * comes any more; whoever serves one connection may finish. */
        plan.death_signal = def->wait || def->proxy || service_def_is_pool(def) ? SIGTERM : 0;
        *ret = plan;
        plan = PLAN_NULL;
        return 0;
}
