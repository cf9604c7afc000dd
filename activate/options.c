#include "activate/options.h"

#include "activate/say.h"
#include "base/number.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define SPARE_MAX 1024
#define FDNAME_MAX 255 /* sd_listen_fds_with_names(3) */

enum {
        OPT_SEQPACKET = 256,
        OPT_FDNAME,
        OPT_INETD,
        OPT_FDS,
        OPT_NOW,
        OPT_INSTANCES,
        OPT_PER_SOURCE,
        OPT_CLAIM,
        OPT_WORKERS,
        OPT_PASS,
        OPT_SPARE,
};

/* What is said on the command line, before it is known whether it fits together. */
struct parsing {
        struct options options;
        bool accept, wait, fds, inetd, instances, per_source, pass, spare;
};

#define WORKERS_MAX 1024

static const struct option own_options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"accept", no_argument, NULL, 'a'},
        {"wait", no_argument, NULL, 'w'},
        {"now", no_argument, NULL, OPT_NOW},
        {"fds", no_argument, NULL, OPT_FDS},
        {"inetd", no_argument, NULL, OPT_INETD},
        {"instances", required_argument, NULL, OPT_INSTANCES},
        {"per-source", required_argument, NULL, OPT_PER_SOURCE},
        {"workers", required_argument, NULL, OPT_WORKERS},
        {"pass", no_argument, NULL, OPT_PASS},
        {"spare", required_argument, NULL, OPT_SPARE},
        {"request", no_argument, NULL, REQUESTOPTION_REQUEST},
        {"end", required_argument, NULL, REQUESTOPTION_END},
        {"reply-end", required_argument, NULL, REQUESTOPTION_REPLY_END},
        {"max-size", required_argument, NULL, REQUESTOPTION_MAX_SIZE},
        {"keep-alive", optional_argument, NULL, REQUESTOPTION_KEEP_ALIVE},
        {"busy-timeout", required_argument, NULL, REQUESTOPTION_BUSY_TIMEOUT},
        {"queue", required_argument, NULL, REQUESTOPTION_QUEUE},
        {"error", required_argument, NULL, REQUESTOPTION_ERROR},
        {"datagram", no_argument, NULL, 'd'},
        {"seqpacket", no_argument, NULL, OPT_SEQPACKET},
        {"setenv", required_argument, NULL, 'E'},
        {"fdname", required_argument, NULL, OPT_FDNAME},
        {"claim", required_argument, NULL, OPT_CLAIM},
        {"user", required_argument, NULL, 'u'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
};

static const struct option systemd_options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"accept", no_argument, NULL, 'a'},
        {"now", no_argument, NULL, OPT_NOW},
        {"inetd", no_argument, NULL, OPT_INETD},
        {"datagram", no_argument, NULL, 'd'},
        {"seqpacket", no_argument, NULL, OPT_SEQPACKET},
        {"setenv", required_argument, NULL, 'E'},
        {"environment", required_argument, NULL, 'E'},
        {"fdname", required_argument, NULL, OPT_FDNAME},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
};

void options_print_help(const struct options *options) {
        if (options->systemd)
                puts("Usage: systemd-socket-activate [OPTIONS...] COMMAND [ARG...]\n"
                     "\n"
                     "Listen on sockets and start COMMAND on traffic. This is activate(1) of sockbroker.\n"
                     "\n"
                     "  -l, --listen=ADDR          listen at ADDR\n"
                     "  -a, --accept               one COMMAND per connection\n"
                     "      --now                  do not wait for traffic\n"
                     "      --inetd                pass the socket as stdin and stdout\n"
                     "  -d, --datagram             datagram sockets\n"
                     "      --seqpacket            SOCK_SEQPACKET sockets\n"
                     "  -E, --setenv=NAME[=VALUE]  set an environment variable of COMMAND\n"
                     "      --fdname=NAME[:NAME]   names of the descriptors (LISTEN_FDNAMES)\n"
                     "  -h, --help                 print this\n"
                     "      --version              print the version");
        else
                puts("Usage: activate [-l ADDR]... [OPTIONS] [--] COMMAND [ARG]...\n"
                     "\n"
                     "Listen at each ADDR and start COMMAND on traffic. Without -a or -w: take the first connection\n"
                     "and become COMMAND with it on stdin and stdout.\n"
                     "\n"
                     "  -l, --listen=ADDR          PORT, HOST:PORT, [ADDRESS]:PORT, /PATH, @NAME,\n"
                     "                             udp:..., unixgram:..., seqpacket:..., vsock:CID:PORT, fifo:/PATH,\n"
                     "                             mqueue:/NAME, netlink:FAMILY GROUP, special:/PATH\n"
                     "  -a, --accept               go on: one COMMAND per connection, until told to stop\n"
                     "      --instances=N          with -a: at most N at a time, others wait (default: unlimited)\n"
                     "      --per-source=N         with -a: at most N per client address, others are closed\n"
                     "                             (default: unlimited)\n"
                     "      --workers=N --pass     with -a: N COMMANDs that stay, and take connections from a queue,\n"
                     "                             which is their descriptor 3\n" REQUESTOPTIONS_HELP
                     "      --spare=N              with -a: N processes stand ready for connections\n"
                     "  -w, --wait                 do not accept: at the first traffic become COMMAND with the\n"
                     "                             listening sockets\n"
                     "      --now                  with -w: do not wait for traffic\n"
                     "      --fds                  hand over as descriptor 3... with LISTEN_FDS (default with -w)\n"
                     "      --inetd                hand over as stdin and stdout (default without -w)\n"
                     "  -d, --datagram             datagram sockets\n"
                     "      --seqpacket            SOCK_SEQPACKET sockets\n"
                     "  -E, --setenv=NAME[=VALUE]  set an environment variable of COMMAND\n"
                     "      --fdname=NAME[:NAME]   names of the descriptors (LISTEN_FDNAMES)\n"
                     "      --claim=NAME           take the sockets of service NAME from the running broker(8)\n"
                     "                             instead of opening any\n"
                     "  -u, --user=USER[:GROUP]    run COMMAND as USER\n"
                     "  -v, --verbose              say on stderr what happens\n"
                     "  -h, --help                 print this\n"
                     "  -V, --version              print the version\n"
                     "\n"
                     "Exit status: COMMAND's own; with -a 0 when told to stop; 1 run-time failure, 2 usage,\n"
                     "126 COMMAND cannot be run, 127 it does not exist. See activate(1).");
}

static int usage(const struct options *options, const char *text) {
        say_error("%s; see %s --help", text, program_invocation_short_name);
        return options_usage_status(options);
}

static int out_of_memory(void) {
        say_error("out of memory");
        return EXIT_FAILURE;
}

static bool is_variable_name(const char *text, size_t n) {
        if (n == 0 || isdigit((unsigned char)text[0]))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!isalnum((unsigned char)text[i]) && text[i] != '_')
                        return false;
        return true;
}

/* NAME alone stands for our own value; where we have none there is nothing to pass on, and an empty value under
 * systemd's name. */
static int add_variable(struct options *options, const char *text) {
        size_t n = strcspn(text, "=");
        AUTO(freep) char *name = strndup(text, n);
        const char *value;

        if (!name)
                return out_of_memory();
        if (!is_variable_name(text, n)) {
                say_error("--setenv=%s: '%s' is no name of an environment variable", text, name);
                return options_usage_status(options);
        }
        value = text[n] == '=' ? text + n + 1 : getenv(name);
        if (!value && !options->systemd)
                return 0;
        return strlist_set_env(&options->environment, name, value ? value : "") < 0 ? out_of_memory() : 0;
}

static bool is_fdname(const char *name) {
        for (const char *c = name; *c; c++)
                if (!isprint((unsigned char)*c))
                        return false;
        return strlen(name) <= FDNAME_MAX;
}

static int add_fdnames(struct options *options, const char *text) {
        for (;;) {
                size_t n = strcspn(text, ":");
                char *name = strndup(text, n);

                if (strlist_consume(&options->fdnames, name) < 0)
                        return out_of_memory();
                if (!is_fdname(name)) {
                        say_error("--fdname: a name has at most %d printable ASCII characters", FDNAME_MAX);
                        return options_usage_status(options);
                }
                if (text[n] == '\0')
                        return 0;
                text += n + 1;
        }
}

static int parse_count(const struct options *options, const char *name, unsigned *ret) {
        int64_t n;

        if (strcmp(optarg, "unlimited") == 0) {
                *ret = 0;
                return 0;
        }
        if (number_parse(optarg, 1, INT32_MAX, &n) < 0) {
                say_error("%s=%s: a number from 1, or 'unlimited'", name, optarg);
                return options_usage_status(options);
        }
        *ret = (unsigned)n;
        return 0;
}

static int parse_spare(struct options *options) {
        int64_t n;

        if (number_parse(optarg, 0, SPARE_MAX, &n) < 0) {
                say_error("--spare=%s: a number from 0 to %d", optarg, SPARE_MAX);
                return options_usage_status(options);
        }
        options->spare = (unsigned)n;
        return 0;
}

static int set_type(struct options *options, int type) {
        if (options->type != 0 && options->type != type)
                return usage(options, "--datagram and --seqpacket exclude each other");
        options->type = type;
        return 0;
}

static int parse_option(struct parsing *p, int c) {
        struct options *options = &p->options;

        switch (c) {
        case 'l':
                return strlist_add(&options->listen, optarg) < 0 ? out_of_memory() : 0;
        case 'a':
                p->accept = true;
                return 0;
        case 'w':
                p->wait = true;
                return 0;
        case 'd':
                return set_type(options, SOCK_DGRAM);
        case OPT_SEQPACKET:
                return set_type(options, SOCK_SEQPACKET);
        case 'E':
                return add_variable(options, optarg);
        case OPT_FDNAME:
                return add_fdnames(options, optarg);
        case OPT_INETD:
                p->inetd = true;
                return 0;
        case OPT_FDS:
                p->fds = true;
                return 0;
        case OPT_NOW:
                options->now = true;
                return 0;
        case OPT_INSTANCES:
                p->instances = true;
                return parse_count(options, "--instances", &options->instances);
        case OPT_PER_SOURCE:
                p->per_source = true;
                return parse_count(options, "--per-source", &options->per_source);
        case OPT_WORKERS:
                return parse_count(options, "--workers", &options->workers);
        case OPT_PASS:
                p->pass = true;
                return 0;
        case OPT_SPARE:
                p->spare = true;
                return parse_spare(options);
        case OPT_CLAIM:
                options->claim = optarg;
                return 0;
        case 'u':
                options->user = optarg;
                return 0;
        case 'v':
                options->verbose = true;
                return 0;
        case 'h':
                options->mode = MODE_HELP;
                return 0;
        case 'V':
                options->mode = MODE_VERSION;
                return 0;
        default:
                if (c < REQUESTOPTION_REQUEST || c >= REQUESTOPTION_LAST)
                        return options_usage_status(options); /* getopt_long(3) has said which */
                return requestoptions_take(&options->request, c, optarg) ? 0 : options_usage_status(options);
        }
}

/* systemd's programs say less where this variable names a level above "info". */
static bool systemd_is_quiet(void) {
        static const char *const quiet[] = {
                "emerg", "alert", "crit", "err", "warning", "notice", "0", "1", "2", "3", "4", "5",
        };
        const char *level = getenv("SYSTEMD_LOG_LEVEL");

        for (size_t i = 0; level && i < LENGTH_OF(quiet); i++)
                if (strcmp(level, quiet[i]) == 0)
                        return true;
        return false;
}

/* Which of those that are about workers go together, and with what. */
static int check_workers(struct parsing *p) {
        struct options *options = &p->options;
        const struct requestoptions *request = &options->request;
        bool has_kind = p->pass || request->is_on;

        if (!request->is_on && request->given) {
                say_error("%s goes with --request only; see %s --help", request->given, program_invocation_short_name);
                return options_usage_status(options);
        }
        if (p->pass && request->is_on)
                return usage(options, "--pass and --request exclude each other");
        if (options->workers > 0 && !has_kind)
                return usage(options, "--workers goes with --pass or --request");
        if (has_kind && (options->workers == 0 || !p->accept))
                return usage(options, p->pass ? "--pass goes with --workers, and with --accept"
                                              : "--request goes with --workers, and with --accept");
        if (p->pass && (p->inetd || p->instances || p->per_source || p->spare))
                return usage(options, "--pass excludes --inetd, --instances, --per-source and --spare");
        if (request->is_on && (p->inetd || p->fds || p->spare || options->fdnames.count > 0))
                return usage(options, "--request excludes --inetd, --fds, --fdname and --spare");
        if (request->is_on && options->type != 0)
                return usage(options, "--request excludes --datagram and --seqpacket: requests are found in streams of "
                                      "bytes");
        if (options->workers > WORKERS_MAX)
                return usage(options, "--workers is 1024 at most");
        return 0;
}

/* Which options go together. */
static int check(struct parsing *p) {
        struct options *options = &p->options;

        if (p->accept && p->wait)
                return usage(options, "--accept and --wait exclude each other");
        if (p->fds && p->inetd)
                return usage(options, "--fds and --inetd exclude each other");
        if (options->now && options->mode != MODE_WAIT)
                return usage(options, options->systemd ? "--now and --accept exclude each other"
                                                       : "--now goes with --wait only");
        if (p->instances && !p->accept)
                return usage(options, "--instances goes with --accept only");
        if (p->per_source && !p->accept)
                return usage(options, "--per-source goes with --accept only");
        if (p->spare && !p->accept)
                return usage(options, "--spare goes with --accept only");
        if (options->type == SOCK_DGRAM && options->mode != MODE_WAIT)
                return usage(options, options->systemd ? "a datagram socket has no connections to accept"
                                                       : "a datagram socket has no connections to accept; use -w");
        if (options->claim && options->listen.count > 0)
                return usage(options, "--claim and --listen exclude each other");
        if (options->claim && options->type != 0)
                return usage(options, "--datagram and --seqpacket go with --listen, not with --claim");
        if (options->fdnames.count > 0 && options->stdio) {
                if (!options->systemd)
                        return usage(options, "--fdname names what --fds hands over; there are no names with --inetd");
                say_error("--fdname has no effect with --inetd");
        }
        return 0;
}

static void parsing_deinit(struct parsing *p) {
        options_deinit(&p->options);
}

int options_parse(int argc, char **argv, struct options *ret) {
        AUTO(parsing_deinit) struct parsing p = {.options = OPTIONS_NULL};
        struct options *options = &p.options;
        int c, r;

        options->systemd = strcmp(program_invocation_short_name, "systemd-socket-activate") == 0;
        /* The plus: what follows COMMAND is its own. */
        while ((c = options->systemd ? getopt_long(argc, argv, "+l:adE:h", systemd_options, NULL)
                                     : getopt_long(argc, argv, "+l:awdE:u:vhV", own_options, NULL)) >= 0) {
                r = parse_option(&p, c);
                if (r != 0)
                        return r;
                if (options->mode != MODE_ONESHOT)
                        break;
        }
        if (options->mode == MODE_ONESHOT) {
                options->mode = p.accept ? MODE_ACCEPT : p.wait || options->systemd ? MODE_WAIT : MODE_ONESHOT;
                options->stdio = p.inetd || (!p.fds && !p.pass && options->mode != MODE_WAIT && !options->systemd);
                options->verbose = options->verbose || (options->systemd && !systemd_is_quiet());
                options->command = argv + optind;
                r = check_workers(&p);
                if (r == 0)
                        r = check(&p);
                if (r != 0)
                        return r;
                if (optind == argc)
                        return usage(options, "there is no command");
                if (options->request.is_on && requestoptions_complete(&options->request) < 0)
                        return out_of_memory();
        }
        *ret = *options;
        p.options = OPTIONS_NULL;
        return 0;
}

void options_deinit(struct options *options) {
        strlist_deinit(&options->listen);
        strlist_deinit(&options->environment);
        strlist_deinit(&options->fdnames);
        requestoptions_deinit(&options->request);
}
