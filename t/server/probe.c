/*
 * probe: the server the tests start. It tells what it was given (probe_report) and then does what
 * its options say, well or badly: serve (probe_serve), echo, hang, crash, refuse to stop, leave
 * processes behind.
 *
 * The order is fixed, whatever the order of the options: delay, report, ignore-term, touch, notify,
 * stdout, stderr, noise, read-line, echo, orphan, fork-hold, serve…, nonblock-listener, and last
 * one way to end: abort, kill, hang or exit.
 *
 * Exit status: what --exit says (0); 64 wrong options; 70 the probe itself could not do what it was
 * told.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "probe_report.h"
#include "probe_serve.h"

#define STATUS_USAGE 64

struct probe {
        const char *out;
        int listen_fd; /* -1: descriptor 3 */
        bool serve, serve_stdio, serve_lines, serve_queue;
        struct serve_options serve_options;
        bool echo, read_line, hang, abort, ignore_term, orphan, fork_hold, nonblock_listener;
        int exit_status, kill_signal;
        int delay_ms, orphan_ms, hold_ms;
        long noise;
        const char *notify, *stdout_text, *stderr_text, *touch;
};

enum {
        OPT_OUT = 256,
        OPT_LISTEN_FD,
        OPT_SERVE,
        OPT_SERVE_STDIO,
        OPT_SERVE_LINES,
        OPT_SERVE_QUEUE,
        OPT_COUNT,
        OPT_IDLE_MS,
        OPT_ECHO,
        OPT_READ_LINE,
        OPT_EXIT,
        OPT_ABORT,
        OPT_KILL,
        OPT_HANG,
        OPT_IGNORE_TERM,
        OPT_ORPHAN,
        OPT_ORPHAN_MS,
        OPT_FORK_HOLD,
        OPT_HOLD_MS,
        OPT_NOTIFY,
        OPT_DELAY_MS,
        OPT_STDERR,
        OPT_STDOUT,
        OPT_NOISE,
        OPT_NONBLOCK_LISTENER,
        OPT_TOUCH,
        OPT_HELP,
};

static const struct option options[] = {
        {"out", required_argument, NULL, OPT_OUT},
        {"listen-fd", required_argument, NULL, OPT_LISTEN_FD},
        {"serve", no_argument, NULL, OPT_SERVE},
        {"serve-stdio", no_argument, NULL, OPT_SERVE_STDIO},
        {"serve-lines", no_argument, NULL, OPT_SERVE_LINES},
        {"serve-queue", no_argument, NULL, OPT_SERVE_QUEUE},
        {"count", required_argument, NULL, OPT_COUNT},
        {"idle-ms", required_argument, NULL, OPT_IDLE_MS},
        {"echo", no_argument, NULL, OPT_ECHO},
        {"read-line", no_argument, NULL, OPT_READ_LINE},
        {"exit", required_argument, NULL, OPT_EXIT},
        {"abort", no_argument, NULL, OPT_ABORT},
        {"kill", required_argument, NULL, OPT_KILL},
        {"hang", no_argument, NULL, OPT_HANG},
        {"ignore-term", no_argument, NULL, OPT_IGNORE_TERM},
        {"orphan", no_argument, NULL, OPT_ORPHAN},
        {"orphan-ms", required_argument, NULL, OPT_ORPHAN_MS},
        {"fork-hold", no_argument, NULL, OPT_FORK_HOLD},
        {"hold-ms", required_argument, NULL, OPT_HOLD_MS},
        {"notify", required_argument, NULL, OPT_NOTIFY},
        {"delay-ms", required_argument, NULL, OPT_DELAY_MS},
        {"stderr", required_argument, NULL, OPT_STDERR},
        {"stdout", required_argument, NULL, OPT_STDOUT},
        {"noise", required_argument, NULL, OPT_NOISE},
        {"nonblock-listener", no_argument, NULL, OPT_NONBLOCK_LISTENER},
        {"touch", required_argument, NULL, OPT_TOUCH},
        {"help", no_argument, NULL, OPT_HELP},
        {0},
};

static const char help[] = "usage: probe [OPTION]... [ARG]...\n"
                           "  --out=stdout|fd:N|file:PATH|conn\n"
                           "                  report what was found as one line of JSON (conn: to the next client of\n"
                           "                  descriptor 3, or of --listen-fd=N)\n"
                           "  --serve         answer a line on each connection or datagram of LISTEN_FDS\n"
                           "  --serve-stdio   the same on descriptor 0\n"
                           "  --serve-lines   answer each line of standard input on standard output\n"
                           "  --serve-queue   answer a line on each connection received through descriptor 3\n"
                           "  --count=N       stop serving after N\n"
                           "  --idle-ms=N     stop serving when nothing came for N ms\n"
                           "  --echo          copy standard input to standard output\n"
                           "  --read-line     answer one line of standard input\n"
                           "  --exit=N  --abort  --kill=SIG  --hang   how to end\n"
                           "  --ignore-term   SIGTERM does nothing\n"
                           "  --orphan        leave a grandchild without descriptors that exits with 7 after\n"
                           "                  --orphan-ms=N (200)\n"
                           "  --fork-hold     leave a child with all descriptors for --hold-ms=N (60000)\n"
                           "  --notify=TEXT  --stdout=TEXT  --stderr=TEXT\n"
                           "                  send or write TEXT; \\n, \\t and \\\\ are known\n"
                           "  --noise=N       write N lines on standard error\n"
                           "  --delay-ms=N    sleep before everything else\n"
                           "  --nonblock-listener\n"
                           "                  set O_NONBLOCK before ending, on descriptor 3 (or --listen-fd; or 0 "
                           "with\n"
                           "                  --serve-stdio)\n"
                           "  --touch=PATH    create PATH\n";

static _Noreturn void usage(const char *problem, const char *value) {
        fprintf(stderr, "probe: %s: %s\n", problem, value);
        exit(STATUS_USAGE);
}

static int parse_number(const char *text) {
        char *end;
        long n;

        errno = 0;
        n = strtol(text, &end, 10);
        if (errno != 0 || end == text || *end != '\0' || n < 0 || n > INT32_MAX)
                usage("not a number", text);
        return (int)n;
}

static int parse_signal(const char *text) {
        if (text[0] >= '0' && text[0] <= '9')
                return parse_number(text);
        if (strncmp(text, "SIG", 3) == 0)
                text += 3;
        for (int sig = 1; sig < NSIG; sig++) {
                const char *name = sigabbrev_np(sig);

                if (name && strcmp(name, text) == 0)
                        return sig;
        }
        usage("no such signal", text);
}

static void parse_option(struct probe *p, int opt) {
        switch (opt) {
        case OPT_OUT:
                p->out = optarg;
                break;
        case OPT_LISTEN_FD:
                p->listen_fd = parse_number(optarg);
                break;
        case OPT_SERVE:
                p->serve = true;
                break;
        case OPT_SERVE_STDIO:
                p->serve_stdio = true;
                break;
        case OPT_SERVE_LINES:
                p->serve_lines = true;
                break;
        case OPT_SERVE_QUEUE:
                p->serve_queue = true;
                break;
        case OPT_COUNT:
                p->serve_options.count = parse_number(optarg);
                break;
        case OPT_IDLE_MS:
                p->serve_options.idle_ms = parse_number(optarg);
                break;
        case OPT_ECHO:
                p->echo = true;
                break;
        case OPT_READ_LINE:
                p->read_line = true;
                break;
        case OPT_EXIT:
                p->exit_status = parse_number(optarg);
                break;
        case OPT_ABORT:
                p->abort = true;
                break;
        case OPT_KILL:
                p->kill_signal = parse_signal(optarg);
                break;
        case OPT_HANG:
                p->hang = true;
                break;
        case OPT_IGNORE_TERM:
                p->ignore_term = true;
                break;
        case OPT_ORPHAN:
                p->orphan = true;
                break;
        case OPT_ORPHAN_MS:
                p->orphan_ms = parse_number(optarg);
                break;
        case OPT_FORK_HOLD:
                p->fork_hold = true;
                break;
        case OPT_HOLD_MS:
                p->hold_ms = parse_number(optarg);
                break;
        case OPT_NOTIFY:
                p->notify = optarg;
                break;
        case OPT_DELAY_MS:
                p->delay_ms = parse_number(optarg);
                break;
        case OPT_STDERR:
                p->stderr_text = optarg;
                break;
        case OPT_STDOUT:
                p->stdout_text = optarg;
                break;
        case OPT_NOISE:
                p->noise = parse_number(optarg);
                break;
        case OPT_NONBLOCK_LISTENER:
                p->nonblock_listener = true;
                break;
        case OPT_TOUCH:
                p->touch = optarg;
                break;
        case OPT_HELP:
                fputs(help, stdout);
                exit(0);
        default:
                exit(STATUS_USAGE);
        }
}

static void sleep_ms(int ms) {
        struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L};

        while (nanosleep(&left, &left) < 0 && errno == EINTR)
                ;
}

/* Replaces \n, \t and \\; to be freed by the caller. */
static char *unescape(const char *text) {
        char *result = malloc(strlen(text) + 1), *to = result;

        if (!result)
                probe_die("malloc");
        for (; *text; text++) {
                if (*text == '\\' && text[1] != '\0')
                        switch (*++text) {
                        case 'n':
                                *to++ = '\n';
                                continue;
                        case 't':
                                *to++ = '\t';
                                continue;
                        default:
                                break;
                        }
                *to++ = *text;
        }
        *to = '\0';
        return result;
}

static void say(int fd, const char *escaped) {
        char *text = unescape(escaped);

        write_all(fd, text, strlen(text));
        free(text);
}

static int listen_fd(const struct probe *p) {
        return p->listen_fd >= 0 ? p->listen_fd : 3;
}

static void write_report(const struct probe *p, int argc, char **argv) {
        size_t len;
        char *text = report_new(argc, argv, &len);

        if (strcmp(p->out, "stdout") == 0)
                write_all(STDOUT_FILENO, text, len);
        else if (strncmp(p->out, "fd:", 3) == 0)
                write_all(parse_number(p->out + 3), text, len);
        else if (strncmp(p->out, "file:", 5) == 0) {
                int fd = open(p->out + 5, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

                /* One write, so that the lines of several probes do not mix. */
                if (fd < 0 || write(fd, text, len) != (ssize_t)len)
                        probe_die(p->out + 5);
                close(fd);
        } else if (strcmp(p->out, "conn") == 0)
                serve_one_text(listen_fd(p), text, len);
        else
                usage("--out", p->out);
        free(text);
}

static void touch(const char *path) {
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

        if (fd < 0)
                probe_die(path);
        close(fd);
}

static void notify(const char *escaped) {
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        char *text = unescape(escaped);
        size_t len = path ? strlen(path) : 0;
        int fd;

        if (len == 0 || len >= sizeof(un.sun_path))
                usage("NOTIFY_SOCKET", path ? path : "not set");
        memcpy(un.sun_path, path, len);
        if (path[0] == '@')
                un.sun_path[0] = '\0';
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&un,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
                probe_die("NOTIFY_SOCKET");
        close(fd);
        free(text);
}

static void make_noise(long lines) {
        char line[64];

        for (long i = 1; i <= lines; i++)
                write_all(STDERR_FILENO, line, (size_t)snprintf(line, sizeof(line), "noise %ld\n", i));
}

static void echo(void) {
        char buffer[65536];
        ssize_t n;

        while ((n = read(STDIN_FILENO, buffer, sizeof(buffer))) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        probe_die("read");
                write_all(STDOUT_FILENO, buffer, (size_t)n);
        }
}

/* Answers up to count lines, or until end of file when count is 0. */
static void answer_lines(long count) {
        char line[8192], answer[8192 + 64];

        for (long i = 0; (count == 0 || i < count) && read_line(STDIN_FILENO, line, sizeof(line)) >= 0; i++)
                write_all(STDOUT_FILENO, answer,
                          (size_t)snprintf(answer, sizeof(answer), "pid=%d fd=0 line=%s\n", getpid(), line));
}

/* The parent in the middle exits at once and is waited for, so the grandchild is already
 * somebody else's when this returns. It keeps no descriptor: a connection is to end with the
 * probe, not with its orphan. */
static void leave_orphan(int ms) {
        pid_t pid = fork();

        if (pid < 0)
                probe_die("fork");
        if (pid > 0) {
                waitpid(pid, NULL, 0);
                return;
        }
        pid = fork();
        if (pid != 0)
                _exit(pid < 0);
        close_range(0, ~0U, 0);
        sleep_ms(ms);
        _exit(7);
}

static void leave_holder(int ms) {
        pid_t pid = fork();

        if (pid < 0)
                probe_die("fork");
        if (pid > 0)
                return;
        sleep_ms(ms);
        _exit(0);
}

/* The flag belongs to the open file, not to us: the broker finds it changed. */
static void set_nonblock(int fd) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                probe_die("O_NONBLOCK");
}

static _Noreturn void end(const struct probe *p) {
        static const struct rlimit no_core = {0, 0};

        setrlimit(RLIMIT_CORE, &no_core);
        if (p->abort)
                abort();
        if (p->kill_signal > 0) {
                if (p->kill_signal != SIGKILL && p->kill_signal != SIGSTOP)
                        signal(p->kill_signal, SIG_DFL);
                kill(getpid(), p->kill_signal);
        }
        while (p->hang)
                pause();
        exit(p->exit_status);
}

static void behave(struct probe *p) {
        if (p->touch)
                touch(p->touch);
        if (p->notify)
                notify(p->notify);
        if (p->stdout_text)
                say(STDOUT_FILENO, p->stdout_text);
        if (p->stderr_text)
                say(STDERR_FILENO, p->stderr_text);
        make_noise(p->noise);
        if (p->read_line)
                answer_lines(1);
        if (p->echo)
                echo();
        if (p->orphan)
                leave_orphan(p->orphan_ms);
        if (p->fork_hold)
                leave_holder(p->hold_ms);
        p->serve_options.stdio = p->serve_stdio;
        if (p->serve || p->serve_stdio)
                serve_loop(&p->serve_options);
        if (p->serve_queue)
                serve_queue(listen_fd(p), &p->serve_options);
        if (p->serve_lines)
                answer_lines(p->serve_options.count);
        if (p->nonblock_listener)
                set_nonblock(p->serve_stdio && p->listen_fd < 0 ? STDIN_FILENO : listen_fd(p));
}

int main(int argc, char **argv) {
        struct probe p = {.listen_fd = -1, .serve_options.idle_ms = -1, .orphan_ms = 200, .hold_ms = 60000};
        int opt;

        while ((opt = getopt_long(argc, argv, "+", options, NULL)) != -1)
                parse_option(&p, opt);
        sleep_ms(p.delay_ms);
        if (p.out)
                write_report(&p, argc, argv);
        if (p.ignore_term)
                signal(SIGTERM, SIG_IGN);
        behave(&p);
        end(&p);
}
