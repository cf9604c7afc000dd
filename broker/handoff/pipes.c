#include "handoff/pipes.h"

#include "base/fd.h"

#include <fcntl.h>
#include <unistd.h>

#define IDLE_MAX 32 /* pipes kept open for later */

static struct pipe *pipe_free(struct pipe *pipe) {
        list_remove(&pipe->link);
        fd_close(pipe->write_fd);
        fd_close(pipe->read_fd);
        free(pipe);
        return NULL;
}

void pipes_init(struct pipes *pipes) {
        list_init(&pipes->idle);
        pipes->idle_count = 0;
}

void pipes_deinit(struct pipes *pipes) {
        struct pipe *pipe;

        list_for_each(pipe, &pipes->idle, link)
                pipe_free(pipe);
        pipes->idle_count = 0;
}

static struct pipe *pipe_new(void) {
        struct pipe *pipe = malloc(sizeof(*pipe));
        int fds[2];

        if (!pipe)
                return NULL;
        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
                free(pipe);
                return NULL;
        }
        /* Not granted: then it moves less at a time. */
        fcntl(fds[1], F_SETPIPE_SZ, PIPE_CAPACITY);
        *pipe = (struct pipe){.read_fd = fds[0], .write_fd = fds[1]};
        list_init(&pipe->link);
        return pipe;
}

struct pipe *pipes_adopt(int own_read_fd, int own_write_fd, size_t size) {
        struct pipe *pipe = malloc(sizeof(*pipe));

        if (!pipe) {
                fd_close(own_write_fd);
                fd_close(own_read_fd);
                return NULL;
        }
        *pipe = (struct pipe){.read_fd = own_read_fd, .write_fd = own_write_fd, .size = size};
        list_init(&pipe->link);
        return pipe;
}

struct pipe *pipes_take(struct pipes *pipes) {
        struct pipe *pipe;

        if (list_is_empty(&pipes->idle))
                return pipe_new();
        /* The one used last: what of it is still in the processor's cache is worth most. */
        pipe = list_entry(pipes->idle.prev, struct pipe, link);
        list_remove(&pipe->link);
        pipes->idle_count--;
        return pipe;
}

struct pipe *pipes_return(struct pipes *pipes, struct pipe *own_pipe) {
        if (!own_pipe)
                return NULL;
        if (own_pipe->size > 0 || pipes->idle_count >= IDLE_MAX)
                return pipe_free(own_pipe);
        list_append(&pipes->idle, &own_pipe->link);
        pipes->idle_count++;
        return NULL;
}
