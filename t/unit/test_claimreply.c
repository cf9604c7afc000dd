/* broker_claim() and what may be at the control socket instead of a broker as it should be: no descriptor stays open,
 * and the errors are those of the manual. */
#include "unit.h"

#include "base/defs.h"
#include "sockbroker/sockbroker.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

enum answer {
        ANSWER_RIGHT,
        ANSWER_MORE_SOCKETS,
        ANSWER_MORE_NAMES,
        ANSWER_NOTHING,
        ANSWER_EMPTY,
        ANSWER_TEXT,
        ANSWER_NUMBERS,
        ANSWER_ERROR,
        ANSWER_END,
};

static int answer_with(sd_bus_message *call, enum answer answer) {
        sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        if (r >= 0 && (answer == ANSWER_RIGHT || answer == ANSWER_MORE_NAMES))
                r = sd_bus_message_append(reply, "ah", 1, 0);
        if (r >= 0 && (answer == ANSWER_MORE_SOCKETS || answer == ANSWER_NUMBERS))
                r = sd_bus_message_append(reply, "ah", 2, 0, 0);
        if (r >= 0 && answer == ANSWER_EMPTY)
                r = sd_bus_message_append(reply, "ahas", 0, 0);
        if (r >= 0 && (answer == ANSWER_RIGHT || answer == ANSWER_MORE_SOCKETS))
                r = sd_bus_message_append(reply, "as", 1, "web");
        if (r >= 0 && answer == ANSWER_MORE_NAMES)
                r = sd_bus_message_append(reply, "as", 2, "web", "more");
        if (r >= 0 && answer == ANSWER_NUMBERS)
                r = sd_bus_message_append(reply, "ai", 2, 1, 2);
        if (r >= 0 && answer == ANSWER_TEXT)
                r = sd_bus_message_append(reply, "s", "web");
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r < 0 ? r : 1;
}

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error UNUSED) {
        const enum answer *answer = userdata;

        if (!sd_bus_message_is_method_call(message, NULL, NULL))
                return 0;
        if (*answer == ANSWER_END)
                _exit(0);
        if (*answer == ANSWER_ERROR)
                return sd_bus_reply_method_errorf(message, "org.example.Error", "no %s", "way");
        return answer_with(message, *answer);
}

/* One connection, until its other end is closed. */
static void serve(int listener, enum answer answer) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), r;
        sd_bus *bus = NULL;
        sd_id128_t id;

        if (sd_id128_randomize(&id) < 0 || sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 ||
            sd_bus_set_server(bus, 1, id) < 0 || sd_bus_set_trusted(bus, 1) < 0 || sd_bus_negotiate_fds(bus, 1) < 0 ||
            sd_bus_add_filter(bus, NULL, on_message, &answer) < 0 || sd_bus_start(bus) < 0)
                _exit(1);
        while ((r = sd_bus_process(bus, NULL)) >= 0)
                if (r == 0)
                        sd_bus_wait(bus, UINT64_MAX);
        _exit(0);
}

static size_t count_fds(void) {
        DIR *dir = opendir("/proc/self/fd");
        size_t n = 0;

        assert_non_null(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

static int claim_from(enum answer answer, size_t *count) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct broker_claim *claim = NULL;
        char dir[] = "/tmp/test-claimreply-XXXXXX", *message = NULL;
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;
        size_t before;
        pid_t pid;

        assert_non_null(mkdtemp(dir));
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/control", dir);
        assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(listener, 1), 0);
        pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                serve(listener, answer);
        }
        close(listener);
        before = count_fds();
        r = broker_claim("web", address.sun_path, &claim, &message);
        assert_int_equal(r < 0, message ? 1 : 0);
        assert_int_equal(r < 0, claim ? 0 : 1);
        *count = claim ? broker_claim_count(claim) : 0;
        broker_claim_free(claim);
        assert_int_equal(count_fds(), before);
        free(message);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        unlink(address.sun_path);
        rmdir(dir);
        return r;
}

static void test_answers(void **state UNUSED) {
        static const int expected[] = {
                [ANSWER_RIGHT] = 0,
                [ANSWER_MORE_SOCKETS] = -EBADMSG,
                [ANSWER_MORE_NAMES] = -EBADMSG,
                [ANSWER_NOTHING] = -EBADMSG,
                [ANSWER_EMPTY] = -EBADMSG,
                [ANSWER_TEXT] = -EBADMSG,
                [ANSWER_NUMBERS] = -EBADMSG,
                [ANSWER_ERROR] = -EIO,
                [ANSWER_END] = -EACCES,
        };
        size_t count;

        for (size_t i = 0; i < LENGTH_OF(expected); i++) {
                assert_int_equal(claim_from((enum answer)i, &count), expected[i]);
                assert_int_equal(count, i == ANSWER_RIGHT ? 1 : 0);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_answers),
        };

        return cmocka_run_group_tests_name("claimreply", tests, NULL, NULL);
}
