#include "proc/plan.h"

#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <paths.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

/* 0 when PATH can be executed; -EACCES when it is there and cannot; -ENOENT. */
static int check_program(const char *path) {
        struct stat st;

        if (stat(path, &st) < 0)
                return errno == EACCES ? -EACCES : -ENOENT;
        return S_ISREG(st.st_mode) && access(path, X_OK) == 0 ? 0 : -EACCES;
}

int plan_find_program(const char *command, const char *search, char **ret) {
        int r, result = -ENOENT;

        if (strchr(command, '/')) {
                r = check_program(command);
                if (r == 0 && !(*ret = strdup(command)))
                        r = -ENOMEM;
                return r;
        }
        for (const char *dir = search ? search : _PATH_DEFPATH; dir;) {
                const char *end = strchrnul(dir, ':');
                AUTO(freep) char *path = NULL;

                /* An empty entry means the working directory; nobody wants that of a daemon. */
                if (end > dir) {
                        if (asprintf(&path, "%.*s/%s", (int)(end - dir), dir, command) < 0)
                                return err_raise(-ENOMEM);
                        r = check_program(path);
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
