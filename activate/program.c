#include "activate/program.h"

#include "activate/say.h"
#include "activate/signals.h"
#include "base/err.h"
#include "base/fd.h"
#include "proc/identity.h"
#include "proc/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define STATUS_MISSING 127
#define STATUS_CANNOT 126
#define PIDFS_MAGIC 0x50494446

void program_deinit(struct program *program) {
        free(program->path);
        creds_deinit(&program->creds);
        strlist_deinit(&program->env);
        *program = PROGRAM_NULL;
}

int program_find(struct program *program) {
        char *path = NULL;
        const struct plan_search search = {
                .command = program->options->command[0],
                .path = strlist_get_env(&program->env, "PATH"),
        };
        int r = plan_find_program(&search, &path);

        if (r < 0)
                return r;
        free(program->path);
        program->path = path;
        program->found = true;
        return 0;
}

int program_say_failure(const struct program *program, int error) {
        const char *name = program->options->command[0];

        if (error == -ENOENT) {
                /* The file may be there and its interpreter not. */
                say_error(program->found ? "cannot execute '%s': it or its interpreter does not exist"
                                         : "there is no program '%s'",
                          name);
                return STATUS_MISSING;
        }
        say_error("cannot execute '%s': %s", name, err_text(error));
        return STATUS_CANNOT;
}

void program_format(const struct program *program, struct buf *out) {
        char **word = program->options->command;

        buf_printf(out, "%s (", *word);
        for (; *word; word++)
                buf_printf(out, "%s%s", *word, word[1] ? " " : ")");
}

static int resolve_user(const struct options *options, struct creds *ret) {
        const struct creds_request request = {.user = options->user, .groups = true};
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        enum creds_part part;
        int r;

        if (!options->user)
                return 0;
        r = creds_resolve(&request, ret, &part, &why);
        if (r == 0)
                return 0;
        say_error("--user=%s: %s", options->user, why.size > 0 ? buf_text(&why) : err_text(r));
        return EXIT_FAILURE;
}

int program_init(const struct options *options, const struct progenv_fds *fds, struct program *ret) {
        AUTO(program_deinit) struct program program = {.options = options};
        int r;

        r = resolve_user(options, &program.creds);
        if (r != 0)
                return r;
        r = progenv_make(options, &program.creds, fds, &program.env);
        if (r == 0)
                r = program_find(&program);
        if (r == -ENOMEM) {
                say_error("out of memory");
                return EXIT_FAILURE;
        }
        *ret = program;
        program = PROGRAM_NULL;
        return 0;
}

/* Those that stand where another is to go are moved out of the way first. Returns 0 or a negative errno. */
static int place_fds(struct launch_fd *fds, size_t fd_count) {
        int highest = STDERR_FILENO;

        for (size_t i = 0; i < fd_count; i++)
                highest = MAX_OF(highest, fds[i].to);
        for (size_t i = 0; i < fd_count; i++)
                if (fds[i].from <= highest && fds[i].from != fds[i].to) {
                        fds[i].from = fcntl(fds[i].from, F_DUPFD_CLOEXEC, highest + 1);
                        if (fds[i].from < 0)
                                return err_raise(-errno);
                }
        for (size_t i = 0; i < fd_count; i++) {
                int r = fds[i].from == fds[i].to ? fd_set_cloexec(fds[i].to, false) : dup3(fds[i].from, fds[i].to, 0);

                if (r < 0)
                        return r == -1 ? err_raise(-errno) : r;
        }
        /* Close-on-exec rather than closed: when exec fails we want to say so. */
        return fd_cloexec_from(highest + 1);
}

/* We become the program ourselves, by the steps of every child. */
static int become_user(const struct program *program, const char **ret_step) {
        struct launch_plan plan = PLAN_NULL;
        enum child_stage stage = CHILD_STAGE_NONE;
        int r;

        plan.creds = program->creds;
        plan.creds.drop_ambient = true;
        r = (int)identity_assume(&plan, 0, &stage);
        *ret_step = child_stage_names[stage];
        return r;
}

/* The inode of our pidfd, where the kernel has a file system for them; 0. */
static uint64_t own_pidfd_inode(void) {
        AUTO(fd_closep) int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
        struct statfs fs;
        struct stat st;

        if (fd < 0 || fstatfs(fd, &fs) < 0 || (unsigned)fs.f_type != PIDFS_MAGIC || fstat(fd, &st) < 0)
                return 0;
        return st.st_ino;
}

static int set_number(struct strlist *env, const char *name, uint64_t value) {
        char text[24];

        snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
        return strlist_set_env(env, name, text);
}

/* Says whose LISTEN_FDS is: ours, who become the program. */
static int stamp(struct program *program) {
        uint64_t pidfd_inode;
        int r;

        if (program->options->stdio)
                return 0;
        r = set_number(&program->env, "LISTEN_PID", (uint64_t)getpid());
        /* A variable newer than the program whose manner this is. */
        if (r < 0 || program->options->systemd)
                return r;
        pidfd_inode = own_pidfd_inode();
        return pidfd_inode ? set_number(&program->env, "LISTEN_PIDFDID", pidfd_inode) : 0;
}

int program_become(struct program *program, struct launch_fd *fds, size_t fd_count) {
        AUTO(buf_deinit) struct buf words = BUF_NULL;
        const char *step = "stamping the environment";
        int r;

        if (program->options->systemd && program->options->verbose) {
                program_format(program, &words);
                say_note("Execing %s", buf_text(&words));
        }
        r = stamp(program);
        if (r == 0) {
                step = "placing descriptors";
                r = place_fds(fds, fd_count);
        }
        if (r == 0)
                r = become_user(program, &step);
        if (r < 0) {
                say_error("%s failed: %s", step, err_text(r));
                return EXIT_FAILURE;
        }
        signals_unblock();
        execve(program->path, program->options->command, program->env.items);
        return program_say_failure(program, -errno);
}
