#include "ctl/upgrade.h"

#include "base/capability.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "config.h"
#include "core/command.h"
#include "core/keep.h"
#include "core/upgradecheck.h"
#include "ctl/report.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

/* Programs on their way to exec go on in the memory that we leave, but why one fails there only we can know: we wait a
 * little, since it rarely takes more than a millisecond, and not for ever, since its user can stop it. */
#define LAUNCH_PATIENCE (200 * USEC_PER_MSEC)
/* For orders that are being carried out, and sockets that have given way: those are closed a second later
 * (core/lingering). */
#define PATIENCE (3 * USEC_PER_SEC)
#define LOOK_INTERVAL (2 * USEC_PER_MSEC)
#define CHECKS_MAX 3 /* of a binary that changes while it is looked at, or of definitions that do */

struct upgrade {
        struct manager *manager; /* borrowed */
        char **argv;             /* borrowed */
        char *path;              /* NULL: nobody knows, and there is no upgrade */
        unsigned count;
        bool busy;
        unsigned checks;
        struct upgrade_check *check;
        struct stat binary; /* the one that is, or was, tried */
        uint64_t reloads;   /* how many there had been then: it has seen no later definitions */
        char token[UPGRADE_TOKEN_MAX];
        usec_t checked_at;
        sd_event_source *timer;
        upgrade_done_fn *done; /* NULL: nobody asks any more */
        void *userdata;
};

/* A name that says which file is open somewhere; later that is another one, or always the one that runs. */
static bool is_of_open_file(const char *name) {
        return strncmp(name, "/proc/", strlen("/proc/")) == 0 || strncmp(name, "/dev/fd/", strlen("/dev/fd/")) == 0;
}

/* Without /proc nothing says otherwise. */
static bool is_own_binary(const char *name) {
        struct stat by_name, own;

        if (!name || is_of_open_file(name) || stat(name, &by_name) < 0)
                return false;
        return stat("/proc/self/exe", &own) < 0 || (by_name.st_dev == own.st_dev && by_name.st_ino == own.st_ino);
}

/* The path by which we were started rather than the file's: a link may point to another version by then. */
static char *find_binary(void) {
        const char *name = (const char *)getauxval(AT_EXECFN);
        char target[PATH_MAX];
        static const char deleted[] = " (deleted)";
        ssize_t n;

        if (is_own_binary(name)) {
                char *directory = name[0] == '/' ? NULL : getcwd(NULL, 0), *path = NULL;

                if (asprintf(&path, "%s%s%s", directory ? directory : "", directory ? "/" : "", name) < 0)
                        path = NULL;
                free(directory);
                return path;
        }
        n = readlink("/proc/self/exe", target, sizeof(target) - 1);
        if (n < 0)
                return NULL;
        target[n] = '\0';
        /* Replaced since. */
        if ((size_t)n > strlen(deleted) && strcmp(target + n - strlen(deleted), deleted) == 0 &&
            access(target, F_OK) < 0)
                target[(size_t)n - strlen(deleted)] = '\0';
        return strdup(target);
}

int upgrade_new(struct manager *manager, char **argv, struct upgrade **ret) {
        struct upgrade *upgrade = calloc(1, sizeof(*upgrade));

        if (!upgrade)
                return err_raise(-ENOMEM);
        upgrade->manager = manager;
        upgrade->argv = argv;
        upgrade->path = find_binary();
        *ret = upgrade;
        return 0;
}

struct upgrade *upgrade_free(struct upgrade *upgrade) {
        if (!upgrade)
                return NULL;
        upgrade->timer = sd_event_source_disable_unref(upgrade->timer);
        upgrade_check_free(upgrade->check);
        free(upgrade->path);
        free(upgrade);
        return NULL;
}

unsigned upgrade_count(const struct upgrade *upgrade) {
        return upgrade->count;
}

void upgrade_set_count(struct upgrade *upgrade, unsigned count) {
        upgrade->count = count;
}

void upgrade_forget(struct upgrade *upgrade, const void *userdata) {
        if (upgrade->userdata == userdata)
                upgrade->done = NULL;
}

bool upgrade_is_under_way(const struct upgrade *upgrade) {
        return upgrade->busy;
}

static void tell(struct upgrade *upgrade, enum upgrade_outcome outcome, const char *why) {
        upgrade_done_fn *done = upgrade->done;

        if (outcome != UPGRADE_BEGINS)
                upgrade->done = NULL;
        if (done)
                done(upgrade->userdata, outcome, why);
}

static void end(struct upgrade *upgrade, enum upgrade_outcome outcome, const char *why) {
        log_event(LOG_LEVEL_ERROR, LOG_FIELDS(LOG_STRING("binary", upgrade->path)),
                  "upgrade: refused, this broker goes on: %s", why);
        upgrade->busy = false;
        tell(upgrade, outcome, why);
}

static void refuse(struct upgrade *upgrade, const char *why) {
        end(upgrade, UPGRADE_REFUSED, why);
}

static void end_for_error(struct upgrade *upgrade, enum upgrade_outcome outcome, const char *what, int error) {
        AUTO(buf_deinit) struct buf why = BUF_NULL;

        buf_printf(&why, "%s: %s", what, err_text(error));
        log_err_site(error);
        end(upgrade, outcome, buf_text(&why));
}

static void refuse_for_error(struct upgrade *upgrade, const char *what, int error) {
        end_for_error(upgrade, UPGRADE_REFUSED, what, error);
}

/* It gets the same, and has to understand them. */
static void save_arguments(struct upgrade *upgrade, struct state_out out) {
        struct strlist arguments = {.items = upgrade->argv};

        while (arguments.items[arguments.count])
                arguments.count++;
        state_put_texts(out, "arguments", &arguments);
}

/* What the new binary could lose by being executed, where its file has capabilities. */
static void save_process(struct upgrade *upgrade, struct state_out out) {
        struct capability_sets own;

        state_put_text(out, "version", VERSION);
        state_put_text(out, "token", upgrade->token);
        state_put_integer(out, "upgrades", upgrade->count + 1);
        save_arguments(upgrade, out);
        if (capability_get_own(&own) == 0)
                state_put_integer(out, "capabilities", (int64_t)own.permitted);
}

/* Writes everything down. Returns the descriptor of the state with WRITER filled, or a negative errno. */
static int write_state(struct upgrade *upgrade, struct state_writer *writer) {
        int r = state_writer_init(writer);

        if (r < 0)
                return r;
        save_process(upgrade, state_root(writer));
        manager_save(upgrade->manager, state_root(writer));
        if (writer->problem) {
                log_warning("upgrade: %s", writer->problem);
                return err_raise(-EBUSY);
        }
        return state_seal(writer);
}

static int make_token(char token[UPGRADE_TOKEN_MAX]) {
        unsigned char bytes[(UPGRADE_TOKEN_MAX - 1) / 2];

        if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
                return err_raise(-EIO);
        for (size_t i = 0; i < sizeof(bytes); i++)
                snprintf(token + 2 * i, 3, "%02x", bytes[i]);
        return 0;
}

static void begin_check(struct upgrade *upgrade);
static void arm_timer(struct upgrade *upgrade, usec_t delay);

static bool is_same_binary(const struct upgrade *upgrade) {
        const struct stat *was = &upgrade->binary;
        struct stat now;

        return stat(upgrade->path, &now) == 0 && now.st_dev == was->st_dev && now.st_ino == was->st_ino &&
               now.st_size == was->st_size && now.st_mtim.tv_sec == was->st_mtim.tv_sec &&
               now.st_mtim.tv_nsec == was->st_mtim.tv_nsec;
}

static int keep_open(const struct state_writer *writer, int state_fd, bool on) {
        int r = fd_set_cloexec(state_fd, !on);

        for (size_t i = 0; i < writer->fd_count && r == 0; i++)
                if (writer->fds[i] > STDERR_FILENO)
                        r = fd_set_cloexec(writer->fds[i], !on);
        return r;
}

/* Does not return when all goes well. */
static int become(struct upgrade *upgrade, const struct state_writer *writer, int state_fd) {
        char number[16];
        int r;

        snprintf(number, sizeof(number), "%d", state_fd);
        r = keep_open(writer, state_fd, true);
        if (r == 0 && setenv(UPGRADE_STATE_VARIABLE, number, 1) < 0)
                r = -ENOMEM;
        if (r == 0) {
                execve(upgrade->path, upgrade->argv, environ);
                r = -errno;
        }
        unsetenv(UPGRADE_STATE_VARIABLE);
        keep_open(writer, state_fd, false);
        return err_raise(r);
}

static void take_the_step(struct upgrade *upgrade) {
        AUTO(state_writer_deinit) struct state_writer writer = STATE_WRITER_NULL;
        AUTO(fd_closep) int state_fd = -EBADF;
        struct process *process;
        int r;

        list_for_each(process, &upgrade->manager->host.running, host_link)
                process_note_failure(process);
        log_event(LOG_LEVEL_INFO, LOG_FIELDS(LOG_STRING("binary", upgrade->path)), "upgrade: becoming the new binary");
        log_flush();
        manager_pause_idle(upgrade->manager);
        state_fd = write_state(upgrade, &writer);
        if (state_fd < 0) {
                manager_resume_idle(upgrade->manager);
                refuse_for_error(upgrade, "the state of this broker cannot be written down", state_fd);
                return;
        }
        report_reloading("Becoming the new binary");
        tell(upgrade, UPGRADE_BEGINS, "");
        r = become(upgrade, &writer, state_fd);
        report_ready(upgrade->manager);
        manager_resume_idle(upgrade->manager);
        end_for_error(upgrade, UPGRADE_FAILED, "the new binary cannot be executed", r);
}

/* What the step has to wait for. NULL: nothing; PATIENCE is how long it does. */
static const char *find_obstacle(struct manager *manager, usec_t *patience) {
        *patience = PATIENCE;
        /* Whoever gave an order could not be told of its end. */
        if (command_is_awaited(manager))
                return "an order is still being carried out";
        if (!list_is_empty(&manager->lingering.ports))
                return "sockets that have given way are still open";
        *patience = LAUNCH_PATIENCE;
        return launcher_is_idle(manager->launcher) && manager_is_settled(manager) ? NULL : "";
}

static void go_on(struct upgrade *upgrade) {
        usec_t waited = clock_monotonic() - upgrade->checked_at, patience;
        const char *obstacle = find_obstacle(upgrade->manager, &patience);

        if (upgrade->manager->draining)
                refuse(upgrade, "the broker is about to end");
        else if (obstacle && waited < patience)
                arm_timer(upgrade, LOOK_INTERVAL);
        else if (obstacle && *obstacle)
                refuse(upgrade, obstacle);
        else if (is_same_binary(upgrade) && upgrade->reloads == upgrade->manager->reloads_done)
                take_the_step(upgrade);
        else if (upgrade->checks < CHECKS_MAX)
                begin_check(upgrade);
        else
                refuse(upgrade, "the new binary, or the definitions, change all the time");
}

static int on_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata) {
        struct upgrade *upgrade = userdata;

        upgrade->check = upgrade_check_free(upgrade->check);
        go_on(upgrade);
        return 0;
}

static void arm_timer(struct upgrade *upgrade, usec_t delay) {
        int r;

        if (!upgrade->timer) {
                r = sd_event_add_time_relative(upgrade->manager->event, &upgrade->timer, CLOCK_MONOTONIC, delay, 1,
                                               on_timer, upgrade);
        } else {
                r = sd_event_source_set_time_relative(upgrade->timer, delay);
                if (r >= 0)
                        r = sd_event_source_set_enabled(upgrade->timer, SD_EVENT_ONESHOT);
        }
        if (r < 0)
                refuse_for_error(upgrade, "a timer cannot be set", r);
}

static void on_checked(void *userdata, bool ok, const char *why) {
        struct upgrade *upgrade = userdata;

        upgrade->checked_at = clock_monotonic();
        if (ok)
                arm_timer(upgrade, 0);
        else
                refuse(upgrade, why);
}

/* Not from within its own callback. */
static void begin_check(struct upgrade *upgrade) {
        AUTO(state_writer_deinit) struct state_writer writer = STATE_WRITER_NULL;
        AUTO(fd_closep) int state_fd = -EBADF;
        struct upgrade_check_order order = {
                .path = upgrade->path,
                .argv0 = upgrade->argv[0],
                .token = upgrade->token,
                .done = on_checked,
                .userdata = upgrade,
        };
        int r;

        upgrade->check = upgrade_check_free(upgrade->check);
        upgrade->checks++;
        upgrade->reloads = upgrade->manager->reloads_done;
        if (stat(upgrade->path, &upgrade->binary) < 0) {
                refuse_for_error(upgrade, "there is no new binary", -errno);
                return;
        }
        r = make_token(upgrade->token);
        if (r == 0)
                r = state_fd = write_state(upgrade, &writer);
        if (r < 0) {
                refuse_for_error(upgrade, "the state of this broker cannot be written down", r);
                return;
        }
        order.state_fd = state_fd;
        r = upgrade_check_start(upgrade->manager, &order, &upgrade->check);
        if (r < 0)
                refuse_for_error(upgrade, "the new binary cannot be tried", r);
}

void upgrade_begin(struct upgrade *upgrade, upgrade_done_fn *done, void *userdata) {
        upgrade->busy = true;
        upgrade->checks = 0;
        upgrade->done = done;
        upgrade->userdata = userdata;
        if (upgrade->manager->draining)
                refuse(upgrade, "the broker is about to end");
        else if (!upgrade->path)
                refuse(upgrade, "nothing says where the broker's binary is: it was started by no path, and there is no "
                                "/proc");
        else
                begin_check(upgrade);
}
