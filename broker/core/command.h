/* Orders from outside, about one service with all its workers: what `broker start|stop|restart|kill|replace NAME` do.
 * Most take time (a process has to end, a server has to become ready), so whoever orders is told at the end. */
#pragma once

#include <stdbool.h>

struct command;
struct manager;

enum command_verb {
        COMMAND_START,   /* opens the sockets of a service that was stopped */
        COMMAND_STOP,    /* ends its processes and closes its sockets, until it is started */
        COMMAND_RESTART, /* ends its processes; what ran is started again, the sockets stay */
        COMMAND_KILL,    /* ends its processes only: the next connection starts them */
        COMMAND_REPLACE, /* a new server on the same sockets; when it is ready the old one is told to end */
        COMMAND_N,
};

enum command_outcome {
        COMMAND_DONE,
        COMMAND_UNKNOWN, /* there is no such service */
        COMMAND_REFUSED, /* it does not go with what the service is, or with its state */
        COMMAND_FAILED,  /* it was tried */
};

struct command_order {
        enum command_verb verb;
        const char *name;
        /* Called once, perhaps before command_give() returns. WHY is a sentence, "" with COMMAND_DONE. */
        void (*done)(void *userdata, enum command_outcome outcome, const char *why);
        void *userdata;
};

/* Carries ORDER out. Returns NULL when it is over already and done() was called; otherwise what to give to
 * command_forget() if the one who ordered goes away first. */
struct command *command_give(struct manager *manager, const struct command_order *order);

/* Its done() is not called any more; what was begun goes on. NULL is fine; returns NULL. */
struct command *command_forget(struct command *command);

/* Whether somebody waits to be told of the end of an order. */
bool command_is_awaited(const struct manager *manager);

extern const char *const command_verb_names[COMMAND_N];

/* For services: something has happened that an order may have waited for. Looked at when the loop comes round again. */
void command_poke(struct manager *manager);

/* Forgets all orders. */
void commands_deinit(struct manager *manager);
