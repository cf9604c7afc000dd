/* Descriptors kept for the next server: their order, how many, duplicates, and those that hang up. */
#include "unit.h"

#include "base/fd.h"
#include "core/fdstore.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static sd_event *event;

static int setup(void **state UNUSED) {
        return sd_event_default(&event) < 0;
}

static int teardown(void **state UNUSED) {
        event = sd_event_unref(event);
        return 0;
}

static bool is_open(int fd) {
        return fcntl(fd, F_GETFD) >= 0;
}

static int add(struct fdstore *store, const char *name, int own_fd) {
        const struct fdstore_item_request request = {.name = name, .poll = true, .max = 3};

        return fdstore_add(store, &request, own_fd);
}

/* The names in their order, with commas behind them. */
static const char *names(const struct fdstore *store) {
        static char text[256];
        struct handoff_stored *list;
        size_t count, used = 0;

        assert_int_equal(fdstore_list(store, &list, &count), 0);
        text[0] = '\0';
        for (size_t i = 0; i < count; i++) {
                assert_yes(is_open(list[i].fd));
                used += (size_t)snprintf(text + used, sizeof(text) - used, "%s,", list[i].name);
        }
        free(list);
        return text;
}

static void test_order(void **state UNUSED) {
        struct fdstore *store;
        int lowest = dup(0), fd;

        close(lowest);
        assert_int_equal(fdstore_new(event, &store), 0);
        assert_string_equal(names(NULL), "");
        assert_string_equal(names(store), "");
        assert_int_equal(add(store, "a", eventfd(0, EFD_CLOEXEC)), FDSTORE_ADDED);
        assert_int_equal(add(store, "b", eventfd(0, EFD_CLOEXEC)), FDSTORE_ADDED);
        assert_int_equal(add(store, "a", open("/dev/null", O_RDONLY | O_CLOEXEC)), FDSTORE_ADDED);
        assert_string_equal(names(store), "a,b,a,");
        fd = eventfd(0, EFD_CLOEXEC);
        assert_int_equal(fd, lowest); /* where the stored ones are not */
        assert_int_equal(add(store, "c", fd), FDSTORE_FULL);
        assert_no(is_open(fd));
        assert_int_equal(fdstore_remove(store, "none"), 0);
        assert_int_equal(fdstore_remove(store, "a"), 2);
        assert_string_equal(names(store), "b,");
        assert_int_equal(add(store, "c", eventfd(0, EFD_CLOEXEC)), FDSTORE_ADDED);
        assert_string_equal(names(store), "b,c,");
        assert_null(fdstore_free(store));
        assert_null(fdstore_free(NULL));
        fd = dup(0);
        assert_int_equal(fd, lowest);
        close(fd);
}

static void test_duplicates(void **state UNUSED) {
        struct fdstore *store;
        int fds[2], other = eventfd(0, EFD_CLOEXEC), same = dup(other), pair[2];

        assert_int_equal(fdstore_new(event, &store), 0);
        assert_int_equal(add(store, "e", other), FDSTORE_ADDED);
        assert_int_equal(add(store, "f", same), FDSTORE_KNOWN);
        assert_no(is_open(same));
        assert_string_equal(names(store), "e,");
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        pair[0] = dup(fds[0]);
        assert_int_equal(add(store, "s", fds[0]), FDSTORE_ADDED);
        assert_int_equal(add(store, "s", fds[1]), FDSTORE_ADDED);
        /* Full; but this one is there. */
        assert_int_equal(add(store, "t", pair[0]), FDSTORE_KNOWN);
        assert_string_equal(names(store), "e,s,s,");
        fdstore_free(store);
}

/* One whose other end goes is dropped, where it is watched. */
static void test_hangup(void **state UNUSED) {
        const struct fdstore_item_request quiet = {.name = "quiet", .max = 3};
        struct handoff_stored *list;
        struct fdstore *store;
        int a[2], b[2];
        size_t count;

        assert_int_equal(fdstore_new(event, &store), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b), 0);
        assert_int_equal(add(store, "watched", a[0]), FDSTORE_ADDED);
        assert_int_equal(fdstore_add(store, &quiet, b[0]), FDSTORE_ADDED);
        assert_int_equal(add(store, "file", open("/proc/self/exe", O_RDONLY | O_CLOEXEC)), FDSTORE_ADDED);
        assert_yes(fdstore_is_polled(store, 0));
        assert_no(fdstore_is_polled(store, 1));
        assert_int_equal(write(a[1], "x", 1), 1);
        assert_int_equal(sd_event_run(event, 0), 0);
        assert_string_equal(names(store), "watched,quiet,file,");
        assert_int_equal(fdstore_list(store, &list, &count), 0);
        close(a[1]);
        close(b[1]);
        assert_yes(sd_event_run(event, UINT64_MAX) > 0);
        assert_string_equal(names(store), "quiet,file,");
        assert_no(is_open(list[0].fd));
        free(list);
        assert_int_equal(sd_event_run(event, 0), 0);
        fdstore_free(store);
}

/* All names have to fit into one variable. */
static void test_names(void **state UNUSED) {
        char name[256];
        const struct fdstore_item_request request = {.name = name, .max = 4096};
        struct fdstore *store;
        size_t added = 0;

        memset(name, 'n', sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        assert_int_equal(fdstore_new(event, &store), 0);
        while (fdstore_add(store, &request, eventfd(0, EFD_CLOEXEC)) == FDSTORE_ADDED)
                added++;
        assert_int_equal(added, 64 * 1024 / sizeof(name));
        assert_int_equal(fdstore_remove(store, name), added);
        assert_int_equal(store->name_bytes, 0);
        fdstore_free(store);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_duplicates),
                cmocka_unit_test(test_hangup),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests_name("fdstore", tests, setup, teardown);
}
