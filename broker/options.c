#include "options.h"

#include "base/nearest.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_PATH "/etc/broker"

static const char *const verb_names[VERB_N] = {
        [VERB_RUN] = "run",         [VERB_CHECK] = "check", [VERB_SHOW] = "show",
        [VERB_EXPLAIN] = "explain", [VERB_HELP] = "help",   [VERB_VERSION] = "version",
};

void options_print_help(void) {
        puts("Usage: broker [run] [-c PATH]...      run in the foreground\n"
             "       broker check [-c PATH]...      read everything, report every problem, start nothing\n"
             "       broker show [-c PATH]... [NAME] print the effective definitions as YAML\n"
             "       broker explain [KEY]           what a key means, its type, default and an example\n"
             "\n"
             "  -c, --config=PATH  a definition file, or a directory whose *.yaml and *.yml are read in the order\n"
             "                     of their names; may be given several times (default: " DEFAULT_PATH ")\n"
             "  -h, --help         print this\n"
             "  -V, --version      print the version\n"
             "\n"
             "Signals: TERM and INT stop gently, a second one at once; HUP reads the definitions again; USR1 logs\n"
             "statistics, USR2 every process. Exit status: 0; that of a `main: yes` service; 1 run-time failure;\n"
             "2 usage; 78 definitions. See broker(8), broker.yaml(5).");
}

static int usage(const char *format, const char *what) {
        fprintf(stderr, "broker: ");
        fprintf(stderr, format, what);
        fprintf(stderr, "; see broker --help\n");
        return EXIT_USAGE;
}

static int parse_verb(const char *text, enum verb *ret) {
        const char *nearest;

        for (int i = 0; i < VERB_N; i++)
                if (strcmp(text, verb_names[i]) == 0) {
                        *ret = (enum verb)i;
                        return 0;
                }
        nearest = nearest_name(text, verb_names, VERB_N);
        if (nearest) {
                fprintf(stderr, "broker: unknown verb '%s'; did you mean '%s'?\n", text, nearest);
                return EXIT_USAGE;
        }
        return usage("unknown verb '%s'", text);
}

static int parse_flags(int argc, char **argv, struct options *options) {
        static const struct option longs[] = {
                {"config", required_argument, NULL, 'c'},
                {"help", no_argument, NULL, 'h'},
                {"version", no_argument, NULL, 'V'},
                {"scdoc", no_argument, NULL, 's'},
                {0},
        };
        int c;

        while ((c = getopt_long(argc, argv, "c:hV", longs, NULL)) >= 0)
                switch (c) {
                case 'c':
                        if (strlist_add(&options->paths, optarg) < 0)
                                return EXIT_FAILURE;
                        break;
                case 'h':
                        options->verb = VERB_HELP;
                        break;
                case 'V':
                        options->verb = VERB_VERSION;
                        break;
                case 's':
                        options->scdoc = true;
                        break;
                default:
                        return usage("%s", "unusable options");
                }
        return 0;
}

int options_parse(int argc, char **argv, struct options *ret) {
        AUTO(options_deinit) struct options options = {.verb = VERB_N};
        enum verb verb = VERB_RUN;
        int r;

        r = parse_flags(argc, argv, &options);
        if (r == 0 && optind < argc)
                r = parse_verb(argv[optind++], &verb);
        if (r != 0)
                return r;
        if (options.verb == VERB_N)
                options.verb = verb;
        if (optind < argc && (verb == VERB_SHOW || verb == VERB_EXPLAIN))
                options.argument = argv[optind++];
        if (optind < argc)
                return usage("unexpected argument '%s'", argv[optind]);
        if (options.paths.count == 0 && strlist_add(&options.paths, DEFAULT_PATH) < 0)
                return EXIT_FAILURE;
        *ret = options;
        options = (struct options){0};
        return 0;
}

void options_deinit(struct options *options) {
        strlist_deinit(&options->paths);
}
