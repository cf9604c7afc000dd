/* The program to start: its file, whom it runs as, its environment. And becoming it. */
#pragma once

#include "activate/options.h"
#include "activate/progenv.h"
#include "base/buf.h"
#include "proc/creds.h"
#include "proc/launch.h"

struct program {
        const struct options *options;
        char *path;
        bool found; /* there is a path, or was: whoever starts it may have taken it */
        struct creds creds;
        struct strlist env;
};

#define PROGRAM_NULL ((struct program){0})

/* What is known before there is traffic, for a program that gets FDS. That its file does not exist is no error here.
 * Returns 0, or the exit status after having said what is wrong. */
int program_init(const struct options *options, const struct progenv_fds *fds, struct program *ret);
void program_deinit(struct program *program);

/* Looks for the file. Returns 0, or -ENOENT, -EACCES, -ENOMEM. */
int program_find(struct program *program);

/* The exit status of who could not execute it for ERROR (negative), which is said on stderr. */
int program_say_failure(const struct program *program, int error);

/* Path and words, as systemd-socket-activate writes them. */
void program_format(const struct program *program, struct buf *out);

/* Puts FDS in their places and becomes the program, with signals as they should be and no other descriptor beyond 2.
 * Returns the exit status after having said why, when that does not succeed. */
int program_become(struct program *program, struct launch_fd *fds, size_t fd_count);
