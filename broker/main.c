/* broker(8): start-up order and the verbs; everything worth a test is in the layers. */
#include "base/err.h"
#include "base/fd.h"
#include "base/journal.h"
#include "base/log.h"
#include "base/syslog.h"
#include "client/client.h"
#include "conf/confdir.h"
#include "conf/explain.h"
#include "config.h"
#include "controlpath.h"
#include "core/reload.h"
#include "ctl/bus.h"
#include "ctl/metrics.h"
#include "ctl/report.h"
#include "ctl/signals.h"
#include "ctl/upgrade.h"
#include "import/import.h"
#include "options.h"

#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How long we wait at the end for a log's reader who takes nothing, and for one who does. */
#define LAST_WORDS_PATIENCE (1 * USEC_PER_SEC)
#define LAST_WORDS (5 * USEC_PER_SEC)

static void print_diag(const struct diag *diag) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        diag_format(diag, &text);
        fputs(buf_text(&text), stderr);
}

static int verb_check(const struct options *options) {
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        struct def_set *set = confdir_load(&options->paths, &diag);
        size_t count = set ? set->count : 0;

        if (set)
                reload_check(set, &diag);
        print_diag(&diag);
        def_set_free(set);
        if (diag_has_errors(&diag))
                return EXIT_DEFINITIONS;
        printf("%zu service%s, no errors, ", count, count == 1 ? "" : "s");
        if (diag.warnings > 0)
                printf("%zu warning%s\n", diag.warnings, diag.warnings == 1 ? "" : "s");
        else
                puts("no warnings");
        return 0;
}

static int verb_show(const struct options *options) {
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        struct def_set *set = confdir_load(&options->paths, &diag);
        bool found = !options->argument;

        print_diag(&diag);
        if (!set)
                return EXIT_DEFINITIONS;
        buf_add_string(&text, "services:\n");
        for (size_t i = 0; i < set->count; i++)
                if (!options->argument || strcmp(set->services[i]->name, options->argument) == 0) {
                        service_def_print(set->services[i], &text);
                        found = true;
                }
        def_set_free(set);
        if (!found) {
                fprintf(stderr, "broker: there is no service '%s'\n", options->argument);
                return EXIT_FAILURE;
        }
        fputs(buf_text(&text), stdout);
        return 0;
}

static int verb_explain(const struct options *options) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        const char *nearest = NULL;

        if (options->scdoc) {
                explain_scdoc(&text);
        } else if (!options->argument) {
                explain_all(&text);
        } else if (!explain_key(options->argument, &text, &nearest)) {
                fprintf(stderr, "broker: there is no key '%s'%s%s%s\n", options->argument,
                        nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
                return EXIT_FAILURE;
        }
        fputs(buf_text(&text), stdout);
        return 0;
}

static int verb_import(const struct options *options) {
        const struct import_setup setup = {
                .files = options->files,
                .services = options->services,
                .strict = options->strict,
        };

        for (int kind = 0; kind < IMPORT_N; kind++)
                if (strcmp(options->argument, import_kind_names[kind]) == 0)
                        return import_run((enum import_kind)kind, &setup);
        fprintf(stderr, "broker: cannot import '%s'; write xinetd, inetd or systemd\n", options->argument);
        return EXIT_USAGE;
}

/* Reads and applies the definitions for the first time. Returns 0 or the exit status. */
static int load(struct manager *manager, const struct options *options) {
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        struct def_set *set = confdir_load(&options->paths, &diag);
        enum reload_outcome outcome = RELOAD_BAD_DEFINITIONS;
        AUTO(reload_report_deinit) struct reload_report report = RELOAD_REPORT_NULL;

        if (set) {
                log_set_style(set->broker.log_format, set->broker.log_level);
                outcome = reload_apply(manager, set, &report, &diag);
        }
        print_diag(&diag);
        if (outcome == RELOAD_DONE)
                return 0;
        return outcome == RELOAD_FAILED ? EXIT_FAILURE : EXIT_DEFINITIONS;
}

/* Goes on where another binary has left off. Returns 0 or the exit status. */
static int take_over(struct manager *manager, struct upgrade *upgrade, int own_state_fd) {
        AUTO(buf_deinit) struct buf why = BUF_NULL;

        if (upgrade_take_over(manager, upgrade, own_state_fd, &why) < 0) {
                log_error("the broker cannot go on after its upgrade: %s", buf_text(&why));
                return EXIT_FAILURE;
        }
        log_event(LOG_LEVEL_INFO,
                  LOG_FIELDS(LOG_STRING("version", VERSION), LOG_INTEGER("services", (int64_t)manager->service_count),
                             LOG_INTEGER("upgrades", upgrade_count(upgrade))),
                  "upgraded");
        return 0;
}

static int begin(struct manager *manager, const struct options *options, struct upgrade *upgrade, int own_state_fd) {
        int r = own_state_fd < 0 ? load(manager, options) : take_over(manager, upgrade, own_state_fd);

        if (r == 0 && own_state_fd < 0)
                log_event(LOG_LEVEL_INFO, LOG_FIELDS(LOG_INTEGER("services", (int64_t)manager->service_count)),
                          "ready");
        log_flush();
        return r;
}

/* STATE_FD: what another binary has left; -EBADF: nothing. */
static int run(struct manager *manager, const struct options *options, int own_state_fd) {
        AUTO(freep) char *control_path = controlpath_default();
        AUTO(signals_deinit) struct signals signals = SIGNALS_NULL;
        AUTO(metrics_deinit) struct metrics metrics = METRICS_NULL;
        AUTO(upgrade_freep) struct upgrade *upgrade = NULL;
        AUTO(bus_deinit) struct bus bus = {0};
        int r;

        r = signals_init(&signals, manager, &options->paths);
        if (r < 0) {
                log_error("cannot watch signals: %s", err_text(r));
                return EXIT_FAILURE;
        }
        bus_init(&bus, &(struct bus_setup){.manager = manager,
                                           .paths = &options->paths,
                                           .version = VERSION,
                                           .default_path = control_path});
        manager->on_drain = report_stopping;
        r = upgrade_new(manager, options->argv, &upgrade);
        if (r < 0) {
                log_error("cannot prepare for upgrades: %s", err_text(r));
                return EXIT_FAILURE;
        }
        bus.upgrade = upgrade;
        metrics_init(&metrics, manager);
        r = begin(manager, options, upgrade, own_state_fd);
        if (r != 0)
                return r;
        report_ready(manager);
        r = manager_run(manager);
        if (r < 0) {
                log_error("the event loop failed: %s", err_text(r));
                return EXIT_FAILURE;
        }
        log_event(LOG_LEVEL_INFO, LOG_FIELDS(LOG_INTEGER("status", r)), "bye");
        return r;
}

/* BROKER_SPAWN=vfork holds the loop at every start: for valgrind, which cannot follow children beside us. */
static enum launch_mode choose_launch_mode(void) {
        const char *spawn = getenv("BROKER_SPAWN");

        return SANITIZED || (spawn && strcmp(spawn, "vfork") == 0) ? LAUNCH_VFORK : LAUNCH_BESIDE;
}

/* Descriptors first: what we were given by LISTEN_FDS is taken, everything else above 2 is shut away from programs. */
static int verb_run(const struct options *options, int own_state_fd) {
        struct inherit inherit = INHERIT_NULL;
        struct manager manager = {0};
        int r;

        r = fd_fill_standard();
        if (r == 0 && own_state_fd < 0)
                r = inherit_init(&inherit, false);
        if (r == 0)
                r = fd_cloexec_from(3);
        if (r < 0) {
                fprintf(stderr, "broker: cannot take over descriptors: %s\n", err_text(r));
                return EXIT_FAILURE;
        }
        log_open();
        log_configure(&(struct log_settings){
                .level = LOG_LEVEL_INFO,
                .send = {[LOG_FORMAT_JOURNAL] = journal_write, [LOG_FORMAT_SYSLOG] = syslog_write},
                .deferred = true});
        r = manager_init(&manager, choose_launch_mode(), &inherit);
        if (r < 0) {
                fprintf(stderr, "broker: cannot start: %s\n", err_text(r));
                r = EXIT_FAILURE;
        } else {
                r = run(&manager, options, own_state_fd);
        }
        manager_deinit(&manager);
        log_finish(LAST_WORDS_PATIENCE, LAST_WORDS);
        return r;
}

/* What is wrong with them goes to stderr. */
static bool understands_arguments(int argc, char **argv) {
        AUTO(options_deinit) struct options options = {0};

        optind = 0; /* from the beginning: our own have been read */
        return options_parse(argc, argv, &options) == 0 && options.verb == VERB_RUN;
}

/* Ends without taking anything apart: it is all somebody else's. */
static int verb_check_state(int own_state_fd) {
        struct metrics metrics = METRICS_NULL;
        struct inherit inherit = INHERIT_NULL;
        struct manager manager = {0};
        struct bus bus = {0};
        int r = fd_fill_standard();

        signals_block();
        if (r == 0)
                r = manager_init(&manager, choose_launch_mode(), &inherit);
        if (r < 0) {
                fprintf(stderr, "broker: cannot start: %s\n", err_text(r));
                _exit(EXIT_FAILURE);
        }
        bus_init(&bus, &(struct bus_setup){.manager = &manager});
        metrics_init(&metrics, &manager);
        _exit(upgrade_check(&manager, own_state_fd, understands_arguments));
}

/* The verbs that ask a running broker. */
static int ask(const struct options *options) {
        AUTO(freep) char *control = options->control ? strdup(options->control) : controlpath_default();
        const struct client_options client = {
                .control = control,
                .name = options->argument,
                .json = options->json,
                .watch = options->watch,
                .timeout = options->timeout,
        };

        setlocale(LC_ALL, "");
        setlocale(LC_NUMERIC, "C");
        switch (options->verb) {
        case VERB_START:
                return client_order(&client, "Start");
        case VERB_STOP:
                return client_order(&client, "Stop");
        case VERB_RESTART:
                return client_order(&client, "Restart");
        case VERB_KILL:
                return client_order(&client, "Kill");
        case VERB_REPLACE:
                return client_order(&client, "Replace");
        case VERB_RELOAD:
                return client_reload(&client);
        case VERB_UPGRADE:
                return client_upgrade(&client);
        default:
                return client_status(&client);
        }
}

int main(int argc, char **argv) {
        AUTO(options_deinit) struct options options = {0};
        int state_fd = upgrade_find_state();
        int r = options_parse(argc, argv, &options);

        if (r != 0)
                return r;
        switch (options.verb) {
        case VERB_CHECK:
                return verb_check(&options);
        case VERB_SHOW:
                return verb_show(&options);
        case VERB_EXPLAIN:
                return verb_explain(&options);
        case VERB_IMPORT:
                return verb_import(&options);
        case VERB_HELP:
                options_print_help();
                return 0;
        case VERB_VERSION:
                puts("sockbroker " VERSION);
                return 0;
        case VERB_CHECK_STATE:
                return verb_check_state(state_fd);
        case VERB_RUN:
                signals_block();
                return verb_run(&options, state_fd);
        default:
                return ask(&options);
        }
}
