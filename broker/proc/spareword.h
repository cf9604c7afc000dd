/* What the broker and a spare (proc/sparemain.c) have to agree on. Both come from one build: the broker carries the
 * spare's program in itself. Internal to proc.
 *
 * A spare is told everything by its arguments:
 *
 *     NAME SETTINGS PATH ARGV0 [ARGV]...
 *
 * SETTINGS is decimal numbers with blanks between them: where the gap in the environment begins, how many entries it
 * has, the byte that stands for ${remote_addr} in ARGV and the environment, and that for ${remote_port} (0: none), and
 * the descriptors that the connection becomes. It waits at SPARE_LINK_FD for one message: the connection, and texts
 * that each end in a NUL: the address, the port, and entries for the gap. The link's end without a message is the end
 * of the broker, or the spare is not wanted any more. What goes wrong after the message it says in an answer. */
#pragma once

#include <stddef.h>

#define SPARE_LINK_FD 4
#define SPARE_IMAGE_FD 5 /* what it was executed from */
#define SPARE_NAME "broker-spare"
#define SPARE_TARGETS_MAX 4
#define SPARE_MESSAGE_MAX 2048
#define SPARE_GAP_MAX 16 /* entries for one connection (net/connenv.h) */

/* The program itself, written by make-spareimage. */
extern const unsigned char spare_image[];
extern const size_t spare_image_size; /* 0: there is none for this processor */

enum spare_trouble {
        SPARE_TROUBLE_FDS,
        SPARE_TROUBLE_WORDS,
        SPARE_TROUBLE_EXEC,
};

struct spare_answer {
        enum spare_trouble trouble;
        int error; /* errno */
};
