#include "core/fdstore.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.10. */
#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY (1024 + 3)
#endif

/* Where ports are, too: above what programs get (core/port.c). */
#define STORED_FD_MIN 1024

/* One variable of the environment has to hold them all, and the kernel takes 128 KiB (MAX_ARG_STRLEN). */
#define NAME_BYTES_MAX (64 * 1024)

struct stored {
        struct list link;
        struct fdstore *store;
        char *name;
        int fd;
        bool poll;
        sd_event_source *hangup; /* NULL: not watched, or there is nothing to watch */
};

int fdstore_new(sd_event *event, struct fdstore **ret) {
        struct fdstore *store = calloc(1, sizeof(*store));

        if (!store)
                return err_raise(-ENOMEM);
        list_init(&store->items);
        store->event = event;
        *ret = store;
        return 0;
}

static struct stored *stored_free(struct stored *stored) {
        if (!stored)
                return NULL;
        if (!list_is_empty(&stored->link)) {
                stored->store->count--;
                stored->store->name_bytes -= strlen(stored->name) + 1;
        }
        list_remove(&stored->link);
        stored->hangup = sd_event_source_disable_unref(stored->hangup);
        stored->fd = fd_close(stored->fd);
        free(stored->name);
        free(stored);
        return NULL;
}

static void stored_freep(struct stored **stored) {
        stored_free(*stored);
}

struct fdstore *fdstore_free(struct fdstore *store) {
        struct stored *stored;

        if (!store)
                return NULL;
        list_for_each(stored, &store->items, link)
                stored_free(stored);
        free(store);
        return NULL;
}

/* Where nobody may compare (kcmp(2) takes the rights of ptrace in some containers): what has an inode to itself.
 * Several of what has none, eventfds say, share one; and a device opened twice is two things. */
static bool looks_the_same(int a, int b) {
        struct stat of_a, of_b;

        if (fstat(a, &of_a) < 0 || fstat(b, &of_b) < 0 || of_a.st_dev != of_b.st_dev || of_a.st_ino != of_b.st_ino)
                return false;
        return S_ISSOCK(of_a.st_mode) || (S_ISFIFO(of_a.st_mode) && fcntl(a, F_GETFL) == fcntl(b, F_GETFL));
}

/* Whether the two are one open file, not just of one inode. */
static bool is_same_file(int a, int b) {
        pid_t self = getpid();
        long r = fcntl(a, F_DUPFD_QUERY, b);

        if (r >= 0)
                return r == 1;
        r = syscall(SYS_kcmp, self, self, KCMP_FILE, a, b);
        return r >= 0 ? r == 0 : looks_the_same(a, b);
}

static bool is_known(const struct fdstore *store, int fd) {
        const struct stored *stored;

        list_for_each(stored, &store->items, link)
                if (is_same_file(stored->fd, fd))
                        return true;
        return false;
}

static int on_hangup(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events UNUSED, void *userdata) {
        struct stored *stored = userdata;

        stored_free(stored);
        return 0;
}

/* EPOLLHUP and EPOLLERR come without being asked for. Regular files and the like cannot be watched; they do not
 * hang up either. */
static int stored_watch(struct stored *stored) {
        int r;

        if (!stored->poll)
                return 0;
        r = sd_event_add_io(stored->store->event, &stored->hangup, stored->fd, 0, on_hangup, stored);
        return r < 0 && r != -EPERM ? err_raise(r) : 0;
}

int fdstore_add(struct fdstore *store, const struct fdstore_item_request *request, int own_fd) {
        AUTO(fd_closep) int fd = own_fd;
        AUTO(stored_freep) struct stored *stored = NULL;
        size_t name_bytes = strlen(request->name) + 1;
        int r;

        if (is_known(store, fd))
                return FDSTORE_KNOWN;
        if (store->count >= request->max || store->name_bytes + name_bytes > NAME_BYTES_MAX)
                return FDSTORE_FULL;
        stored = calloc(1, sizeof(*stored));
        if (!stored)
                return err_raise(-ENOMEM);
        list_init(&stored->link);
        stored->store = store;
        stored->poll = request->poll;
        stored->fd = -EBADF;
        stored->name = strdup(request->name);
        if (!stored->name)
                return err_raise(-ENOMEM);
        stored->fd = fd_move_up(take_fd(fd), STORED_FD_MIN);
        r = stored_watch(stored);
        if (r < 0)
                return r;
        list_append(&store->items, &stored->link);
        store->count++;
        store->name_bytes += name_bytes;
        take_ptr(stored);
        return FDSTORE_ADDED;
}

size_t fdstore_remove(struct fdstore *store, const char *name) {
        size_t before = store->count;
        struct stored *stored;

        list_for_each(stored, &store->items, link)
                if (strcmp(stored->name, name) == 0)
                        stored_free(stored);
        return before - store->count;
}

int fdstore_list(const struct fdstore *store, struct handoff_stored **ret, size_t *ret_count) {
        size_t count = store ? store->count : 0, n = 0;
        struct handoff_stored *list = calloc(count + 1, sizeof(*list));
        const struct stored *stored;

        if (!list)
                return err_raise(-ENOMEM);
        if (store)
                list_for_each(stored, &store->items, link)
                        list[n++] = (struct handoff_stored){.name = stored->name, .fd = stored->fd};
        *ret = list;
        *ret_count = n;
        return 0;
}

bool fdstore_is_polled(const struct fdstore *store, size_t index) {
        const struct stored *stored;

        list_for_each(stored, &store->items, link)
                if (index-- == 0)
                        return stored->poll;
        return false;
}
