/*
 * probe_serve: the conversations of the test server, on listening, connected and datagram sockets
 * it was started with.
 */

#pragma once

#include <stdbool.h>
#include <stddef.h>

struct serve_options {
        bool stdio;  /* descriptor 0 instead of LISTEN_FDS */
        long count;  /* leave after so many answers; 0: no limit */
        int idle_ms; /* leave when nothing came for so long; -1: never */
};

/* Writes all of it; ends the program when that is impossible. */
void write_all(int fd, const char *data, size_t len);

/* Reads up to and without the end of line; what is longer than size - 1 is cut off. Returns the
 * length, -1 at end of file with nothing read. */
long read_line(int fd, char *buffer, size_t size);

/* Answers on every socket until count or idle_ms is reached, or until nothing is left to answer
 * on. */
void serve_loop(const struct serve_options *options);

/* Receives connections through the SOCK_SEQPACKET socket fd, one a message, and answers on each.
 * The text of a message, with / between its lines, becomes part of the answer when the client
 * asks for it with the line "env". */
void serve_queue(int fd, const struct serve_options *options);

/* The next client of fd: a listening socket is accepted from, a connected one used as it is, and
 * of a datagram socket the sender of the next message is answered. */
void serve_one_text(int fd, const char *text, size_t len);

/* Ends the program with the status that means "the probe itself failed" and not what it was told
 * to do. */
_Noreturn void probe_die(const char *what);
