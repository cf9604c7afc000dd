#include "conf/confdir.h"

#include "conf/check.h"
#include "conf/refuse.h"
#include "conf/textfile.h"
#include "conf/toplevel.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct loader {
        struct def_set *set;
        size_t room; /* of set->services */
        struct diag *diag;
        const struct kept *kept;
        struct nameset names; /* of services */
        struct check check;
        struct mark broker_mark;     /* of the first `broker:` */
        struct service_def fallback; /* what the tables say */
};

/* One file while it is read. */
struct file_reader {
        struct loader *loader;
        struct decoder dec;
        struct toplevel top;
        struct service_def defaults; /* what the tables say, then what the file says */
        struct record record;        /* of defaults */
};

static void report_file(struct loader *loader, const char *name, const char *text) {
        diag_error(loader->diag, &(struct mark){.file = name}, NULL, "%s", text);
}

static void report_memory(struct loader *loader, const char *name) {
        report_file(loader, name, "cannot be read: out of memory");
}

static bool add_service(struct loader *loader, struct service_def *def) {
        struct def_set *set = loader->set;

        if (set->count == loader->room) {
                size_t room = MAX_OF(loader->room * 2, (size_t)16);
                struct service_def **services = reallocarray(set->services, room, sizeof(struct service_def *));

                if (!services)
                        return false;
                set->services = services;
                loader->room = room;
        }
        set->services[set->count++] = def;
        return true;
}

/* Checks the name of a service; notes it as taken when it is good. */
static bool check_name(struct file_reader *file, const struct node *node) {
        const char *problem = refuse_service_name(node->text);
        const struct nameset_item *first = nameset_find(&file->loader->names, node->text);
        const struct nameset_item item = {.mark = decode_mark(&file->dec, node)};

        if (problem) {
                decode_error(&file->dec, node, "'%s' %s", quote_text(node->text).text, problem);
                return false;
        }
        if (first) {
                decode_error(&file->dec, node, "is defined already, at %s:%u:%u", first->mark.file, first->mark.line,
                             first->mark.column);
                return false;
        }
        return nameset_put(&file->loader->names, node->text, &item) == 0 || decode_no_memory(&file->dec, node);
}

static struct service_def *make_service(struct file_reader *file, const struct node *name) {
        struct service_def *def = calloc(1, sizeof(*def));

        if (!def)
                return NULL;
        def->name = strdup(name->text);
        def->mark = decode_mark(&file->dec, name);
        if (!def->name || !section_copy(&section_service, &file->defaults, def))
                return service_def_free(def);
        return def;
}

/* Reads one service, whose name the path leads to. It is kept also when something is wrong with it, so that it need not
 * be dealt with here; the set is given to nobody then. */
static void read_service(struct file_reader *file, const struct node_pair *pair) {
        struct record record = file->record;
        struct decode_target target = {.section = &section_service, .record = &record};
        bool name_fits = check_name(file, pair->key);
        struct service_def *def = make_service(file, pair->key);

        if (!def || !add_service(file->loader, def)) {
                service_def_free(def);
                decode_no_memory(&file->dec, pair->key);
                return;
        }
        record.def = def;
        record.name = pair->key;
        target.base = def;
        for (size_t i = 0; i < SERVICE_KEY_N; i++)
                if (record.origins[i] == KEY_WRITTEN)
                        record.origins[i] = KEY_DEFAULTED;
        if (pair->value->kind != NODE_MAPPING && section_find(&section_service, pair->key->text)) {
                decode_error(&file->dec, pair->key, "is a key of a service; indent it below the name of one");
                return;
        }
        if (pair->value->kind != NODE_MAPPING) {
                decode_section(&file->dec, &target, pair->value);
                return;
        }
        decode_section(&file->dec, &target, pair->value);
        check_service(&file->dec, &record);
        if (name_fits && !record.bad[SERVICE_ENABLED] && def->enabled)
                check_across(&file->dec, &record, &file->loader->check);
}

static void read_services(struct file_reader *file) {
        const struct path top = {.name = "services"};

        for (size_t i = 0; i < file->top.services->count; i++) {
                const struct node_pair *pair = &file->top.services->pairs[i];
                const struct path path = {.up = &top, .name = pair->key->text};

                file->dec.path = &path;
                read_service(file, pair);
        }
        file->dec.path = NULL;
}

static void read_broker(struct file_reader *file, const struct node *root) {
        const struct decode_target target = {.section = &section_broker, .base = &file->loader->set->broker};
        const struct path path = {.name = "broker"};
        struct mark *first = &file->loader->broker_mark;

        file->dec.path = &path;
        for (size_t i = 0; i < root->count; i++) {
                const struct node *key = root->pairs[i].key;

                if (strcmp(key->text, "broker") != 0)
                        continue;
                if (first->file)
                        decode_error(&file->dec, key, "stands in another file already, at %s:%u:%u", first->file,
                                     first->line, first->column);
                else
                        *first = decode_mark(&file->dec, key);
        }
        decode_section(&file->dec, &target, file->top.broker);
        file->dec.path = NULL;
}

static void read_defaults(struct file_reader *file) {
        const struct path path = {.name = "defaults"};
        const struct decode_target target = {
                .section = &section_service,
                .base = &file->defaults,
                .record = &file->record,
        };

        file->dec.path = &path;
        decode_section(&file->dec, &target, file->top.defaults);
        file->dec.path = NULL;
}

static void read_document(struct loader *loader, const struct yaml_document *document) {
        struct file_reader file = {.loader = loader,
                                   .dec = {.diag = loader->diag, .kept = loader->kept, .file = document->name}};
        const struct decode_target target = {.section = &section_top, .base = &file.top};

        decode_section(&file.dec, &target, document->root);
        if (!section_copy(&section_service, &loader->fallback, &file.defaults)) {
                report_memory(loader, document->name);
        } else {
                if (file.top.broker)
                        read_broker(&file, document->root);
                if (file.top.defaults)
                        read_defaults(&file);
                if (file.top.services)
                        read_services(&file);
        }
        section_clear(&section_service, &file.defaults);
}

/* The names of all files that were ever read, each once. Marks point to them, and a definition outlives the set it came
 * with by any number of reloads that find it unchanged. */
static struct strlist file_names;

/* Remembers NAME for good. NULL when memory ran out, which is then reported. */
static const char *note_file(struct loader *loader, const char *name) {
        for (size_t i = 0; i < file_names.count; i++)
                if (strcmp(file_names.items[i], name) == 0)
                        return file_names.items[i];
        if (strlist_add(&file_names, name) < 0) {
                report_memory(loader, name);
                return NULL;
        }
        return file_names.items[file_names.count - 1];
}

static void read_text(struct loader *loader, const char *name, const struct buf *text) {
        AUTO(yaml_document_deinit) struct yaml_document document = YAML_DOCUMENT_NULL;

        if (yaml_parse(name, text, &document, loader->diag) && document.root)
                read_document(loader, &document);
}

static void read_file(struct loader *loader, const char *path) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        const char *name = note_file(loader, path);

        if (!name)
                return;
        if (textfile_read(path, YAML_SIZE_MAX, &text, &why) < 0)
                report_file(loader, name, buf_text(&why));
        else
                read_text(loader, name, &text);
}

static bool is_definition(const char *name) {
        const char *dot = strrchr(name, '.');

        return dot && name[0] != '.' && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static int compare_text(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The definition files of a directory in the order of their names. 0 or a negative errno. */
static int list_directory(const char *path, struct strlist *ret) {
        bool slash = path[strlen(path) - 1] == '/';
        DIR *dir = opendir(path);
        const struct dirent *entry;
        int r = 0;

        if (!dir)
                return -errno;
        for (errno = 0; r == 0 && (entry = readdir(dir)); errno = 0) {
                AUTO(buf_deinit) struct buf full = BUF_NULL;

                if (!is_definition(entry->d_name))
                        continue;
                buf_printf(&full, "%s%s%s", path, slash ? "" : "/", entry->d_name);
                r = strlist_consume(ret, buf_take(&full));
        }
        if (r == 0)
                r = -errno;
        closedir(dir);
        if (ret->count > 1)
                qsort(ret->items, ret->count, sizeof(*ret->items), compare_text);
        return r;
}

static void read_directory(struct loader *loader, const char *path) {
        AUTO(strlist_deinit) struct strlist files = STRLIST_NULL;
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        int r;

        if (!textfile_trust_directory(path, &why)) {
                report_file(loader, path, buf_text(&why));
                return;
        }
        r = list_directory(path, &files);
        if (r < 0) {
                buf_printf(&why, "cannot be read: %s", strerror(-r));
                report_file(loader, path, buf_text(&why));
                return;
        }
        if (files.count == 0)
                diag_warning(loader->diag, &(struct mark){.file = path}, NULL, "no definitions in this directory");
        for (size_t i = 0; i < files.count; i++)
                read_file(loader, files.items[i]);
}

static void read_path(struct loader *loader, const char *path) {
        const char *slash = strrchr(path, '/');
        AUTO(freep) char *parent = slash > path ? strndup(path, (size_t)(slash - path)) : strdup(slash ? "/" : ".");
        AUTO(buf_deinit) struct buf why = BUF_NULL;
        struct stat st;

        if (!parent) {
                report_memory(loader, path);
        } else if (stat(path, &st) < 0) {
                buf_printf(&why, "cannot be read: %s", strerror(errno));
                report_file(loader, path, buf_text(&why));
        } else if (S_ISDIR(st.st_mode)) {
                read_directory(loader, path);
        } else if (!textfile_trust_directory(parent, &why)) {
                report_file(loader, parent, buf_text(&why));
        } else {
                read_file(loader, path);
        }
}

static int compare_service(const void *a, const void *b) {
        return strcmp((*(struct service_def *const *)a)->name, (*(struct service_def *const *)b)->name);
}

static bool index_services(struct def_set *set) {
        if (set->count == 0)
                return true;
        set->by_name = calloc(set->count, sizeof(struct service_def *));
        if (!set->by_name)
                return false;
        memcpy(set->by_name, set->services, set->count * sizeof(struct service_def *));
        qsort(set->by_name, set->count, sizeof(struct service_def *), compare_service);
        return true;
}

static bool begin(struct loader *loader) {
        loader->set = calloc(1, sizeof(*loader->set));
        if (loader->set && section_set_defaults(&section_service, &loader->fallback) &&
            section_set_defaults(&section_broker, &loader->set->broker))
                return true;
        report_memory(loader, NULL);
        return false;
}

/* The set, or NULL where there are more than ERRORS errors. */
static struct def_set *finish(struct loader *loader, size_t errors) {
        section_clear(&section_service, &loader->fallback);
        nameset_deinit(&loader->names);
        check_deinit(&loader->check);
        if (loader->diag->errors == errors && !index_services(loader->set))
                report_memory(loader, NULL);
        if (loader->diag->errors == errors && !loader->kept)
                check_asked(loader->set, loader->diag);
        return loader->diag->errors > errors ? def_set_free(loader->set) : loader->set;
}

struct def_set *confdir_load(const struct strlist *paths, struct diag *diag) {
        struct loader loader = {.diag = diag};
        size_t errors = diag->errors;

        if (begin(&loader))
                for (size_t i = 0; i < paths->count; i++)
                        read_path(&loader, paths->items[i]);
        return finish(&loader, errors);
}

struct def_set *confdir_load_text(const char *name, const struct buf *text, struct diag *diag) {
        return confdir_load_kept(name, text, NULL, diag);
}

struct def_set *confdir_load_kept(const char *name, const struct buf *text, const struct kept *kept,
                                  struct diag *diag) {
        struct loader loader = {.diag = diag, .kept = kept};
        size_t errors = diag->errors;

        if (begin(&loader)) {
                name = note_file(&loader, name);
                if (name)
                        read_text(&loader, name, text);
        }
        return finish(&loader, errors);
}
