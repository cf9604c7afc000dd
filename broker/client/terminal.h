/* What stdout can show: how wide it is, and whether in colours. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct terminal {
        bool tty;
        bool colours; /* a tty, and NO_COLOR is not set */
        bool utf8;
        size_t width; /* 0: any */
        size_t height;
};

/* COLUMNS goes before what the terminal says. */
struct terminal terminal_look(void);

enum terminal_colour {
        COLOUR_PLAIN,
        COLOUR_BOLD,
        COLOUR_DIM,
        COLOUR_GOOD,
        COLOUR_WARNING,
        COLOUR_BAD,
        COLOUR_N,
};

/* What to write before a text in this colour, and after it; "" without colours. */
const char *terminal_begin(const struct terminal *terminal, enum terminal_colour colour);
const char *terminal_end(const struct terminal *terminal, enum terminal_colour colour);
