/* Real sockets: what counts as alive, what does not, and
 * what asking costs. */
#include "unit.h"

#include "base/fd.h"
#include "net/addr.h"
#include "net/sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOREIGN_MAX 5000

static char dir[] = "/tmp/test-sockdiag-XXXXXX";

static union sockaddr_any v4(const char *text) {
        union sockaddr_any sa = {.in.sin_family = AF_INET};

        inet_pton(AF_INET, text, &sa.in.sin_addr);
        return sa;
}

static union sockaddr_any v6(const char *text) {
        union sockaddr_any sa = {.in6.sin6_family = AF_INET6};

        inet_pton(AF_INET6, text, &sa.in6.sin6_addr);
        return sa;
}

static union sockaddr_any in_dir(const char *name) {
        union sockaddr_any sa = {.un.sun_family = AF_UNIX};

        snprintf(sa.un.sun_path, sizeof(sa.un.sun_path), "%s/%s", dir, name);
        return sa;
}

static socklen_t size_of(const union sockaddr_any *sa) {
        switch (sa->sa.sa_family) {
        case AF_INET:
                return sizeof(sa->in);
        case AF_INET6:
                return sizeof(sa->in6);
        default:
                /* Abstract names of these tests are terminated as well. */
                return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(sa->un.sun_path + 1) + 1);
        }
}

static int listen_at(const union sockaddr_any *sa, int type) {
        int fd = socket(sa->sa.sa_family, type | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        if (bind(fd, &sa->sa, size_of(sa)) < 0 || listen(fd, 4096) < 0) {
                close(fd);
                return -EBADF;
        }
        return fd;
}

/* A client of LISTENER that connects to the address SA, or to the listener's own. */
static int connect_to(int listener, const union sockaddr_any *sa) {
        union sockaddr_any bound;
        socklen_t size = sizeof(bound), int_size = sizeof(int);
        int fd, type;

        assert_int_equal(getsockname(listener, &bound.sa, &size), 0);
        getsockopt(listener, SOL_SOCKET, SO_TYPE, &type, &int_size);
        if (sa) {
                in_port_t port = bound.in.sin_port; /* where IPv6 has it too */

                bound = *sa;
                bound.in.sin_port = port;
                size = size_of(sa);
        }
        fd = socket(bound.sa.sa_family, type | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_int_equal(connect(fd, &bound.sa, size), 0);
        return fd;
}

static int accept_from(int listener) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        assert_true(fd >= 0);
        return fd;
}

static int answer(int listener) {
        struct sockdiag diag = {.dumps = 0};

        return sockdiag_ask(&diag, &listener, 1);
}

/* From nobody to one that waits, is accepted, is asked for again, and is gone. */
static void walk(int listener, const union sockaddr_any *to) {
        struct sockdiag diag = {.dumps = 0};
        uint64_t dumps;
        int client, server;

        assert_int_equal(sockdiag_check(listener), 0);
        assert_int_equal(sockdiag_ask(&diag, &listener, 1), SOCKDIAG_QUIET);
        client = connect_to(listener, to);
        assert_int_equal(sockdiag_ask(&diag, &listener, 1), SOCKDIAG_ALIVE);
        server = accept_from(listener);
        assert_int_equal(sockdiag_ask(&diag, &listener, 1), SOCKDIAG_ALIVE);
        dumps = diag.dumps;
        assert_int_equal(sockdiag_ask(&diag, &listener, 1), SOCKDIAG_ALIVE);
        assert_int_equal(diag.dumps, dumps); /* no list for one that is known */
        close(client);
        assert_int_equal(sockdiag_ask(&diag, &listener, 1), SOCKDIAG_ALIVE); /* the server has yet to notice */
        close(server);
        assert_int_equal(sockdiag_ask(&diag, &listener, 1), SOCKDIAG_QUIET);
        assert_true(diag.dumps > dumps);
}

static void test_forms(void **state UNUSED) {
        const union sockaddr_any any = v4("0.0.0.0"), one = v4("127.0.0.1"), two = v4("127.0.0.2");
        const union sockaddr_any any6 = v6("::"), one6 = v6("::1"), mapped = v6("::ffff:127.0.0.1");
        union sockaddr_any abstract = in_dir("abstract"), path = in_dir("path"), packet = in_dir("packet");
        int fd;

        abstract.un.sun_path[0] = '\0';
        fd = listen_at(&any, SOCK_STREAM);
        walk(fd, &two);
        close(fd);
        fd = listen_at(&one, SOCK_STREAM);
        walk(fd, NULL);
        close(fd);
        fd = listen_at(&abstract, SOCK_STREAM);
        walk(fd, NULL);
        close(fd);
        fd = listen_at(&path, SOCK_STREAM);
        walk(fd, NULL);
        close(fd);
        fd = listen_at(&packet, SOCK_SEQPACKET);
        walk(fd, NULL);
        close(fd);
        fd = listen_at(&any6, SOCK_STREAM);
        if (fd < 0)
                return; /* no IPv6 here */
        walk(fd, &one6);
        walk(fd, &two);
        walk(fd, &mapped);
        close(fd);
        fd = listen_at(&one6, SOCK_STREAM);
        if (fd >= 0)
                walk(fd, NULL);
        fd_close(fd);
        fd = listen_at(&mapped, SOCK_STREAM);
        walk(fd, &one);
        close(fd);
}

/* A server can make a plain IPv4 socket of one that came in by IPv6. */
static void test_addrform(void **state UNUSED) {
        const union sockaddr_any any = v6("::"), one = v4("127.0.0.1");
        int fd = listen_at(&any, SOCK_STREAM), client, server, family = AF_INET;

        if (fd < 0)
                return;
        client = connect_to(fd, &one);
        server = accept_from(fd);
        assert_int_equal(setsockopt(server, IPPROTO_IPV6, IPV6_ADDRFORM, &family, sizeof(family)), 0);
        assert_int_equal(answer(fd), SOCKDIAG_ALIVE);
        close(client);
        close(server);
        close(fd);
}

static void test_halves(void **state UNUSED) {
        const union sockaddr_any one = v4("127.0.0.1");
        int fd = listen_at(&one, SOCK_STREAM), client, server;

        /* The client has said all it has to say, and waits for the answer. */
        client = connect_to(fd, NULL);
        shutdown(client, SHUT_WR);
        assert_int_equal(answer(fd), SOCKDIAG_ALIVE);
        server = accept_from(fd);
        assert_int_equal(answer(fd), SOCKDIAG_ALIVE);
        /* So has the server: LAST_ACK or CLOSING, but it still holds it. */
        shutdown(server, SHUT_WR);
        close(server);
        close(client);
        assert_int_equal(answer(fd), SOCKDIAG_QUIET);

        /* The server has said all, and reads on: FIN_WAIT2. */
        client = connect_to(fd, NULL);
        server = accept_from(fd);
        shutdown(server, SHUT_WR);
        assert_int_equal(answer(fd), SOCKDIAG_ALIVE);
        /* It has gone altogether, the client has not noticed yet. */
        close(server);
        assert_int_equal(answer(fd), SOCKDIAG_QUIET);
        close(client);
        close(fd);
}

/* The side that closes first stays in TIME_WAIT. */
static void test_time_wait(void **state UNUSED) {
        const union sockaddr_any one = v4("127.0.0.1");
        int fd = listen_at(&one, SOCK_STREAM), client = connect_to(fd, NULL), server = accept_from(fd);

        close(server);
        close(client);
        assert_int_equal(answer(fd), SOCKDIAG_QUIET);
        close(fd);
}

/* Others' connections, and our own as a client, have nothing to do with it. */
static void test_others(void **state UNUSED) {
        const union sockaddr_any one = v4("127.0.0.1"), two = v4("127.0.0.2");
        const union sockaddr_any path_a = in_dir("a"), path_b = in_dir("b");
        int a = listen_at(&one, SOCK_STREAM), b = listen_at(&one, SOCK_STREAM), c, client, server, fds[2];
        union sockaddr_any same = two, bound;
        socklen_t size = sizeof(bound);
        struct sockdiag diag = {.dumps = 0};

        client = connect_to(a, NULL);
        server = accept_from(a);
        assert_int_equal(answer(b), SOCKDIAG_QUIET);
        assert_int_equal(diag.bytes, 0);
        /* The same port at another address. */
        getsockname(a, &bound.sa, &size);
        same.in.sin_port = bound.in.sin_port;
        c = listen_at(&same, SOCK_STREAM);
        assert_true(c >= 0);
        assert_int_equal(answer(c), SOCKDIAG_QUIET);
        fds[0] = b;
        fds[1] = c;
        assert_int_equal(sockdiag_ask(&diag, fds, 2), SOCKDIAG_QUIET);
        fds[0] = a;
        assert_int_equal(sockdiag_ask(&diag, fds, 2), SOCKDIAG_ALIVE);
        fds[0] = c;
        fds[1] = a;
        diag.found.family = 0;
        assert_int_equal(sockdiag_ask(&diag, fds, 2), SOCKDIAG_ALIVE);
        /* The server's end has gone, the client's is left. */
        close(server);
        assert_int_equal(answer(a), SOCKDIAG_QUIET);
        close(client);
        close(a);
        close(b);
        close(c);

        a = listen_at(&path_a, SOCK_STREAM);
        b = listen_at(&path_b, SOCK_STREAM);
        client = connect_to(a, NULL);
        server = accept_from(a);
        assert_int_equal(answer(b), SOCKDIAG_QUIET);
        assert_int_equal(answer(a), SOCKDIAG_ALIVE);
        /* A new listener at the path of one whose connections go on. */
        unlink(path_a.un.sun_path);
        c = listen_at(&path_a, SOCK_STREAM);
        assert_int_equal(answer(c), SOCKDIAG_QUIET);
        assert_int_equal(answer(a), SOCKDIAG_ALIVE);
        close(client);
        close(server);
        close(a);
        close(b);
        close(c);
}

/* More listeners than one list is compared with. */
static void test_many_listeners(void **state UNUSED) {
        const union sockaddr_any any = v4("0.0.0.0"), one = v4("127.0.0.1");
        struct sockdiag diag = {.dumps = 0};
        int fds[50], client, server;

        for (size_t i = 0; i < LENGTH_OF(fds); i++)
                assert_true((fds[i] = listen_at(i % 2 ? &any : &one, SOCK_STREAM)) >= 0);
        assert_int_equal(sockdiag_ask(&diag, fds, LENGTH_OF(fds)), SOCKDIAG_QUIET);
        for (size_t i = 0; i < LENGTH_OF(fds); i++) {
                client = connect_to(fds[i], &one);
                server = accept_from(fds[i]);
                assert_int_equal(sockdiag_ask(&diag, fds, LENGTH_OF(fds)), SOCKDIAG_ALIVE);
                close(server);
                close(client);
        }
        assert_int_equal(sockdiag_ask(&diag, fds, LENGTH_OF(fds)), SOCKDIAG_QUIET);
        for (size_t i = 0; i < LENGTH_OF(fds); i++)
                close(fds[i]);
}

/* What others do reaches us by no byte more. */
static void test_foreign(void **state UNUSED) {
        const union sockaddr_any one = v4("127.0.0.1");
        int fd = listen_at(&one, SOCK_STREAM), others[2] = {listen_at(&one, SOCK_STREAM), listen_at(&one, SOCK_STREAM)};
        static int clients[FOREIGN_MAX];
        struct rlimit limit;
        size_t count = FOREIGN_MAX;
        struct sockdiag before = {.dumps = 0}, after = {.dumps = 0};

        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        count = MIN_OF(count, (size_t)limit.rlim_max - 50);
        assert_int_equal(sockdiag_ask(&before, &fd, 1), SOCKDIAG_QUIET);
        for (size_t i = 0; i < count; i++)
                clients[i] = connect_to(others[i % 2], NULL);
        assert_int_equal(sockdiag_ask(&after, &fd, 1), SOCKDIAG_QUIET);
        assert_int_equal(after.bytes, before.bytes);
        /* Nor do many of one's own: a list is read up to the first. */
        close(fd);
        after.bytes = 0;
        accept_from(others[0]);
        assert_int_equal(sockdiag_ask(&after, others, 1), SOCKDIAG_ALIVE);
        assert_true(after.bytes <= 32768);
        for (size_t i = 0; i < count; i++)
                close(clients[i]);
        close(others[0]);
        close(others[1]);
}

static void test_kinds(void **state UNUSED) {
        const union sockaddr_any one = v4("127.0.0.1");
        int fd = socket(AF_INET, SOCK_DGRAM, 0), r;

        assert_int_equal(bind(fd, &one.sa, sizeof(one.in)), 0);
        assert_int_equal(sockdiag_check(fd), -EPROTONOSUPPORT);
        assert_int_equal(answer(fd), -EPROTONOSUPPORT);
        close(fd);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        r = sockdiag_check(fd);
        assert_int_equal(r, -EPROTONOSUPPORT); /* it does not listen */
        close(fd);
        assert_int_equal(sockdiag_check(STDIN_FILENO), -EPROTONOSUPPORT);
}

/* Runs FN in a child, which says by its status what has come of it. */
static int in_child(int (*fn)(int fd), int fd) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
                _exit(fn(fd));
        waitpid(pid, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* As in a container without it: socket(AF_NETLINK) is refused. */
static int without_netlink(int fd) {
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {LENGTH_OF(filter), filter};

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
                return 0; /* nothing to be seen without seccomp */
        return sockdiag_check(fd) == -EACCES && answer(fd) == -EACCES ? 0 : 1;
}

/* As with a socket that was inherited from elsewhere. */
static int in_other_namespace(int fd) {
        if (unshare(CLONE_NEWNET) < 0)
                return 0;
        return sockdiag_check(fd) == -ENOENT ? 0 : 1;
}

static void test_cannot_tell(void **state UNUSED) {
        const union sockaddr_any one = v4("127.0.0.1"), path = in_dir("far");
        int fd = listen_at(&one, SOCK_STREAM), local = listen_at(&path, SOCK_STREAM);

        assert_int_equal(in_child(without_netlink, fd), 0);
        assert_int_equal(in_child(without_netlink, local), 0);
        assert_int_equal(in_child(in_other_namespace, fd), 0);
        assert_int_equal(in_child(in_other_namespace, local), 0);
        close(fd);
        close(local);
}

static int make_dir(void **state UNUSED) {
        return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state UNUSED) {
        static const char *const names[] = {"path", "packet", "a", "b", "far"};

        for (size_t i = 0; i < LENGTH_OF(names); i++)
                unlink(in_dir(names[i]).un.sun_path);
        return rmdir(dir);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_forms),       cmocka_unit_test(test_addrform),
                cmocka_unit_test(test_halves),      cmocka_unit_test(test_time_wait),
                cmocka_unit_test(test_others),      cmocka_unit_test(test_many_listeners),
                cmocka_unit_test(test_foreign),     cmocka_unit_test(test_kinds),
                cmocka_unit_test(test_cannot_tell),
        };

        return cmocka_run_group_tests_name("sockdiag", tests, make_dir, remove_dir);
}
