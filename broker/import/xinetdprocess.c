/* The program of a service: what is started, as whom, with which environment and limits. */
#include "base/ids.h"
#include "base/number.h"
#include "conf/refuse.h"
#include "import/xinetd.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void make_command(struct xinetd_job *job) {
        const char *server = job_value(job, "server");
        struct xinetd_attr *args = job_take(job, "server_args");
        const struct xinetd_word *word = args ? args->words : NULL;

        if (!server) {
                sheet_refuse(job->out, &job->entry->mark, "server is missing; xinetd does not start it either");
                return;
        }
        if (server[0] != '/')
                sheet_refuse(job->out, job_mark(job, "server"), "server = %s: an absolute path is needed", server);
        sheet_program(job->out, job_mark(job, "server"), server);
        if (job->flags & XINETD_FLAG_NAMEINARGS) {
                if (!word) {
                        sheet_refuse(job->out, job_mark(job, "flags"), "flags = NAMEINARGS: server_args is missing");
                        return;
                }
                sheet_text(job->out, "argv0", sheet_dollars(job->sheet, word->text));
                word = word->next;
        }
        for (; word; word = word->next)
                sheet_append(job->out, "command", sheet_dollars(job->sheet, word->text));
}

/* The group that the database has for USER, a name or a number: initgroups() adds it, whatever `group` says. False
 * where the database has no such user. To root it is 0 everywhere. */
static bool find_own_group(const char *user, gid_t *ret) {
        const struct passwd *entry;
        uid_t uid;

        if (ids_find_user(user, &uid) < 0)
                return false;
        entry = getpwnam(user);
        if (!entry)
                entry = getpwuid(uid);
        *ret = entry ? entry->pw_gid : 0;
        return entry || uid == 0;
}

/* With groups = yes xinetd gives the program the user's own group beside another one that it has by GROUP. */
static void keep_group(struct xinetd_job *job, const char *user, const char *group) {
        const struct group *entry;
        gid_t own, given;

        if (!find_own_group(user, &own)) {
                sheet_note(job->out, "group_add", job_mark(job, "user"),
                           "user = %s: it is not known here; xinetd keeps its own group, too, which group_add can say",
                           user);
                return;
        }
        if (ids_find_group(group, &given) == 0 && given == own)
                return;
        sheet_remark(job->out, "group_add", "xinetd keeps the user's own group");
        entry = getgrgid(own);
        sheet_append(job->out, "group_add", entry ? entry->gr_name : sheet_printf(job->sheet, "%u", own));
}

static void make_identity(struct xinetd_job *job) {
        const char *user = job_value(job, "user"), *group = job_value(job, "group");
        bool numeric = user && user[strspn(user, "0123456789")] == '\0';

        if (user && refuse_owner(user))
                sheet_refuse(job->out, job_mark(job, "user"), "user = %s: it %s", user, refuse_owner(user));
        else if (user)
                sheet_text(job->out, "user", user);
        else
                sheet_refuse(job->out, &job->entry->mark, "user is missing; xinetd does not start it either");
        if (group && refuse_group(group)) {
                sheet_refuse(job->out, job_mark(job, "group"), "group = %s: it %s", group, refuse_group(group));
        } else if (group) {
                sheet_text(job->out, "group", group);
        } else if (numeric) {
                sheet_remark(job->out, "group", "xinetd takes a number for the group, too");
                sheet_text(job->out, "group", user);
        }
        if (!job_is(job, "groups", false))
                sheet_raw(job->out, "groups", "no");
        else if (user && (group || numeric))
                keep_group(job, user, group ? group : user);
}

/* Variables that the broker sets, and that definitions cannot. */
static bool is_reserved(const char *name) {
        static const char *const names[] = {"LISTEN_FDS",    "LISTEN_PID",   "LISTEN_FDNAMES", "LISTEN_PIDFDID",
                                            "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"};

        for (size_t i = 0; i < LENGTH_OF(names); i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        return false;
}

static void make_environment(struct xinetd_job *job) {
        struct xinetd_attr *env = job_take(job, "env"), *pass = job_take(job, "passenv");

        for (const struct xinetd_word *word = env ? env->words : NULL; word; word = word->next) {
                const char *equals = strchr(word->text, '=');
                char *name = equals ? sheet_printf(job->sheet, "%.*s", (int)(equals - word->text), word->text) : NULL;

                if (!equals || (name && refuse_env_name(name)))
                        sheet_refuse(job->out, &word->line->mark, "env = %s: not a NAME=VALUE", word->text);
                else if (name && is_reserved(name))
                        sheet_note(job->out, "environment", &word->line->mark, "env = %s: the broker's to set",
                                   word->text);
                else if (name)
                        node_text(node_key(sheet_key(job->out, "environment"), name),
                                  sheet_dollars(job->sheet, equals + 1));
        }
        if (!pass)
                return;
        if (!pass->words)
                sheet_raw(job->out, "pass_environment", "no");
        for (const struct xinetd_word *word = pass->words; word; word = word->next)
                if (refuse_env_name(word->text))
                        sheet_refuse(job->out, &word->line->mark, "passenv %s: it %s", word->text,
                                     refuse_env_name(word->text));
                else
                        sheet_append(job->out, "pass_environment", word->text);
}

/* A number, with K or M behind it where SIZED. False where it is none. */
static bool read_limit(const char *text, bool sized, uint64_t *ret) {
        const char *end = text;
        uint64_t value = 0, factor = 1;

        for (; *end >= '0' && *end <= '9'; end++)
                if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
                    __builtin_add_overflow(value, (uint64_t)(*end - '0'), &value))
                        return false;
        if (sized && (*end == 'k' || *end == 'K'))
                factor = 1024;
        else if (sized && (*end == 'm' || *end == 'M'))
                factor = 1024 * 1024;
        if (end == text || end[factor > 1] != '\0' || __builtin_mul_overflow(value, factor, &value))
                return false;
        *ret = value;
        return true;
}

static void make_limits(struct xinetd_job *job) {
        static const struct {
                const char *name, *here;
                bool sized;
        } limits[] = {
                {"rlimit_as", "as", true},         {"rlimit_cpu", "cpu", false}, {"rlimit_data", "data", true},
                {"rlimit_files", "nofile", false}, {"rlimit_rss", "rss", true},  {"rlimit_stack", "stack", true},
        };

        for (size_t i = 0; i < LENGTH_OF(limits); i++) {
                const char *value = job_value(job, limits[i].name);
                struct sheet_node *node;
                uint64_t number;

                if (!value)
                        continue;
                node = node_key(sheet_key(job->out, "ulimits"), limits[i].here);
                if (strcasecmp(value, "UNLIMITED") == 0)
                        node_raw(node, "unlimited");
                else if (read_limit(value, limits[i].sized, &number))
                        node_raw(node, "%llu", (unsigned long long)number);
                else
                        sheet_refuse(job->out, job_mark(job, limits[i].name), "%s = %s: not a number", limits[i].name,
                                     value);
        }
}

static void make_rest(struct xinetd_job *job) {
        const char *umask = job_value(job, "umask"), *nice = job_value(job, "nice");
        int64_t number;
        mode_t mode;

        if (umask && (number_parse_mode(umask, &mode) < 0 || mode > 0777))
                sheet_refuse(job->out, job_mark(job, "umask"), "umask = %s: not 000 to 777", umask);
        else if (umask)
                sheet_text(job->out, "umask", umask);
        if (nice && number_parse(nice, -20, 19, &number) < 0)
                sheet_refuse(job->out, job_mark(job, "nice"), "nice = %s: not -20 to 19", nice);
        else if (nice)
                sheet_raw(job->out, "nice", "%d", (int)number);
}

void job_process(struct xinetd_job *job) {
        static const char *const without[] = {"user", "group", "groups", "umask", "nice", "server"};

        if (job->form == XINETD_PROGRAM) {
                make_command(job);
                make_identity(job);
                make_environment(job);
                make_limits(job);
                make_rest(job);
                sheet_text(job->out, "working_dir", "/");
                sheet_text(job->out, "stderr", "socket");
                return;
        }
        for (size_t i = 0; i < LENGTH_OF(without); i++)
                if (xinetd_find(job->entry, without[i]))
                        job_remark(job, without[i], SHEET_END, "no program is started");
        if (job->flags & XINETD_FLAG_NAMEINARGS)
                sheet_remark(job->out, SHEET_END, "flags = NAMEINARGS: no program is started");
}
