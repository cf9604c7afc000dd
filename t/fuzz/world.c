/* The world that the harnesses see instead of the machine: linked with --wrap, so that no input looks up a host or
 * opens a file, and each means the same everywhere. */
#include "fuzz.h"

#include "conf/textfile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret);
void __wrap_freeaddrinfo(struct addrinfo *results);
struct servent *__wrap_getservbyname(const char *name, const char *protocol);
struct passwd *__wrap_getpwnam(const char *name);
struct group *__wrap_getgrnam(const char *name);
struct group *__wrap_getgrgid(gid_t gid);
unsigned __wrap_if_nametoindex(const char *name);
char *__wrap_if_indextoname(unsigned index, char *ret);
int __wrap_textfile_read(const char *path, size_t limit, struct buf *ret, struct buf *why);

void fuzz_fail(const char *condition, const char *format, ...) {
        va_list args;

        fprintf(stderr, "does not hold: %s\n", condition);
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
        fputc('\n', stderr);
        abort();
}

struct found {
        struct addrinfo info;
        union {
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
        } address;
};

/* localhost has two addresses, localhost4 has one twice; no other host exists. */
int __wrap_getaddrinfo(const char *host, const char *service UNUSED, const struct addrinfo *hints,
                       struct addrinfo **ret) {
        static struct found found[2];
        bool both = strcmp(host, "localhost") == 0;

        if (!both && strcmp(host, "localhost4") != 0)
                return EAI_NONAME;
        for (size_t i = 0; i < LENGTH_OF(found); i++) {
                struct addrinfo *info = &found[i].info;

                found[i] =
                        (struct found){.info = {.ai_family = AF_INET, .ai_socktype = hints ? hints->ai_socktype : 0}};
                found[i].address.in = (struct sockaddr_in){.sin_family = AF_INET};
                found[i].address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                info->ai_addrlen = sizeof(found[i].address.in);
                info->ai_addr = (struct sockaddr *)&found[i].address;
        }
        if (both) {
                found[0].address.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
                found[0].info.ai_family = AF_INET6;
                found[0].info.ai_addrlen = sizeof(found[0].address.in6);
        }
        found[0].info.ai_next = &found[1].info;
        *ret = &found[0].info;
        return 0;
}

void __wrap_freeaddrinfo(struct addrinfo *results UNUSED) {
}

struct servent *__wrap_getservbyname(const char *name, const char *protocol) {
        static char http[] = "http", tcp[] = "tcp";
        static struct servent entry = {.s_name = http, .s_proto = tcp};

        if (strcmp(name, http) != 0 || strcmp(protocol, tcp) != 0)
                return NULL;
        entry.s_port = htons(80);
        return &entry;
}

/* One user and one group that are not root. */
struct passwd *__wrap_getpwnam(const char *name) {
        static char nobody[] = "nobody", nothing[] = "";
        static struct passwd entry = {.pw_name = nobody,
                                      .pw_passwd = nothing,
                                      .pw_uid = 65534,
                                      .pw_gid = 65534,
                                      .pw_gecos = nothing,
                                      .pw_dir = nothing,
                                      .pw_shell = nothing};

        errno = 0;
        return strcmp(name, nobody) == 0 ? &entry : NULL;
}

struct group *__wrap_getgrnam(const char *name) {
        static char nogroup[] = "nogroup", nothing[] = "";
        static struct group entry = {.gr_name = nogroup, .gr_passwd = nothing, .gr_gid = 65534};

        errno = 0;
        return strcmp(name, nogroup) == 0 ? &entry : NULL;
}

struct group *__wrap_getgrgid(gid_t gid) {
        return gid == 65534 ? __wrap_getgrnam("nogroup") : NULL;
}

unsigned __wrap_if_nametoindex(const char *name) {
        return strcmp(name, "lo") == 0 ? 1 : strcmp(name, "eth0") == 0 ? 2 : 0;
}

char *__wrap_if_indextoname(unsigned index, char *ret) {
        return index == 1 ? strcpy(ret, "lo") : index == 2 ? strcpy(ret, "eth0") : NULL;
}

/* Two files of variables and two banners, and nothing else. */
int __wrap_textfile_read(const char *path, size_t limit UNUSED, struct buf *ret, struct buf *why) {
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

        if (strcmp(name, "x.env") == 0) {
                buf_add_string(ret, "# x\nexport A=1\nB='two\nlines'\nC\nQUOTED=\"a\\tb\" # c\n");
                return 0;
        }
        if (strcmp(name, "bad.env") == 0) {
                buf_add_string(ret, "A B=1\n=2\nLISTEN_FDS=3\nOPEN=\"\n");
                return 0;
        }
        if (strcmp(name, "banner.txt") == 0) {
                buf_add(ret, "sorry,\r\n\0\xff", 10);
                return 0;
        }
        if (strcmp(name, "empty.txt") == 0)
                return 0;
        buf_add_string(why, "cannot be read: No such file or directory");
        return -ENOENT;
}
