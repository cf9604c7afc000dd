#include "activate/progenv.h"

#include "activate/say.h"
#include "base/buf.h"
#include "base/err.h"
#include "net/connenv.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool has_name(const char *entry, const char *const *names) {
        for (; *names; names++) {
                size_t n = strlen(*names);

                if (strncmp(entry, *names, n) == 0 && entry[n] == '=')
                        return true;
        }
        return false;
}

static bool is_passed(const struct options *options, const char *entry) {
        static const char *const systemd_passes[] = {"TERM", "PATH", "USER", "HOME", NULL};
        static const char *const sockets[] = {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID", NULL};
        static const char *const supervision[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", NULL};

        if (options->systemd)
                return has_name(entry, systemd_passes);
        /* Where we become the program our supervisor still speaks with the process it started. */
        if (options->mode == MODE_ACCEPT && has_name(entry, supervision))
                return false;
        return !has_name(entry, sockets);
}

static int add_user(const struct creds *creds, struct strlist *env) {
        int r;

        if (!creds->name)
                return 0;
        r = strlist_set_env(env, "USER", creds->name);
        if (r == 0)
                r = strlist_set_env(env, "LOGNAME", creds->name);
        if (r == 0)
                r = strlist_set_env(env, "HOME", creds->home);
        return r < 0 ? r : strlist_set_env(env, "SHELL", creds->shell);
}

/* The names as sd_listen_fds_with_names(3) wants them, one for each descriptor: a single one is that of all, missing
 * ones are "unknown", superfluous ones are left out. */
static int add_fdnames(const struct options *options, const struct progenv_fds *fds, struct strlist *env) {
        const struct strlist *names = options->fdnames.count == 0 && fds->names ? fds->names : &options->fdnames;
        size_t fd_count = fds->count;
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        if (names->count == 0) {
                if (options->mode == MODE_WAIT || options->systemd)
                        return 0;
                return strlist_set_env(env, "LISTEN_FDNAMES", options->workers > 0 ? "queue" : "connection");
        }
        for (size_t i = 0; i < fd_count; i++) {
                const char *name = names->count == 1 ? names->items[0] : i < names->count ? names->items[i] : "unknown";

                buf_printf(&text, "%s%s", i > 0 ? ":" : "", name);
        }
        if (names->count > 1 && names->count != fd_count)
                say_error("--fdname gives %zu names, and there are %zu descriptors", names->count, fd_count);
        return buf_failed(&text) ? err_raise(-ENOMEM) : strlist_set_env(env, "LISTEN_FDNAMES", buf_text(&text));
}

static int add_listen(const struct options *options, const struct progenv_fds *fds, struct strlist *env) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        int r;

        if (options->stdio)
                return 0;
        /* Set for each process, not by -E. */
        strlist_unset_env(env, "LISTEN_PID");
        strlist_unset_env(env, "LISTEN_PIDFDID");
        buf_printf(&text, "%zu", fds->count);
        if (buf_failed(&text))
                return err_raise(-ENOMEM);
        r = strlist_set_env(env, "LISTEN_FDS", buf_text(&text));
        return r < 0 ? r : add_fdnames(options, fds, env);
}

/* "NAME=VALUE" of -E in place of our own. */
static int add_given(const struct options *options, struct strlist *env) {
        for (size_t i = 0; i < options->environment.count; i++) {
                const char *entry = options->environment.items[i];
                size_t n = strcspn(entry, "=");
                AUTO(freep) char *name = strndup(entry, n);
                int r = name ? strlist_set_env(env, name, entry + n + 1) : err_raise(-ENOMEM);

                if (r < 0)
                        return r;
        }
        return 0;
}

int progenv_make(const struct options *options, const struct creds *creds, const struct progenv_fds *fds,
                 struct strlist *ret) {
        AUTO(strlist_deinit) struct strlist env = STRLIST_NULL;
        int r = 0;

        for (char **entry = environ; *entry && r == 0; entry++)
                if (is_passed(options, *entry))
                        r = strlist_add(&env, *entry);
        if (r == 0)
                r = add_user(creds, &env);
        if (r == 0)
                r = add_given(options, &env);
        if (r == 0)
                r = add_listen(options, fds, &env);
        if (r < 0)
                return r;
        /* Another connection's, from whoever started us, or what only we can know. */
        for (size_t i = 0; connenv_names[i] && progenv_has_connection(options); i++)
                strlist_unset_env(&env, connenv_names[i]);
        *ret = env;
        env = STRLIST_NULL;
        return 0;
}
