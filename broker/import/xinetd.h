/* xinetd's configuration as it was read (xinetdparse.c), and what makes definitions of it. Everything lives in the
 * sheet. */
#pragma once

#include "import/import.h"

/* One assignment as it was written. */
struct xinetd_line {
        const char *text; /* with single blanks */
        struct mark mark;
        bool used;                /* something was made of it, or said about it */
        struct xinetd_line *next; /* of its entry */
};

struct xinetd_word {
        const char *text;
        struct xinetd_line *line;
        struct xinetd_word *next;
};

struct xinetd_attr {
        const char *name;
        struct xinetd_word *words;
        struct xinetd_line *line; /* the last one about it */
        struct xinetd_attr *next;
};

/* A service, or the defaults. */
struct xinetd_entry {
        const char *name;
        struct mark mark;
        struct xinetd_attr *attrs;
        struct xinetd_line *lines;
        const char *broken; /* what is wrong with its form; NULL: nothing */
        struct mark broken_at;
        const char *address; /* where it listens, once that is sure; NULL */
        struct xinetd_entry *next;
};

/* A file that is being read, and the one that includes it. */
struct xinetd_file {
        const char *path;
        struct xinetd_file *up;
        unsigned depth;
};

struct xinetd {
        struct import *import;
        struct xinetd_entry defaults;
        bool has_defaults;
        struct xinetd_entry *first, *last; /* services, in the order they were read */
        struct xinetd_file *reading;       /* the innermost one; NULL: none */
};

/* Reads PATH and what it includes. FROM is the line that named it, or NULL. */
void xinetd_read(struct xinetd *xinetd, const char *path, const struct mark *from);

/* Reads the files of a directory, as includedir does. */
void xinetd_read_directory(struct xinetd *xinetd, const char *path, const struct mark *from);

/* The attribute NAME of the entry itself, or NULL. */
struct xinetd_attr *xinetd_find(const struct xinetd_entry *entry, const char *name);

/* Attributes that are lists, which += and -= change. */
bool xinetd_is_list(const char *name);

/* How a service is handed over. */
enum xinetd_form {
        XINETD_PROGRAM,
        XINETD_INTERNAL,
        XINETD_REDIRECT,
        XINETD_SENSOR,
};

/* A service on its way to its definition. */
struct xinetd_job {
        struct xinetd *xinetd;
        struct sheet *sheet;
        struct xinetd_entry *entry;
        struct sheet_service *out;
        enum xinetd_form form;
        bool datagram;
        bool wait;
        bool ipv4, ipv6; /* said so by flags or protocol */
        bool v6only;
        bool disabled;
        bool nobody;    /* whoever comes is refused */
        unsigned flags; /* XINETD_FLAG_… */
        unsigned types; /* XINETD_TYPE_… */
};

enum {
        XINETD_FLAG_INTERCEPT = 1 << 0,
        XINETD_FLAG_NORETRY = 1 << 1,
        XINETD_FLAG_IDONLY = 1 << 2,
        XINETD_FLAG_NAMEINARGS = 1 << 3,
        XINETD_FLAG_NODELAY = 1 << 4,
        XINETD_FLAG_KEEPALIVE = 1 << 5,
        XINETD_FLAG_NOLIBWRAP = 1 << 6,
        XINETD_FLAG_SENSOR = 1 << 7,
        XINETD_FLAG_IPV4 = 1 << 8,
        XINETD_FLAG_IPV6 = 1 << 9,
        XINETD_FLAG_LABELED = 1 << 10,
        XINETD_FLAG_REUSE = 1 << 11,
};

enum {
        XINETD_TYPE_RPC = 1 << 0,
        XINETD_TYPE_INTERNAL = 1 << 1,
        XINETD_TYPE_TCPMUX = 1 << 2,
        XINETD_TYPE_TCPMUXPLUS = 1 << 3,
        XINETD_TYPE_UNLISTED = 1 << 4,
};

/* The attribute NAME that holds for the service, its own or, where defaults can have it, theirs; NULL: none. What it is
 * said by counts as used. */
struct xinetd_attr *job_take(struct xinetd_job *job, const char *name);

/* Its only word. NULL where there is no such attribute; or another number of words, which refuses the service. */
const char *job_value(struct xinetd_job *job, const char *name);

/* Its only word, yes or no. FALLBACK where there is none; anything else refuses the service. */
bool job_is(struct xinetd_job *job, const char *name, bool fallback);

/* Where the attribute stands, else where the service begins. */
const struct mark *job_mark(struct xinetd_job *job, const char *name);

/* Takes the attribute, and says why it has no equivalent: a note in front of KEY with the line itself and WHY. */
void job_note(struct xinetd_job *job, const char *name, const char *key, const char *why);

/* Takes the attribute; a comment alone. */
void job_remark(struct xinetd_job *job, const char *name, const char *key, const char *why);

/* What each part of a definition is made of. */
void job_listen(struct xinetd_job *job);  /* xinetdlisten.c */
void job_process(struct xinetd_job *job); /* xinetdprocess.c */
void job_limits(struct xinetd_job *job);  /* xinetdlimits.c: how many, when */
void job_access(struct xinetd_job *job);  /* xinetdaccess.c: who */
void job_log(struct xinetd_job *job);     /* xinetdlog.c */
void xinetd_log_defaults(struct xinetd *xinetd);
