#include "net/mqueue.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/number.h"
#include "net/unixpath.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <string.h>
#include <unistd.h>

static const char *queue_name(const struct addr *addr) {
        return addr->sockaddr.un.sun_path;
}

static int queue_failed(const char *step, const struct addr *addr, struct buf *why) {
        /* The kernel says all of these for limits (mq_open(3)). */
        static const struct {
                int error;
                const char *text;
        } hints[] = {
                {EINVAL, " (see fs.mqueue.msg_max and fs.mqueue.msgsize_max)"},
                {EMFILE, " (the limit of descriptors, or ulimit msgqueue)"},
                {ENOSPC, " (see fs.mqueue.queues_max)"},
                {ENOSYS, " (this kernel has no message queues)"},
        };
        int r = -errno;

        buf_printf(why, "cannot %s mqueue:%s: %s", step, queue_name(addr), err_text(r));
        for (size_t i = 0; i < LENGTH_OF(hints); i++)
                if (r == -hints[i].error)
                        buf_add_string(why, hints[i].text);
        return err_raise(r);
}

/* The kernel takes both sizes or none. */
static long size_default(const char *path, long otherwise) {
        int64_t value;

        return number_read_file(path, 1, INT32_MAX, &value) == 0 ? (long)value : otherwise;
}

static bool find_sizes(const struct listen_options *options, struct mq_attr *ret) {
        *ret = (struct mq_attr){.mq_maxmsg = options->max_messages, .mq_msgsize = (long)options->message_size};
        if (options->max_messages == OPTION_UNSET && options->message_size == OPTION_UNSET)
                return false;
        if (options->max_messages == OPTION_UNSET)
                ret->mq_maxmsg = size_default("/proc/sys/fs/mqueue/msg_default", 10);
        if (options->message_size == OPTION_UNSET)
                ret->mq_msgsize = size_default("/proc/sys/fs/mqueue/msgsize_default", 8192);
        return true;
}

static bool has_sizes(const struct mq_attr *attr, const struct listen_options *options) {
        return (options->max_messages == OPTION_UNSET || options->max_messages == attr->mq_maxmsg) &&
               (options->message_size == OPTION_UNSET || options->message_size == attr->mq_msgsize);
}

static int open_existing(const struct addr *addr, const struct listen_options *options, struct buf *why) {
        AUTO(fd_closep) int fd = mq_open(queue_name(addr), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        struct mq_attr attr;

        if (fd < 0 || mq_getattr(fd, &attr) < 0)
                return queue_failed("open", addr, why);
        if (!has_sizes(&attr, options)) {
                buf_printf(why,
                           "cannot open mqueue:%s: it exists, with max_messages %ld and message_size %ld, and a queue "
                           "keeps its sizes",
                           queue_name(addr), attr.mq_maxmsg, attr.mq_msgsize);
                return err_raise(-EEXIST);
        }
        return take_fd(fd);
}

int mqueue_open(const struct addr *addr, const struct listen_options *options, struct buf *why) {
        AUTO(fd_closep) int fd = -EBADF;
        struct mq_attr attr;
        bool sized = find_sizes(options, &attr);
        mode_t saved = umask(0777); /* nobody but us until mqueue_set_access() */
        int r;

        fd = mq_open(queue_name(addr), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_CREAT | O_EXCL, 0600,
                     sized ? &attr : NULL);
        umask(saved);
        if (fd < 0)
                return errno == EEXIST ? open_existing(addr, options, why) : queue_failed("make", addr, why);
        r = mqueue_set_access(fd, addr, options, why);
        if (r < 0) {
                mqueue_remove(addr);
                return r;
        }
        return take_fd(fd);
}

int mqueue_set_access(int fd, const struct addr *addr, const struct listen_options *options, struct buf *why) {
        uid_t uid;
        gid_t gid;
        int r = unixpath_find_owner(options, &uid, &gid, why);

        if (r < 0)
                return r;
        /* The owner first: the mode is 0 until the right ones can use it. */
        if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchown(fd, uid, gid) < 0)
                return queue_failed("change the owner of", addr, why);
        return fchmod(fd, options->socket_mode) < 0 ? queue_failed("set the mode of", addr, why) : 0;
}

bool mqueue_is(int fd) {
        struct mq_attr attr;

        return mq_getattr(fd, &attr) == 0;
}

bool mqueue_fits(int fd, const struct listen_options *options) {
        struct mq_attr attr;

        return mq_getattr(fd, &attr) == 0 && has_sizes(&attr, options);
}

int mqueue_find(const struct addr *addr, struct stat *ret) {
        AUTO(fd_closep) int fd = mq_open(queue_name(addr), O_RDONLY | O_NONBLOCK | O_CLOEXEC);

        return fd < 0 || fstat(fd, ret) < 0 ? err_raise(-errno) : 0;
}

void mqueue_remove(const struct addr *addr) {
        mq_unlink(queue_name(addr));
}
