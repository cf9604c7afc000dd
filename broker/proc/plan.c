#include "proc/plan.h"

#include "base/err.h"
#include "base/fd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <paths.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void plan_words_deinit(struct plan_words *words) {
        if (!words->shared)
                free(words->items);
        free(words->dynamic);
        strlist_deinit(&words->owned);
        *words = (struct plan_words){0};
}

void plan_deinit(struct launch_plan *plan) {
        free(plan->path);
        plan_words_deinit(&plan->argv);
        plan_words_deinit(&plan->env);
        creds_deinit(&plan->creds);
        free(plan->rlimits);
        if (plan->rare) {
                free(plan->rare->command);
                free(plan->rare->cpus);
                free(plan->rare->root_dir);
                free(plan->rare);
        }
        free(plan->working_dir);
        *plan = PLAN_NULL;
}

static int note_dynamic(struct plan_words *words, size_t index) {
        size_t *dynamic = reallocarray(words->dynamic, words->dynamic_count + 1, sizeof(*dynamic));

        if (!dynamic)
                return err_raise(-ENOMEM);
        words->dynamic = dynamic;
        words->dynamic[words->dynamic_count++] = index;
        return 0;
}

int plan_words_add_borrowed(struct plan_words *words, const char *word) {
        assert(!words->shared);
        /* Grown in steps of eight: environments have some dozens of entries, and 5,000 services have one each. */
        if (words->count % 8 == 0) {
                char **items = reallocarray(words->items, words->count + 9, sizeof(*items));

                if (!items)
                        return err_raise(-ENOMEM);
                words->items = items;
        }
        words->items[words->count++] = (char *)word;
        words->items[words->count] = NULL;
        return 0;
}

int plan_words_add(struct plan_words *words, const char *word, bool dynamic) {
        int r = strlist_add(&words->owned, word);

        if (r == 0)
                r = plan_words_add_borrowed(words, words->owned.items[words->owned.count - 1]);
        if (r == 0 && dynamic)
                r = note_dynamic(words, words->count - 1);
        return r;
}

void plan_words_share(struct plan_words *words, char **items, size_t count) {
        *words = (struct plan_words){.items = items, .count = count, .shared = true};
}

int plan_add_rlimit(struct launch_plan *plan, int resource, const struct rlimit *limit) {
        struct plan_rlimit *rlimits = reallocarray(plan->rlimits, plan->rlimit_count + 1, sizeof(*rlimits));

        if (!rlimits)
                return err_raise(-ENOMEM);
        plan->rlimits = rlimits;
        plan->rlimits[plan->rlimit_count++] = (struct plan_rlimit){.resource = resource, .limit = *limit};
        return 0;
}

int plan_add_rare(struct launch_plan *plan) {
        if (!plan->rare)
                plan->rare = calloc(1, sizeof(*plan->rare));
        return plan->rare ? 0 : err_raise(-ENOMEM);
}

void plan_format_oom_score_adj(int32_t value, char text[PLAN_OOM_TEXT_MAX]) {
        assert(value >= -1000 && value <= 1000);
        snprintf(text, PLAN_OOM_TEXT_MAX, "%" PRId32, value);
}

static int check_mode(mode_t mode, int access_result) {
        return S_ISREG(mode) && access_result == 0 ? 0 : -EACCES;
}

static int check_outside(const char *path) {
        struct stat st;

        if (stat(path, &st) < 0)
                return errno == EACCES ? -EACCES : -ENOENT;
        return check_mode(st.st_mode, access(path, X_OK));
}

/* Links are followed as the program will: none leads out of the root directory, absolute ones begin there. Where a
 * container's seccomp filter is older than openat2(2), without that care. */
static int check_inside(int root, const char *path) {
        struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
        AUTO(fd_closep) int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
        struct stat st;

        if (fd < 0 && (errno == ENOSYS || errno == EPERM))
                fd = openat(root, path + strspn(path, "/"), O_PATH | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return errno == EACCES ? -EACCES : -ENOENT;
        return check_mode(st.st_mode, faccessat(fd, "", X_OK, AT_EMPTY_PATH));
}

/* 0 when PATH can be executed; -EACCES when it is there and cannot; -ENOENT. ROOT is -EBADF for our own. */
static int check_program(int root, const char *path) {
        return root < 0 ? check_outside(path) : check_inside(root, path);
}

static int find_in_path(const struct plan_search *search, int root, char **ret) {
        int r, result = -ENOENT;

        for (const char *dir = search->path ? search->path : _PATH_DEFPATH; dir;) {
                const char *end = strchrnul(dir, ':');
                AUTO(freep) char *path = NULL;

                /* An empty entry means the working directory; nobody wants that of a daemon. */
                if (end > dir) {
                        if (asprintf(&path, "%.*s/%s", (int)(end - dir), dir, search->command) < 0)
                                return err_raise(-ENOMEM);
                        r = check_program(root, path);
                        if (r == 0) {
                                *ret = take_ptr(path);
                                return 0;
                        }
                        if (r == -EACCES)
                                result = r;
                }
                dir = *end ? end + 1 : NULL;
        }
        return result;
}

int plan_find_program(const struct plan_search *search, char **ret) {
        AUTO(fd_closep) int root = -EBADF;
        int r;

        if (search->root_dir) {
                root = open(search->root_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (root < 0)
                        return -errno;
        }
        if (!strchr(search->command, '/'))
                return find_in_path(search, root, ret);
        r = check_program(root, search->command);
        if (r == 0 && !(*ret = strdup(search->command)))
                r = -ENOMEM;
        return r;
}
