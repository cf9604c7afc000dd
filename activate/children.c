#include "activate/children.h"

#include "base/err.h"
#include "base/fd.h"
#include "proc/spare.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#define ROOM_MIN 64

void children_deinit(struct children *children) {
        free(children->items);
        *children = CHILDREN_NULL;
}

int children_reserve(struct children *children) {
        size_t room = MAX_OF(children->room * 2, (size_t)ROOM_MIN);
        struct child *items;

        if (children->count < children->room)
                return 0;
        items = reallocarray(children->items, room, sizeof(*items));
        if (!items)
                return err_raise(-ENOMEM);
        children->items = items;
        children->room = room;
        return 0;
}

void children_add(struct children *children, const struct child *child) {
        assert(children->count < children->room);
        children->items[children->count++] = *child;
}

bool children_remove(struct children *children, pid_t pid, struct child *ret) {
        for (size_t i = 0; i < children->count; i++)
                if (children->items[i].launched.pid == pid) {
                        *ret = children->items[i];
                        children->items[i] = children->items[--children->count];
                        return true;
                }
        return false;
}

void children_settle(struct children *children) {
        for (size_t i = 0; i < children->count; i++) {
                struct child *child = &children->items[i];

                if (child->spare_link >= 0 && spare_is_over(child->spare_link))
                        child->spare_link = fd_close(child->spare_link);
        }
}

size_t children_count_source(const struct children *children, const struct prefix *source) {
        size_t count = 0;

        for (size_t i = 0; i < children->count; i++)
                count += memcmp(&children->items[i].source, source, sizeof(*source)) == 0;
        return count;
}

void children_tell(struct children *children) {
        for (size_t i = 0; i < children->count; i++)
                children->items[i].is_told = true;
        children_signal(children, SIGTERM, false);
}

void children_signal(const struct children *children, int sig, bool groups) {
        for (size_t i = 0; i < children->count; i++) {
                pid_t pid = children->items[i].launched.pid;

                if (groups)
                        kill(-pid, sig);
                /* Just started, it may not have made its group yet. */
                kill(pid, sig);
        }
}
