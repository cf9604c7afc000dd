/* The files that importers see: those that a harness makes of its input, and one to include. */
#include "fuzzimport.h"

#include "conf/confdir.h"
#include "import/source.h"

#include <errno.h>
#include <glob.h>
#include <string.h>

#define FILE_NAME "input"

bool __wrap_source_open(struct source *source, struct sheet *sheet, const char *path, const struct mark *from);
int __wrap_source_scan(const char *path, struct dirent ***ret, int (*filter)(const struct dirent *));
int __wrap_glob(const char *pattern, int flags, int (*on_error)(const char *, int), glob_t *ret);

#define FILES_MAX 4

static struct fuzz_file files[FILES_MAX];

static const char *find_text(const char *path) {
        for (size_t i = 0; i < FILES_MAX && files[i].name; i++)
                if (strcmp(files[i].name, path) == 0)
                        return files[i].text;
        return NULL;
}

bool fuzz_has_file(const char *path) {
        return find_text(path) != NULL;
}

bool __wrap_source_open(struct source *source, struct sheet *sheet, const char *path, const struct mark *from) {
        static const char more[] = "service http\n{\nsocket_type = stream\nwait = no\nuser = nobody\nserver = /x\n}\n";
        const char *text = strcmp(path, "more") == 0 ? more : find_text(path);
        const struct mark whole = {.file = path};

        if (!text) {
                sheet_refuse(&sheet->top, from ? from : &whole, "%s cannot be read: there is no such file", path);
                return false;
        }
        *source = (struct source){.name = sheet_copy(sheet, path), .next = sheet_copy(sheet, text)};
        return true;
}

int __wrap_source_scan(const char *path UNUSED, struct dirent ***ret UNUSED,
                       int (*filter)(const struct dirent *) UNUSED) {
        errno = ENOENT;
        return -1;
}

/* Nothing can be searched for but FILE itself and the other one. */
int __wrap_glob(const char *pattern, int flags UNUSED, int (*on_error)(const char *, int) UNUSED, glob_t *ret) {
        *ret = (glob_t){0};
        if (strcmp(pattern, FILE_NAME) != 0 && strcmp(pattern, "more") != 0)
                return GLOB_NOMATCH;
        ret->gl_pathv = calloc(2, sizeof(*ret->gl_pathv));
        if (!ret->gl_pathv)
                return GLOB_NOSPACE;
        ret->gl_pathv[ret->gl_pathc++] = strdup(pattern);
        return 0;
}

#define PRINTED_NAME "imported.yaml"

/* What is wrong with the world, other files among it, and not with what was printed: a name may stand for an address
 * that is there already. */
static bool is_excused(const char *message, const char *printed) {
        static const char *const excuses[] = {"cannot be looked up", "cannot be read",       "there is no user",
                                              "there is no group",   "no network interface", "which does not exist",
                                              "only root can"};

        if (strncmp(message, PRINTED_NAME ":", strlen(PRINTED_NAME ":")) != 0)
                return true;
        for (size_t i = 0; i < LENGTH_OF(excuses); i++)
                if (strstr(message, excuses[i]))
                        return true;
        return strstr(message, "is taken already") && strstr(printed, "localhost:");
}

static void load(struct buf *text) {
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        struct def_set *set = confdir_load_text(PRINTED_NAME, text, &diag);
        enum diag_level level;

        for (size_t i = 0;; i++) {
                AUTO(buf_deinit) struct buf message = BUF_NULL;

                if (!diag_format_entry(&diag, i, &message, &level))
                        break;
                MUST(level == DIAG_WARNING || is_excused(buf_text(&message), buf_text(text)), "%s\n%s",
                     buf_text(&message), buf_text(text));
        }
        def_set_free(set);
}

void fuzz_import_files(void (*importer)(struct import *import), const struct fuzz_file *given, size_t count) {
        AUTO(buf_deinit) struct buf printed = BUF_NULL, messages = BUF_NULL;
        char *names[FILES_MAX + 1] = {0};
        char **end = names;
        struct import import = {.files = names};

        MUST(count <= FILES_MAX, "%zu files", count);
        memset(files, 0, sizeof(files));
        for (size_t i = 0; i < count; i++) {
                files[i] = given[i];
                if (given[i].is_named)
                        *end++ = (char *)given[i].name;
        }
        sheet_init(&import.sheet);
        importer(&import);
        sheet_print(&import.sheet, &printed);
        diag_format(&import.sheet.diag, &messages);
        MUST(!import.sheet.failed, "out of memory");
        for (const struct sheet_service *service = import.sheet.first; service; service = service->next)
                MUST(!service->refused || import.sheet.diag.errors > 0, "%s", buf_text(&printed));
        load(&printed);
        sheet_deinit(&import.sheet);
}

void fuzz_import(void (*importer)(struct import *import), const uint8_t *data, size_t size) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        struct fuzz_file file = {.name = FILE_NAME, .is_named = true};

        buf_add(&text, (const char *)data, size);
        file.text = buf_text(&text);
        fuzz_import_files(importer, &file, 1);
}
