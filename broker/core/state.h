/* What one broker hands to the next when its binary is replaced (`broker upgrade`, core/keep.h): a JSON document
 * with a format number, in a sealed memfd. Descriptors keep their numbers through execve(2) and stand in it as
 * numbers.
 *
 * Who writes checks nothing: the first failure is remembered and reported once at the end. Who reads gets a
 * fallback for whatever is missing or of another kind, and the first problem is remembered likewise, with its
 * place. What a reader does not know it passes over, so that a newer broker may add fields: unless it is a choice or
 * has a descriptor, for something would be lost then. It raises STATE_FORMAT when an older one would misunderstand the
 * rest without them. */
#pragma once

#include "base/buf.h"
#include "base/strlist.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#define STATE_FORMAT 1

#define STATE_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) /* all that a document has */

/* Bytes that are no text are an object with this key, so that they cannot be taken for one. */
#define STATE_HEX "hex"

struct state_writer {
        json_t *root;
        const char *problem; /* NULL: none so far; static storage */
        int *fds;            /* all that were put */
        size_t fd_count;
        size_t fd_room;
};

#define STATE_WRITER_NULL ((struct state_writer){0})

/* A place in the document: an object that fields are put into, or a list that entries are added to. */
struct state_out {
        struct state_writer *writer;
        json_t *json; /* borrowed; NULL once memory ran out, which everything below takes */
};

/* Returns 0 or -ENOMEM. */
int state_writer_init(struct state_writer *ret);
void state_writer_deinit(struct state_writer *writer);

struct state_out state_root(struct state_writer *writer);

/* Remembers PROBLEM, a sentence without its subject in static storage, unless there is one already. */
void state_writer_fail(struct state_writer *writer, const char *problem);

void state_put_integer(struct state_out out, const char *key, int64_t value);
void state_put_flag(struct state_out out, const char *key, bool value); /* false is left out */

/* A time or a duration; USEC_INFINITY is left out, and what state_get_usec() falls back to. */
void state_put_usec(struct state_out out, const char *key, usec_t value);

/* Any bytes. NULL is left out. */
void state_put_text(struct state_out out, const char *key, const char *text);
void state_put_bytes(struct state_out out, const char *key, const void *data, size_t size);
void state_put_texts(struct state_out out, const char *key, const struct strlist *list);

/* One of NAMES by its number; a number without a name is a problem: it must not be misread. */
void state_put_name(struct state_out out, const char *key, const char *const *names, size_t count, unsigned value);

/* FD, which is to stay open for the next broker; left out where it is negative. */
void state_put_fd(struct state_out out, const char *key, int fd);

struct state_out state_put_object(struct state_out out, const char *key);
struct state_out state_put_list(struct state_out out, const char *key);
struct state_out state_add_object(struct state_out list);

/* Completes the document and seals it into a memfd, close-on-exec. Returns that, or a negative errno; nothing may have
 * failed before. */
int state_seal(struct state_writer *writer);

struct state_reader {
        json_t *root;
        bool trial;   /* whether it can be taken over is only tried: others have the descriptors */
        int stand_in; /* for descriptors in a trial */
        int *taken;   /* descriptors of the document that have an owner again */
        size_t taken_count;
        size_t taken_room;
        struct buf problem; /* empty: none so far */
};

#define STATE_READER_NULL ((struct state_reader){.stand_in = -EBADF})

struct state_in {
        struct state_reader *reader;
        const json_t *json; /* NULL: there is nothing; everything below takes it */
};

/* Reads the document in FD, which stays open, if it is a sealed memfd and of a format we know, written by process PID,
 * for us alone. Returns whether it could be read; if not, why is in ret->problem. To be deinit'ed either way. */
bool state_reader_init(struct state_reader *ret, int fd, pid_t pid);
void state_reader_deinit(struct state_reader *reader);

struct state_in state_reader_root(struct state_reader *reader);

static inline bool state_reader_failed(const struct state_reader *reader) {
        return reader->problem.size > 0 || reader->problem.failed;
}

/* Remembers a problem, unless there is one already. */
void state_reader_fail(struct state_reader *reader, const char *format, ...) PRINTF_LIKE(2, 3);

bool state_has(struct state_in in, const char *key);
int64_t state_get_integer(struct state_in in, const char *key, int64_t fallback);
bool state_get_flag(struct state_in in, const char *key);
usec_t state_get_usec(struct state_in in, const char *key); /* USEC_INFINITY where it is missing */

/* A copy that the caller frees; NULL where it is missing. */
char *state_get_text(struct state_in in, const char *key);

/* Copies at most SIZE bytes to DATA, and returns how many; 0 where they are missing. More is a problem. */
size_t state_get_bytes(struct state_in in, const char *key, void *data, size_t size);

/* Adds the bytes to RET. */
void state_get_buf(struct state_in in, const char *key, struct buf *ret);
void state_get_texts(struct state_in in, const char *key, struct strlist *ret);

/* The number of a name; FALLBACK where it is missing. One that is not among NAMES is a problem. */
unsigned state_get_name(struct state_in in, const char *key, const char *const *names, size_t count, unsigned fallback);

/* The descriptor, close-on-exec and the caller's from now on; -EBADF where it is missing. One that is not open is a
 * problem. In a trial another one stands in for it, which can be watched and closed, but is nothing else. */
int state_take_fd(struct state_in in, const char *key);

/* Where the object or list is missing, one in which everything is missing. */
struct state_in state_get_object(struct state_in in, const char *key);
struct state_in state_get_list(struct state_in in, const char *key);
size_t state_count(struct state_in list);
struct state_in state_entry(struct state_in list, size_t index);

/* A descriptor of the document that nobody has taken belongs to something that we do not know, which will end with it:
 * in a trial that is a problem; else it is too late, and it is closed. */
void state_settle_rest(struct state_reader *reader);
