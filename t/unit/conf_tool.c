/* The definitions from a shell: what t/05-conf-bad.t, t/06-conf-good.t and t/82-import-defaults.t run.
 *   conf_tool check PATH…     every problem on stdout; exit status 78, or 0 where there is no error
 *   conf_tool show PATH…      all services as YAML
 *   conf_tool same A B        whether two files mean the same; exit status 1 where not
 *   conf_tool explain [KEY]   what the key table says
 *   conf_tool scdoc           the key list of the manual
 *   conf_tool import KIND SERVICES FILE…   what `broker import` prints, with nothing moved to defaults */
#include "conf/confdir.h"
#include "conf/explain.h"
#include "import/import.h"

#include <stdio.h>
#include <string.h>

#define EXIT_DEFINITIONS 78

static int usage(void) {
        fputs("usage: conf_tool check PATH... | show PATH... | same A B | explain [KEY] | scdoc | "
              "import KIND SERVICES FILE...\n",
              stderr);
        return 2;
}

static int finish(struct buf *out, int status) {
        fputs(buf_text(out), stdout);
        return buf_failed(out) || fflush(stdout) != 0 ? 1 : status;
}

static struct def_set *load_paths(char **argv, size_t count, struct buf *out) {
        AUTO(strlist_deinit) struct strlist paths = STRLIST_NULL;
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        struct def_set *set;

        for (size_t i = 0; i < count && argv[i]; i++)
                if (strlist_add(&paths, argv[i]) < 0)
                        return NULL;
        set = confdir_load(&paths, &diag);
        diag_format(&diag, out);
        return set;
}

static int same(char **argv) {
        AUTO(buf_deinit) struct buf out = BUF_NULL;
        struct def_set *a = load_paths(argv, 1, &out), *b = load_paths(argv + 1, 1, &out);
        bool equal = a && b && a->count == b->count;

        for (size_t i = 0; equal && i < a->count; i++) {
                const struct service_def *other = def_set_find(b, a->services[i]->name);

                equal = other && service_def_same(a->services[i], other) && service_def_equal(a->services[i], other);
                if (!equal)
                        buf_printf(&out, "services.%s differs\n", a->services[i]->name);
        }
        def_set_free(a);
        def_set_free(b);
        return finish(&out, equal ? 0 : 1);
}

static int load(char **argv, bool show) {
        AUTO(buf_deinit) struct buf out = BUF_NULL;
        struct def_set *set = load_paths(argv, SIZE_MAX, &out);

        if (show && set)
                buf_clear(&out);
        if (!set)
                return finish(&out, EXIT_DEFINITIONS);
        if (show) {
                broker_def_print(&set->broker, &out);
                buf_add_string(&out, "services:\n");
                for (size_t i = 0; i < set->count; i++)
                        service_def_print(set->services[i], &out);
        }
        def_set_free(set);
        return finish(&out, 0);
}

/* ARGV is the kind, the file of port names, and what is to be imported. */
static int import(char **argv) {
        static void (*const importers[IMPORT_N])(struct import * import) = {
                [IMPORT_XINETD] = import_xinetd,
                [IMPORT_INETD] = import_inetd,
                [IMPORT_SYSTEMD] = import_systemd,
        };
        struct import import = {.files = argv + 2};
        AUTO(buf_deinit) struct buf out = BUF_NULL;

        sheet_init(&import.sheet);
        if (!portnames_read(&import.ports, &import.sheet, argv[1]))
                return usage();
        for (int kind = 0; kind < IMPORT_N; kind++)
                if (strcmp(argv[0], import_kind_names[kind]) == 0)
                        importers[kind](&import);
        sheet_print(&import.sheet, &out);
        sheet_deinit(&import.sheet);
        return finish(&out, 0);
}

static int explain(const char *key) {
        AUTO(buf_deinit) struct buf out = BUF_NULL;
        const char *nearest;

        if (!key) {
                explain_all(&out);
                return finish(&out, 0);
        }
        if (explain_key(key, &out, &nearest))
                return finish(&out, 0);
        printf("no key %s; nearest: %s\n", key, nearest ? nearest : "none");
        return 1;
}

static int scdoc(void) {
        AUTO(buf_deinit) struct buf out = BUF_NULL;

        explain_scdoc(&out);
        return finish(&out, 0);
}

int main(int argc, char **argv) {
        if (argc > 2 && (strcmp(argv[1], "check") == 0 || strcmp(argv[1], "show") == 0))
                return load(argv + 2, argv[1][0] == 's');
        if (argc == 4 && strcmp(argv[1], "same") == 0)
                return same(argv + 2);
        if (argc > 1 && argc < 4 && strcmp(argv[1], "explain") == 0)
                return explain(argv[2]);
        if (argc == 2 && strcmp(argv[1], "scdoc") == 0)
                return scdoc();
        if (argc > 4 && strcmp(argv[1], "import") == 0)
                return import(argv + 2);
        return usage();
}
