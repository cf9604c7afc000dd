/* A pool of pipes for splice(2). A relay takes one while data is in flight and gives it back when there is none,
 * so that thousands of idle relays hold no pipe at all. */
#pragma once

#include "base/list.h"

struct pipe {
        struct list link; /* in the pool */
        int read_fd;
        int write_fd;
        size_t size; /* bytes in it; for whoever has it */
};

struct pipes {
        struct list idle;
        size_t idle_count;
};

/* What one pipe is asked to hold. It may be less where the user has many (pipe(7), pipe-user-pages-soft). */
#define PIPE_CAPACITY ((size_t)512 << 10)

void pipes_init(struct pipes *pipes);
void pipes_deinit(struct pipes *pipes);

/* An empty pipe, or NULL when there is none to be had: no descriptors, no memory. */
struct pipe *pipes_take(struct pipes *pipes);

/* One that another binary has made, with SIZE bytes in it. Takes over the descriptors. NULL when memory ran out. */
struct pipe *pipes_adopt(int own_read_fd, int own_write_fd, size_t size);

/* Takes it back; one that is not empty is closed. NULL is fine; returns NULL. */
struct pipe *pipes_return(struct pipes *pipes, struct pipe *own_pipe);
