/*
 * probe_report: see the header. The report is written to memory while only one file of /proc is
 * open at a time, and the descriptors are looked at first of all.
 */

#include "probe_report.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "probe_serve.h"

#define FDS_MAX 65536

union address {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        struct sockaddr_vm vm;
        char room[256];
};

struct name {
        int value;
        const char *text;
};

static const struct name family_names[] = {
        {AF_INET, "inet"},       {AF_INET6, "inet6"}, {AF_UNIX, "unix"},
        {AF_NETLINK, "netlink"}, {AF_VSOCK, "vsock"}, {-1, NULL},
};

static const struct name type_names[] = {
        {SOCK_STREAM, "stream"}, {SOCK_DGRAM, "dgram"}, {SOCK_SEQPACKET, "seqpacket"}, {SOCK_RAW, "raw"}, {-1, NULL},
};

/* As docker compose calls them, because the definitions do. */
static const struct name limit_names[] = {
        {RLIMIT_AS, "as"},
        {RLIMIT_CORE, "core"},
        {RLIMIT_CPU, "cpu"},
        {RLIMIT_DATA, "data"},
        {RLIMIT_FSIZE, "fsize"},
        {RLIMIT_LOCKS, "locks"},
        {RLIMIT_MEMLOCK, "memlock"},
        {RLIMIT_MSGQUEUE, "msgqueue"},
        {RLIMIT_NICE, "nice"},
        {RLIMIT_NOFILE, "nofile"},
        {RLIMIT_NPROC, "nproc"},
        {RLIMIT_RSS, "rss"},
        {RLIMIT_RTPRIO, "rtprio"},
        {RLIMIT_RTTIME, "rttime"},
        {RLIMIT_STACK, "stack"},
        {RLIMIT_SIGPENDING, "sigpending"},
        {-1, NULL},
};

/* How many bytes of s are one UTF-8 character beyond ASCII; 0 when they are none. */
static size_t utf8_length(const unsigned char *s, size_t len) {
        size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;

        if (s[0] < 0xc2 || s[0] > 0xf4 || n > len)
                return 0;
        for (size_t i = 1; i < n; i++)
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
        /* Over-long forms, surrogates and what lies beyond U+10FFFF, which a strict reader
         * refuses. */
        if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
            (s[0] == 0xf4 && s[1] > 0x8f))
                return 0;
        return n;
}

/* Bytes that are not UTF-8 become the character of the same number, so that the line is always
 * valid. */
static void put_bytes(FILE *out, const char *text, size_t len) {
        const unsigned char *s = (const unsigned char *)text;

        putc('"', out);
        for (size_t i = 0; i < len; i++) {
                size_t n;

                if (s[i] == '"' || s[i] == '\\')
                        fprintf(out, "\\%c", s[i]);
                else if (s[i] >= 0x20 && s[i] < 0x7f)
                        putc(s[i], out);
                else if (s[i] >= 0x80 && (n = utf8_length(s + i, len - i)) > 0) {
                        fwrite(s + i, 1, n, out);
                        i += n - 1;
                } else
                        fprintf(out, "\\u%04x", s[i]);
        }
        putc('"', out);
}

static void put_string(FILE *out, const char *text) {
        put_bytes(out, text, strlen(text));
}

static void put_member(FILE *out, const char *key, const char *text) {
        fprintf(out, ",\"%s\":", key);
        put_string(out, text);
}

static void put_bool(FILE *out, const char *key, bool value) {
        fprintf(out, ",\"%s\":%s", key, value ? "true" : "false");
}

static void put_name(FILE *out, const char *key, const struct name *names, int value) {
        for (; names->text; names++)
                if (names->value == value) {
                        put_member(out, key, names->text);
                        return;
                }
        fprintf(out, ",\"%s\":%d", key, value);
}

static void put_link(FILE *out, const char *key, const char *path) {
        char target[4096];
        ssize_t n = readlink(path, target, sizeof(target));

        fprintf(out, ",\"%s\":", key);
        if (n < 0)
                fputs("null", out);
        else
                put_bytes(out, target, (size_t)n);
}

static void read_proc(const char *path, char *buffer, size_t size) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        size_t len = 0;
        ssize_t n;

        if (fd < 0)
                probe_die(path);
        while (len < size - 1 && (n = read(fd, buffer + len, size - 1 - len)) != 0) {
                if (n < 0)
                        probe_die(path);
                len += (size_t)n;
        }
        close(fd);
        buffer[len] = '\0';
}

static void put_address(FILE *out, const char *key, const union address *address, socklen_t len) {
        char host[INET6_ADDRSTRLEN];
        char text[INET6_ADDRSTRLEN + 40] = "";

        switch (address->sa.sa_family) {
        case AF_INET:
                inet_ntop(AF_INET, &address->in.sin_addr, host, sizeof(host));
                snprintf(text, sizeof(text), "%s:%u", host, ntohs(address->in.sin_port));
                break;
        case AF_INET6:
                inet_ntop(AF_INET6, &address->in6.sin6_addr, host, sizeof(host));
                snprintf(text, sizeof(text), "[%s]:%u", host, ntohs(address->in6.sin6_port));
                if (address->in6.sin6_scope_id != 0)
                        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%%%u", address->in6.sin6_scope_id);
                break;
        case AF_VSOCK:
                snprintf(text, sizeof(text), "vsock:%u:%u", address->vm.svm_cid, address->vm.svm_port);
                break;
        case AF_UNIX: {
                const char *path = address->un.sun_path;
                size_t n =
                        len > offsetof(struct sockaddr_un, sun_path) ? len - offsetof(struct sockaddr_un, sun_path) : 0;
                char copy[sizeof(address->room) + 1];

                if (n > 0 && path[0] != '\0')
                        n = strnlen(path, n);
                memcpy(copy, path, n);
                if (n > 0 && copy[0] == '\0')
                        copy[0] = '@';
                fprintf(out, ",\"%s\":", key);
                put_bytes(out, copy, n);
                return;
        }
        default:
                break;
        }
        put_member(out, key, text);
}

static int socket_option(int fd, int option) {
        int value = -1;
        socklen_t len = sizeof(value);

        return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

static void put_socket(FILE *out, int fd) {
        union address address = {0};
        socklen_t len = sizeof(address);

        put_name(out, "family", family_names, socket_option(fd, SO_DOMAIN));
        put_name(out, "type", type_names, socket_option(fd, SO_TYPE));
        fprintf(out, ",\"protocol\":%d", socket_option(fd, SO_PROTOCOL));
        put_bool(out, "listening", socket_option(fd, SO_ACCEPTCONN) == 1);
        if (getsockname(fd, &address.sa, &len) == 0)
                put_address(out, "local", &address, len);
        memset(&address, 0, sizeof(address));
        len = sizeof(address);
        if (getpeername(fd, &address.sa, &len) == 0)
                put_address(out, "peer", &address, len);
}

static const char *kind_name(mode_t mode) {
        if (S_ISSOCK(mode))
                return "socket";
        if (S_ISFIFO(mode))
                return "pipe";
        if (S_ISREG(mode))
                return "file";
        if (S_ISCHR(mode))
                return "char";
        return S_ISDIR(mode) ? "dir" : "other";
}

static void put_fd(FILE *out, int fd) {
        static const char *const access_names[] = {[O_RDONLY] = "rdonly", [O_WRONLY] = "wronly", [O_RDWR] = "rdwr"};
        int flags = fcntl(fd, F_GETFL), mode = flags & O_ACCMODE;
        struct stat st;
        char path[64];

        if (flags < 0 || fstat(fd, &st) < 0)
                probe_die("descriptor");
        fprintf(out, "{\"fd\":%d", fd);
        put_member(out, "kind", kind_name(st.st_mode));
        fprintf(out, ",\"flags\":[\"%s\"%s%s]", mode <= O_RDWR ? access_names[mode] : "none",
                flags & O_NONBLOCK ? ",\"nonblock\"" : "", flags & O_APPEND ? ",\"append\"" : "");
        put_bool(out, "cloexec", fcntl(fd, F_GETFD) & FD_CLOEXEC);
        if (S_ISSOCK(st.st_mode))
                put_socket(out, fd);
        fprintf(out, ",\"inode\":%" PRIuMAX, (uintmax_t)st.st_ino);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        put_link(out, "target", path);
        putc('}', out);
}

static int compare_ints(const void *a, const void *b) {
        return *(const int *)a - *(const int *)b;
}

static void put_fds(FILE *out) {
        static int fds[FDS_MAX];
        DIR *dir = opendir("/proc/self/fd");
        struct dirent *entry;
        size_t n = 0;

        if (!dir)
                probe_die("/proc/self/fd");
        while ((entry = readdir(dir)))
                if (isdigit((unsigned char)entry->d_name[0]) && atoi(entry->d_name) != dirfd(dir) && n < FDS_MAX)
                        fds[n++] = atoi(entry->d_name);
        closedir(dir);
        qsort(fds, n, sizeof(fds[0]), compare_ints);
        fputs(",\"fds\":[", out);
        for (size_t i = 0; i < n; i++) {
                if (i > 0)
                        putc(',', out);
                put_fd(out, fds[i]);
        }
        putc(']', out);
}

static bool is_duplicate(char **entry, size_t key_len) {
        for (char **e = environ; e < entry; e++)
                if (strncmp(*e, *entry, key_len + 1) == 0)
                        return true;
        return false;
}

/* A name that is there twice would silently be the last one in most readers of JSON, and is the
 * first one to getenv(). */
static void put_environment(FILE *out) {
        const char *comma = "";

        fputs(",\"env\":{", out);
        for (char **e = environ; *e; e++) {
                const char *equals = strchr(*e, '=');

                if (!equals || is_duplicate(e, (size_t)(equals - *e)))
                        continue;
                fputs(comma, out);
                comma = ",";
                put_bytes(out, *e, (size_t)(equals - *e));
                putc(':', out);
                put_string(out, equals + 1);
        }
        fputs("},\"env_odd\":[", out);
        comma = "";
        for (char **e = environ; *e; e++) {
                const char *equals = strchr(*e, '=');

                if (equals && !is_duplicate(e, (size_t)(equals - *e)))
                        continue;
                fputs(comma, out);
                comma = ",";
                put_string(out, *e);
        }
        putc(']', out);
}

/* The value of a line "Key:\tvalue" of /proc/self/status; empty when this kernel has no such
 * line. */
static void status_value(const char *status, const char *key, char *ret_value, size_t size) {
        size_t len = strlen(key);
        const char *line = status;

        ret_value[0] = '\0';
        while (line && (strncmp(line, key, len) != 0 || line[len] != ':')) {
                line = strchr(line, '\n');
                line = line ? line + 1 : NULL;
        }
        if (!line)
                return;
        line += len + 1;
        line += strspn(line, " \t");
        snprintf(ret_value, size, "%.*s", (int)strcspn(line, "\n"), line);
}

static void put_status_object(FILE *out, const char *status, const char *name, const char *const (*members)[2]) {
        char value[256];

        fprintf(out, ",\"%s\":{", name);
        for (int i = 0; members[i][0]; i++) {
                status_value(status, members[i][1], value, sizeof(value));
                fprintf(out, "%s\"%s\":\"%s\"", i > 0 ? "," : "", members[i][0], value);
        }
        putc('}', out);
}

static void put_status(FILE *out) {
        static const char *const caps[][2] = {
                {"eff", "CapEff"}, {"prm", "CapPrm"}, {"inh", "CapInh"},
                {"bnd", "CapBnd"}, {"amb", "CapAmb"}, {NULL, NULL},
        };
        static const char *const signals[][2] = {
                {"blocked", "SigBlk"}, {"ignored", "SigIgn"},        {"caught", "SigCgt"},
                {"pending", "SigPnd"}, {"pending_shared", "ShdPnd"}, {NULL, NULL},
        };
        static char status[16384];
        char value[1024];

        read_proc("/proc/self/status", status, sizeof(status));
        put_status_object(out, status, "signals", signals);
        put_status_object(out, status, "caps", caps);
        status_value(status, "Cpus_allowed_list", value, sizeof(value));
        put_member(out, "cpus", value);
        status_value(status, "NoNewPrivs", value, sizeof(value));
        put_bool(out, "no_new_privs", value[0] == '1');
}

static void put_ids(FILE *out) {
        static gid_t groups[65536];
        uid_t ruid, euid, suid;
        gid_t rgid, egid, sgid;
        int n = getgroups(65536, groups);

        if (getresuid(&ruid, &euid, &suid) < 0 || getresgid(&rgid, &egid, &sgid) < 0 || n < 0)
                probe_die("ids");
        fprintf(out,
                ",\"ids\":{\"ruid\":%u,\"euid\":%u,\"suid\":%u,\"rgid\":%u,\"egid\":%u,\"sgid\":%u,"
                "\"groups\":[",
                ruid, euid, suid, rgid, egid, sgid);
        for (int i = 0; i < n; i++)
                fprintf(out, "%s%u", i > 0 ? "," : "", groups[i]);
        fputs("]}", out);
}

static void put_limit(FILE *out, rlim_t value) {
        if (value == RLIM_INFINITY)
                fputs("null", out);
        else
                fprintf(out, "%" PRIuMAX, (uintmax_t)value);
}

static void put_limits(FILE *out) {
        fputs(",\"rlimits\":{", out);
        for (const struct name *l = limit_names; l->text; l++) {
                struct rlimit limit;

                if (getrlimit((__rlimit_resource_t)l->value, &limit) < 0)
                        probe_die("getrlimit");
                fprintf(out, "%s\"%s\":[", l == limit_names ? "" : ",", l->text);
                put_limit(out, limit.rlim_cur);
                putc(',', out);
                put_limit(out, limit.rlim_max);
                putc(']', out);
        }
        putc('}', out);
}

static bool has_terminal(void) {
        char text[4096], *end;
        long terminal = 0;

        read_proc("/proc/self/stat", text, sizeof(text));
        /* The second field is a name in parentheses that may contain anything; the last ) ends
         * it. */
        end = strrchr(text, ')');
        if (!end || sscanf(end + 1, " %*c %*d %*d %*d %ld", &terminal) != 1)
                probe_die("/proc/self/stat");
        return terminal != 0;
}

static void put_process(FILE *out) {
        mode_t mask = umask(0);
        char text[64];
        int pdeathsig = 0;

        umask(mask);
        fprintf(out, ",\"pid\":%d,\"ppid\":%d,\"sid\":%d,\"pgid\":%d", getpid(), getppid(), getsid(0), getpgrp());
        put_bool(out, "session_leader", getsid(0) == getpid());
        put_bool(out, "tty", has_terminal());
        fprintf(out, ",\"umask\":\"%04o\"", mask);
        put_link(out, "cwd", "/proc/self/cwd");
        put_link(out, "root", "/proc/self/root");
        put_link(out, "exe", "/proc/self/exe");
        fprintf(out, ",\"nice\":%d", getpriority(PRIO_PROCESS, 0));
        prctl(PR_GET_PDEATHSIG, &pdeathsig);
        fprintf(out, ",\"pdeathsig\":%d", pdeathsig);
        read_proc("/proc/self/oom_score_adj", text, sizeof(text));
        fprintf(out, ",\"oom_score_adj\":%d", atoi(text));
}

char *report_new(int argc, char **argv, size_t *ret_len) {
        char *text = NULL;
        FILE *out = open_memstream(&text, ret_len);

        if (!out)
                probe_die("open_memstream");
        fputs("{\"argv\":[", out);
        for (int i = 0; i < argc; i++) {
                if (i > 0)
                        putc(',', out);
                put_string(out, argv[i]);
        }
        putc(']', out);
        put_fds(out);
        put_environment(out);
        put_process(out);
        put_ids(out);
        put_status(out);
        put_limits(out);
        fputs("}\n", out);
        if (fclose(out) != 0)
                probe_die("report");
        return text;
}
