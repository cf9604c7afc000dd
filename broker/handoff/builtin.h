/* One connection that the broker answers itself. Nothing of what a client sends or is to get is kept here: what does
 * not fit into the kernel's buffers stays where it is, so that a client that never reads costs no more than those.
 * Watched edge-triggered, and for room to write only once there was none. */
#pragma once

#include "handoff/handoff.h"

enum builtin_step {
        BUILTIN_OPEN,
        BUILTIN_ASKING, /* tcpmux: the name has not come yet */
        BUILTIN_OVER,
};

struct builtins;

struct builtin {
        struct list link;      /* in its builtins' list of those of its kind */
        struct list busy_link; /* among those that have more to do at once */
        struct builtins *builtins;
        struct connection *connection; /* owned */
        sd_event_source *io;
        enum builtin_step step;
        bool watches_room; /* for writing */
        bool input_over;   /* the client has ended its direction */
        bool parts;        /* over: see struct handoff_finish */
        unsigned position; /* chargen: in the pattern */
        usec_t since;      /* open: about when something moved last; else when it began */
        uint64_t received;
        uint64_t sent;
        unsigned char outcome; /* enum handoff_outcome, when over */
        int error;
        char *name; /* HANDOFF_FORWARDED: what was asked for */
};

enum builtin_verdict {
        BUILTIN_IDLE,    /* it goes on when the kernel says so */
        BUILTIN_FULL,    /* likewise, when there is room to write */
        BUILTIN_BUSY,    /* there is more to be done at once; others first */
        BUILTIN_DONE,    /* nothing more comes, and all is answered */
        BUILTIN_RESET,   /* the client broke it off */
        BUILTIN_ASKED,   /* tcpmux: its name is the service that is asked for, or NULL: it asks for help */
        BUILTIN_UNASKED, /* tcpmux: what it says is no name */
};

/* Does what can be done at once, up to a bound. *RET_MOVED: whether anything went in or out. */
enum builtin_verdict builtin_pump(struct builtin *builtin, bool *ret_moved);

/* Says TEXT, and that this is all. Whether it arrives is the client's affair. */
void builtin_say_last(struct builtin *builtin, const char *text, size_t size);
