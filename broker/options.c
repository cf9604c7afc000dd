#include "options.h"

#include "base/buf.h"
#include "base/nearest.h"
#include "base/number.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_PATH "/etc/broker"

enum argument {
        ARGUMENT_NONE,
        ARGUMENT_OPTIONAL,
        ARGUMENT_REQUIRED,
        ARGUMENT_FILES, /* one that is required, and then one file or more */
};

/* What a verb takes, beside -h and -V: getopt's letters of its options, and an argument. */
struct verb_form {
        const char *name;
        const char *options;
        enum argument argument;
};

#define OPTION_CONTROL 'C'
#define OPTION_JSON 'j'
#define OPTION_SCDOC 's'
#define OPTION_SERVICES 'S'
#define OPTION_STRICT 'x'
#define OPTION_TIMEOUT 't'
#define OPTION_WATCH 'w'

static const struct verb_form verbs[VERB_N] = {
        [VERB_RUN] = {"run", "c", ARGUMENT_NONE},
        [VERB_CHECK] = {"check", "c", ARGUMENT_NONE},
        [VERB_SHOW] = {"show", "c", ARGUMENT_OPTIONAL},
        [VERB_EXPLAIN] = {"explain", "s", ARGUMENT_OPTIONAL},
        [VERB_STATUS] = {"status", "Cjwt", ARGUMENT_OPTIONAL},
        [VERB_START] = {"start", "Ct", ARGUMENT_REQUIRED},
        [VERB_STOP] = {"stop", "Ct", ARGUMENT_REQUIRED},
        [VERB_RESTART] = {"restart", "Ct", ARGUMENT_REQUIRED},
        [VERB_KILL] = {"kill", "Ct", ARGUMENT_REQUIRED},
        [VERB_REPLACE] = {"replace", "Ct", ARGUMENT_REQUIRED},
        [VERB_RELOAD] = {"reload", "Ct", ARGUMENT_NONE},
        [VERB_UPGRADE] = {"upgrade", "Ct", ARGUMENT_NONE},
        [VERB_IMPORT] = {"import", "Sx", ARGUMENT_FILES},
        [VERB_HELP] = {"help", "c", ARGUMENT_NONE},
        [VERB_VERSION] = {"version", "c", ARGUMENT_NONE},
        [VERB_CHECK_STATE] = {"check-state", "", ARGUMENT_NONE},
};

static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"control", required_argument, NULL, OPTION_CONTROL},
        {"help", no_argument, NULL, 'h'},
        {"json", no_argument, NULL, OPTION_JSON},
        {"scdoc", no_argument, NULL, OPTION_SCDOC},
        {"services", required_argument, NULL, OPTION_SERVICES},
        {"strict", no_argument, NULL, OPTION_STRICT},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {"version", no_argument, NULL, 'V'},
        {"watch", optional_argument, NULL, OPTION_WATCH},
        {0},
};

#define WATCH_DEFAULT (2 * USEC_PER_SEC)
#define WATCH_MIN (100 * USEC_PER_MSEC)

void options_print_help(void) {
        puts("Usage: broker [run] [-c PATH]...      run in the foreground\n"
             "       broker check [-c PATH]...      read everything, report every problem, start nothing\n"
             "       broker show [-c PATH]... [NAME] print the effective definitions as YAML\n"
             "       broker explain [KEY]           what a key means, its type, default and an example\n"
             "\n"
             "       broker status [NAME]           what the running broker, or one service of it, is doing\n"
             "       broker start|stop NAME         open its sockets; end its processes and close its sockets\n"
             "       broker restart|kill NAME       end its processes, and start again what ran, or leave it to "
             "traffic\n"
             "       broker replace NAME            a new server on the same sockets; the old one ends when it is "
             "ready\n"
             "       broker reload                  read the definitions again\n"
             "       broker upgrade                 replace the running broker by the program on disk\n"
             "\n"
             "       broker import xinetd|inetd|systemd FILE...  their files as definitions; what has no\n"
             "                                      equivalent is a comment there and a warning\n"
             "\n"
             "  -c, --config=PATH  a definition file, or a directory whose *.yaml and *.yml are read in the order\n"
             "                     of their names; may be given several times (default: " DEFAULT_PATH ")\n"
             "      --control=PATH the control socket of the running broker (default: BROKER_CONTROL, or\n"
             "                     /run/broker/control for root, $XDG_RUNTIME_DIR/broker/control for others)\n"
             "      --json         status: for programs\n"
             "      --watch[=TIME] status: show it again every 2 seconds, or every TIME\n"
             "      --strict       import: a warning makes it fail\n"
             "      --services=FILE import: names of ports, in the form of services(5), beside the machine's own\n"
             "      --timeout=TIME wait that long for an answer (default: 25s for status, no limit for orders)\n"
             "  -h, --help         print this\n"
             "  -V, --version      print the version\n"
             "\n"
             "Signals: TERM and INT stop gently, a second one at once; HUP reads the definitions again; USR1 logs\n"
             "statistics, USR2 every process. Exit status: 0; that of a `main: yes` service; 1 run-time failure;\n"
             "2 usage; 78 definitions. See broker(8), broker.yaml(5), broker-bus(5).");
}

static int usage(const char *format, const char *what) {
        fprintf(stderr, "broker: ");
        fprintf(stderr, format, what);
        fprintf(stderr, "; see broker --help\n");
        return EXIT_USAGE;
}

static int parse_verb(const char *text, enum verb *ret) {
        const char *names[VERB_N], *nearest;

        for (int i = 0; i < VERB_N; i++) {
                names[i] = verbs[i].name;
                if (strcmp(text, names[i]) == 0) {
                        *ret = (enum verb)i;
                        return 0;
                }
        }
        nearest = nearest_name(text, names, VERB_CHECK_STATE);
        if (nearest) {
                fprintf(stderr, "broker: unknown verb '%s'; did you mean '%s'?\n", text, nearest);
                return EXIT_USAGE;
        }
        return usage("unknown verb '%s'", text);
}

static int parse_time(const char *text, usec_t minimum, usec_t *ret) {
        if (number_parse_duration(text, ret) == 0 && *ret >= minimum && *ret != USEC_INFINITY)
                return 0;
        return usage("'%s' is not a time such as 500ms, 30s or 5min, or too short", text);
}

/* SEEN gets the letters of the options that not every verb takes. */
static int parse_flags(int argc, char **argv, struct options *options, struct buf *seen) {
        int c, r = 0;

        while (r == 0 && (c = getopt_long(argc, argv, "c:hV", longs, NULL)) >= 0) {
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
                case OPTION_SCDOC:
                        options->scdoc = true;
                        break;
                case OPTION_CONTROL:
                        options->control = optarg;
                        break;
                case OPTION_JSON:
                        options->json = true;
                        break;
                case OPTION_STRICT:
                        options->strict = true;
                        break;
                case OPTION_SERVICES:
                        options->services = optarg;
                        break;
                case OPTION_WATCH:
                        options->watch = WATCH_DEFAULT;
                        if (optarg)
                                r = parse_time(optarg, WATCH_MIN, &options->watch);
                        break;
                case OPTION_TIMEOUT:
                        r = parse_time(optarg, 1, &options->timeout);
                        break;
                default:
                        return usage("%s", "unusable options");
                }
                if (c != 'h' && c != 'V')
                        buf_add_char(seen, (char)c);
        }
        return r;
}

/* What does not go with the verb. */
static int check_form(const struct verb_form *form, const char *seen, const struct options *options) {
        for (; *seen; seen++)
                for (const struct option *option = longs; option->name && !strchr(form->options, *seen); option++)
                        if (option->val == *seen) {
                                fprintf(stderr, "broker: %s does not take --%s; see broker --help\n", form->name,
                                        option->name);
                                return EXIT_USAGE;
                        }
        if (form->argument == ARGUMENT_REQUIRED && !options->argument)
                return usage("%s needs the name of a service", form->name);
        if (form->argument == ARGUMENT_FILES && (!options->argument || !options->files[0]))
                return usage("%s needs a kind, xinetd, inetd or systemd, and files", form->name);
        return 0;
}

int options_parse(int argc, char **argv, struct options *ret) {
        AUTO(options_deinit) struct options options = {.verb = VERB_N, .argv = argv};
        AUTO(buf_deinit) struct buf seen = BUF_NULL;
        enum verb verb = VERB_RUN;
        int r;

        r = parse_flags(argc, argv, &options, &seen);
        if (r == 0 && optind < argc)
                r = parse_verb(argv[optind++], &verb);
        if (r != 0)
                return r;
        if (optind < argc && verbs[verb].argument != ARGUMENT_NONE)
                options.argument = argv[optind++];
        options.files = argv + optind;
        if (verbs[verb].argument == ARGUMENT_FILES)
                optind = argc;
        if (optind < argc)
                return usage("unexpected argument '%s'", argv[optind]);
        /* Who asks for help gets it, whatever else is there. */
        if (options.verb == VERB_N) {
                options.verb = verb;
                r = check_form(&verbs[verb], buf_text(&seen), &options);
                if (r != 0)
                        return r;
        }
        if (options.paths.count == 0 && strlist_add(&options.paths, DEFAULT_PATH) < 0)
                return EXIT_FAILURE;
        *ret = options;
        options = (struct options){0};
        return 0;
}

void options_deinit(struct options *options) {
        strlist_deinit(&options->paths);
}
