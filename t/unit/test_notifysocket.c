/* The socket of notify messages: whose they are, and that no descriptor stays with us that nobody took. */
#include "unit.h"

#include "base/notify.h"
#include "net/notifysocket.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t count_fds(void) {
        size_t count = 0;

        for (int fd = 0; fd < 1024; fd++)
                count += fcntl(fd, F_GETFD) >= 0;
        return count;
}

static int connect_to(const struct notifysocket *notifysocket) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        size_t n = strlen(notifysocket->name);
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        memcpy(address.sun_path + 1, notifysocket->name + 1, n - 1);
        assert_int_equal(
                connect(fd, (const struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
                0);
        return fd;
}

/* TEXT with COUNT descriptors of /dev/null. */
static void send_message(int fd, const char *text, size_t size, size_t count) {
        union {
                char bytes[CMSG_SPACE(NOTIFYSOCKET_FDS_MAX * sizeof(int))];
                struct cmsghdr aligned;
        } control = {0};
        struct iovec data = {.iov_base = (char *)text, .iov_len = size};
        struct msghdr header = {.msg_iov = &data, .msg_iovlen = 1};
        int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (count > 0) {
                struct cmsghdr *cmsg;

                header.msg_control = control.bytes;
                header.msg_controllen = CMSG_SPACE(count * sizeof(int));
                cmsg = CMSG_FIRSTHDR(&header);
                cmsg->cmsg_level = SOL_SOCKET;
                cmsg->cmsg_type = SCM_RIGHTS;
                cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
                for (size_t i = 0; i < count; i++)
                        memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &null_fd, sizeof(int));
        }
        assert_int_equal(sendmsg(fd, &header, 0), (ssize_t)size);
        close(null_fd);
}

#define SEND(fd, text, count) send_message(fd, text, sizeof(text) - 1, count)

static void test_message(void **state UNUSED) {
        struct notifysocket notifysocket;
        struct notification notification;
        size_t before = count_fds();
        int fd, taken;

        assert_int_equal(notifysocket_open(&notifysocket), 0);
        assert_int_equal(notifysocket.name[0], '@');
        assert_int_equal(fcntl(notifysocket.fd, F_GETFD), FD_CLOEXEC);
        assert_int_equal(notifysocket_receive(&notifysocket, &notification), NOTIFYSOCKET_NOTHING);
        notification_deinit(&notification);
        fd = connect_to(&notifysocket);
        SEND(fd, "FDSTORE=1\nFDNAME=x", 2);
        SEND(fd, "READY=1", 0);
        assert_int_equal(notifysocket_receive(&notifysocket, &notification), NOTIFYSOCKET_MESSAGE);
        assert_int_equal(notification.pid, getpid());
        assert_int_equal(notification.uid, getuid());
        assert_yes(notification.pidfd >= 0);
        assert_int_equal(notification.fd_count, 2);
        assert_int_equal(fcntl(notification.fds[0], F_GETFD), FD_CLOEXEC);
        taken = take_fd(notification.fds[1]);
        notification_deinit(&notification);
        assert_int_equal(fcntl(taken, F_GETFD), FD_CLOEXEC);
        close(taken);
        assert_int_equal(notifysocket_receive(&notifysocket, &notification), NOTIFYSOCKET_MESSAGE);
        assert_int_equal(notification.message.fields, NOTIFYMESSAGE_READY);
        assert_int_equal(notification.fd_count, 0);
        notification_deinit(&notification);
        close(fd);
        notifysocket_close(&notifysocket);
        assert_int_equal(count_fds(), before);
}

static void test_refused(void **state UNUSED) {
        static char text[NOTIFYMESSAGE_SIZE_MAX + 1];
        static const struct {
                const char *text;
                size_t fds;
                int outcome;
        } samples[] = {
                {"", 1, NOTIFYSOCKET_MALFORMED},          {"BARRIER=1", 0, NOTIFYSOCKET_MALFORMED},
                {"BARRIER=1", 2, NOTIFYSOCKET_MALFORMED}, {"BARRIER=1\nREADY=1", 1, NOTIFYSOCKET_MALFORMED},
                {"BARRIER=1", 1, NOTIFYSOCKET_MESSAGE},   {"FDSTORE=1", NOTIFYSOCKET_FDS_MAX, NOTIFYSOCKET_MESSAGE},
        };
        struct notifysocket notifysocket;
        struct notification notification;
        size_t before;
        int fd;

        assert_int_equal(notifysocket_open(&notifysocket), 0);
        fd = connect_to(&notifysocket);
        before = count_fds();
        for (size_t i = 0; i < LENGTH_OF(samples); i++) {
                send_message(fd, samples[i].text, strlen(samples[i].text), samples[i].fds);
                assert_int_equal(notifysocket_receive(&notifysocket, &notification), samples[i].outcome);
                assert_int_equal(notification.pid, getpid());
                if (samples[i].outcome == NOTIFYSOCKET_MESSAGE)
                        assert_int_equal(notification.fd_count, samples[i].fds);
                else
                        assert_int_equal(count_fds(), before);
                notification_deinit(&notification);
                assert_int_equal(count_fds(), before);
        }
        SEND(fd, "READY=1\0STOPPING=1", 3);
        assert_int_equal(notifysocket_receive(&notifysocket, &notification), NOTIFYSOCKET_MALFORMED);
        memset(text, 'x', sizeof(text));
        send_message(fd, text, sizeof(text), 3);
        assert_int_equal(notifysocket_receive(&notifysocket, &notification), NOTIFYSOCKET_TRUNCATED);
        send_message(fd, text, sizeof(text) - 1, 3);
        assert_int_equal(notifysocket_receive(&notifysocket, &notification), NOTIFYSOCKET_MESSAGE);
        notification_deinit(&notification);
        assert_int_equal(count_fds(), before);
        close(fd);
        notifysocket_close(&notifysocket);
}

/* With room in our table for some of the descriptors only, none is kept. */
static void test_no_room(void **state UNUSED) {
        struct notifysocket notifysocket;
        struct notification notification;
        struct rlimit limit, low;
        size_t before;
        int fd;

        assert_int_equal(notifysocket_open(&notifysocket), 0);
        fd = connect_to(&notifysocket);
        SEND(fd, "FDSTORE=1", 50);
        before = count_fds();
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        low = limit;
        low.rlim_cur = (rlim_t)fd + 20;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        assert_int_equal(notifysocket_receive(&notifysocket, &notification), NOTIFYSOCKET_TRUNCATED);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(notification.fd_count, 0);
        assert_int_equal(notification.pidfd, -EBADF);
        assert_int_equal(count_fds(), before);
        close(fd);
        notifysocket_close(&notifysocket);
}

/* The pidfd is the sender's, also where it has ended; and it is none where it was waited for. */
static void test_sender(void **state UNUSED) {
        struct notifysocket notifysocket;
        struct notification notification;

        assert_int_equal(notifysocket_open(&notifysocket), 0);
        for (int waited = 0; waited < 2; waited++) {
                int fd = connect_to(&notifysocket);
                siginfo_t info;
                pid_t pid = fork();

                if (pid == 0)
                        _exit(send(fd, "READY=1", 7, 0) == 7 ? 0 : 1);
                assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | (waited ? 0 : WNOWAIT)), 0);
                assert_int_equal(info.si_status, 0);
                assert_int_equal(notifysocket_receive(&notifysocket, &notification), NOTIFYSOCKET_MESSAGE);
                assert_int_equal(notification.pid, pid);
                if (!waited) {
                        assert_yes(notification.pidfd >= 0);
                        assert_int_equal(waitid(P_PIDFD, (id_t)notification.pidfd, &info, WEXITED), 0);
                }
                notification_deinit(&notification);
                close(fd);
        }
        notifysocket_close(&notifysocket);
}

/* As after an upgrade; and our own way of sending finds it. */
static void test_adopt(void **state UNUSED) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        struct notifysocket notifysocket, adopted;
        struct notification notification;
        int pair[2];

        assert_int_equal(notifysocket_open(&notifysocket), 0);
        assert_int_equal(notifysocket_adopt(dup(notifysocket.fd), &adopted), 0);
        assert_string_equal(adopted.name, notifysocket.name);
        assert_int_equal(adopted.pidfds, notifysocket.pidfds);
        assert_int_equal(fcntl(adopted.fd, F_GETFD), FD_CLOEXEC);
        notifysocket_close(&notifysocket);
        setenv("NOTIFY_SOCKET", adopted.name, 1);
        buf_add_string(&text, "STATUS=hello\n");
        assert_int_equal(notify_send(&text), 0);
        assert_int_equal(notifysocket_receive(&adopted, &notification), NOTIFYSOCKET_MESSAGE);
        assert_string_equal(notification.message.status, "hello");
        notification_deinit(&notification);
        notifysocket_close(&adopted);
        assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
        assert_int_equal(notifysocket_adopt(pair[0], &adopted), -EADDRNOTAVAIL);
        close(pair[1]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_message), cmocka_unit_test(test_refused), cmocka_unit_test(test_no_room),
                cmocka_unit_test(test_sender),  cmocka_unit_test(test_adopt),
        };

        return cmocka_run_group_tests_name("notifysocket", tests, NULL, NULL);
}
