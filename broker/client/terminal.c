#include "client/terminal.h"

#include "base/number.h"
#include "client/text.h"

#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_MIN 20

struct terminal terminal_look(void) {
        const char *columns = getenv("COLUMNS"), *plain = getenv("NO_COLOR"), *kind = getenv("TERM");
        struct terminal terminal = {.tty = isatty(STDOUT_FILENO) == 1, .utf8 = text_is_utf8()};
        struct winsize size;
        int64_t width;

        terminal.colours = terminal.tty && (!plain || plain[0] == '\0') && !(kind && strcmp(kind, "dumb") == 0);
        if (terminal.tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
                terminal.width = size.ws_col;
                terminal.height = size.ws_row;
        }
        if (columns && number_parse(columns, WIDTH_MIN, 10000, &width) == 0)
                terminal.width = (size_t)width;
        return terminal;
}

static const char *const sequences[COLOUR_N] = {
        [COLOUR_PLAIN] = "",        [COLOUR_BOLD] = "\033[1m",     [COLOUR_DIM] = "\033[2m",
        [COLOUR_GOOD] = "\033[32m", [COLOUR_WARNING] = "\033[33m", [COLOUR_BAD] = "\033[31m",
};

const char *terminal_begin(const struct terminal *terminal, enum terminal_colour colour) {
        return terminal->colours ? sequences[colour] : "";
}

const char *terminal_end(const struct terminal *terminal, enum terminal_colour colour) {
        return terminal->colours && colour != COLOUR_PLAIN ? "\033[0m" : "";
}
