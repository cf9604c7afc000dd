/* What programs write to stderr or stdout: a pipe of the service's, of which every line becomes a line of the log. All
 * programs of one service share it; it is made at the first start. */
#pragma once

#include "base/buf.h"
#include "conf/servicedef.h"

#include <systemd/sd-event.h>

struct output {
        enum output_kind kind;
        const char *service; /* borrowed: its name */
        const char *stream;  /* "stdout" or "stderr" */
        int write_fd;        /* what programs get; also the open file of OUTPUT_APPEND */
        int read_fd;
        sd_event_source *io;
        struct buf *partial; /* a line that has not ended yet; NULL while there is no pipe */
};

/* Prepares RET for DEF without opening anything. */
void output_init_closed(struct output *ret, const struct output_def *def, const char *service, const char *stream);

/* Prepares RET for DEF; opens the file of append:. Returns 0, or a negative errno with a sentence in WHY. */
int output_init(struct output *ret, const struct output_def *def, const char *service, const char *stream,
                struct buf *why);
void output_deinit(struct output *output);

/* Takes over what OUTPUT had before the broker was upgraded: the ends of its pipe, or its open file and -EBADF.
 * Both are consumed. PARTIAL is the beginning of a line. Returns 0 or a negative errno. */
int output_adopt(struct output *output, sd_event *event, int own_read_fd, int own_write_fd, const struct buf *partial);

/* Makes the pipe, if it takes one and there is none yet. Returns 0 or a negative errno, all of them shortages. */
int output_open(struct output *output, sd_event *event);

/* The descriptor to hand to a program, in the terms of handoff/handoff.h; NULL_FD is the one of /dev/null. */
int output_fd(const struct output *output, int null_fd);

/* Logs what is left, also a last line without a line end: no program is left that could finish it. */
void output_flush(struct output *output);
