/* The environment variables that describe one accepted connection: systemd's and CGI's names, and those of UCSPI. */
#pragma once

#include "net/connection.h"

#define CONNENV_ITEMS_MAX 14
#define CONNENV_TEXT_MAX 1280

/* Filled for the length of one start, on the stack. */
struct connenv {
        const char *items[CONNENV_ITEMS_MAX]; /* NAME=VALUE */
        size_t count;
        const char *remote_addr; /* the values alone; "" where there is none */
        const char *remote_port;
        size_t used;
        char text[CONNENV_TEXT_MAX];
};

/* Returns 0, or a negative errno when the kernel does not know the connection any more. */
int connenv_fill(struct connection *connection, struct connenv *ret);

/* All names it can set, NULL at the end: a program must not inherit them from whatever started the broker. */
extern const char *const connenv_names[];
