/* Stands in for libFuzzer: gives every file named, and every file in every directory named, to the harness it is linked
 * with, and speaks TAP. What breaks a rule aborts, and the last line says with which file. */
#include "fuzz.h"

#include "base/strlist.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int is_visible(const struct dirent *entry) {
        return entry->d_name[0] != '.';
}

/* In the order of names, so that two runs are the same. */
static int add_directory(const char *path, struct strlist *files) {
        struct dirent **entries;
        int n = scandir(path, &entries, is_visible, alphasort), r = n < 0 ? n : 0;

        for (int i = 0; i < n; i++) {
                char *file;

                if (r == 0 && asprintf(&file, "%s/%s", path, entries[i]->d_name) >= 0)
                        r = strlist_consume(files, file);
                free(entries[i]);
        }
        if (n >= 0)
                free(entries);
        return r;
}

static bool replay_file(const char *path) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        char piece[4096];
        size_t n;
        FILE *file = fopen(path, "re");

        if (!file)
                return false;
        while ((n = fread(piece, 1, sizeof(piece), file)) > 0)
                buf_add(&text, piece, n);
        fclose(file);
        if (buf_failed(&text))
                return false;
        return LLVMFuzzerTestOneInput((const uint8_t *)buf_text(&text), text.size) == 0;
}

int main(int argc, char **argv) {
        AUTO(strlist_deinit) struct strlist files = STRLIST_NULL;
        bool ok = true;

        for (int i = 1; i < argc; i++) {
                struct stat st;

                if (stat(argv[i], &st) < 0 ||
                    (S_ISDIR(st.st_mode) ? add_directory(argv[i], &files) : strlist_add(&files, argv[i])) < 0) {
                        printf("Bail out! %s cannot be read\n", argv[i]);
                        return 1;
                }
        }
        printf("1..%zu\n", files.count);
        for (size_t i = 0; i < files.count; i++) {
                const char *name = strrchr(files.items[i], '/');
                bool passed;

                printf("# %s\n", files.items[i]);
                fflush(stdout);
                passed = replay_file(files.items[i]);
                printf("%sok %zu - %s\n", passed ? "" : "not ", i + 1, name ? name + 1 : files.items[i]);
                ok = ok && passed;
        }
        return ok && files.count > 0 ? 0 : 1;
}
