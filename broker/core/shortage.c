#include "core/shortage.h"

#include <errno.h>

bool shortage_is(int error) {
        return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS || error == -EAGAIN ||
               error == -EBUSY || error == -ENOSPC;
}

const char *shortage_text(int error) {
        switch (error) {
        case -EMFILE:
                return "the broker's limit of open files (ulimit nofile)";
        case -ENFILE:
                return "the system's limit of open files (fs.file-max)";
        case -EAGAIN:
                return "the limit of processes (ulimit nproc, or the container's pids limit)";
        case -EBUSY:
                return "the number of programs that can be on their way to exec at once";
        case -ENOSPC:
                return "the limit of epoll watches (fs.epoll.max_user_watches)";
        default:
                return "the end of free memory";
        }
}
