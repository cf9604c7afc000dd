#include "client/show.h"
#include "client/text.h"

#include <errno.h>

enum column {
        COLUMN_NAME,
        COLUMN_STATE,
        COLUMN_SINCE,
        COLUMN_LISTEN,
        COLUMN_PROCESSES,
        COLUMN_CONNECTIONS,
        COLUMN_REFUSED,
        COLUMN_LAST_EXIT,
        COLUMN_N,
};

#define GAP 2

/* The short ones are for narrow terminals. */
static const char *const titles[][COLUMN_N] = {
        {
                [COLUMN_NAME] = "NAME",
                [COLUMN_STATE] = "STATE",
                [COLUMN_SINCE] = "SINCE",
                [COLUMN_LISTEN] = "LISTEN",
                [COLUMN_PROCESSES] = "PROCESSES",
                [COLUMN_CONNECTIONS] = "CONNECTIONS",
                [COLUMN_REFUSED] = "REFUSED",
                [COLUMN_LAST_EXIT] = "LAST EXIT",
        },
        {
                [COLUMN_NAME] = "NAME",
                [COLUMN_STATE] = "STATE",
                [COLUMN_SINCE] = "SINCE",
                [COLUMN_LISTEN] = "LISTEN",
                [COLUMN_PROCESSES] = "PROC",
                [COLUMN_CONNECTIONS] = "CONN",
                [COLUMN_REFUSED] = "REF",
                [COLUMN_LAST_EXIT] = "EXIT",
        },
};

/* Those that may be cut, and to what. */
static const size_t minimums[COLUMN_N] = {
        [COLUMN_NAME] = 8,
        [COLUMN_LISTEN] = 10,
        [COLUMN_LAST_EXIT] = 6,
};

struct row {
        struct buf cells[COLUMN_N];
};

static void fill_row(const struct service_view *service, bool utf8, struct row *row) {
        text_add_safe(&row->cells[COLUMN_NAME], service->name, utf8);
        text_add_safe(&row->cells[COLUMN_STATE], service->state, utf8);
        text_add_age(&row->cells[COLUMN_SINCE], view_age(service->since));
        buf_add_string(&row->cells[COLUMN_SINCE], " ago");
        for (size_t i = 0; i < service->listen.count; i++) {
                if (i > 0)
                        buf_add_string(&row->cells[COLUMN_LISTEN], ", ");
                text_add_safe(&row->cells[COLUMN_LISTEN], service->listen.items[i], utf8);
        }
        buf_printf(&row->cells[COLUMN_PROCESSES], "%u", service->process_count);
        buf_printf(&row->cells[COLUMN_CONNECTIONS], "%u/%llu", service->connections,
                   (unsigned long long)service->accepted);
        buf_printf(&row->cells[COLUMN_REFUSED], "%llu", (unsigned long long)service->refused_count);
        text_add_safe(&row->cells[COLUMN_LAST_EXIT], service->last_exit[0] ? service->last_exit : "-", utf8);
}

enum terminal_colour show_state_colour(const char *state) {
        static const struct {
                const char *state;
                enum terminal_colour colour;
        } special[] = {
                {"paused", COLOUR_BAD},       {"restarting", COLOUR_WARNING}, {"full", COLOUR_WARNING},
                {"stopping", COLOUR_WARNING}, {"leaving", COLOUR_WARNING},    {"stopped", COLOUR_DIM},
                {"starting", COLOUR_WARNING}, {"replacing", COLOUR_WARNING},  {"claimed", COLOUR_DIM},
        };

        for (size_t i = 0; i < LENGTH_OF(special); i++)
                if (strcmp(special[i].state, state) == 0)
                        return special[i].colour;
        return COLOUR_GOOD;
}

static enum terminal_colour cell_colour(const struct service_view *service, enum column column) {
        if (column == COLUMN_STATE)
                return show_state_colour(service->state);
        if (column == COLUMN_REFUSED && service->refused_count > 0)
                return COLOUR_WARNING;
        if (column == COLUMN_LAST_EXIT && service->last_exit[0] && strcmp(service->last_exit, "exit:0") != 0)
                return COLOUR_WARNING;
        return COLOUR_PLAIN;
}

/* Numbers stand at the right of their columns. The last column is not filled up. */
static void add_cell(struct buf *out, const char *text, enum column column, size_t width, bool utf8) {
        size_t own = text_width(text);

        if (column == COLUMN_PROCESSES || column == COLUMN_CONNECTIONS || column == COLUMN_REFUSED)
                buf_printf(out, "%*s%s", (int)(width > own ? width - own : 0), "", text);
        else
                text_add_fitted(out, text, column == COLUMN_N - 1 ? MIN_OF(own, width) : width, utf8);
}

static void add_titles(struct buf *out, const char *const names[COLUMN_N], const size_t widths[COLUMN_N],
                       const struct terminal *terminal) {
        buf_add_string(out, terminal_begin(terminal, COLOUR_BOLD));
        for (unsigned i = 0; i < COLUMN_N; i++) {
                buf_printf(out, "%*s", i > 0 ? GAP : 0, "");
                add_cell(out, names[i], i, widths[i], terminal->utf8);
        }
        buf_printf(out, "%s\n", terminal_end(terminal, COLOUR_BOLD));
}

static void add_row(struct buf *out, const struct row *row, const struct service_view *service,
                    const size_t widths[COLUMN_N], const struct terminal *terminal) {
        for (unsigned i = 0; i < COLUMN_N; i++) {
                enum terminal_colour colour = cell_colour(service, i);

                buf_printf(out, "%*s%s", i > 0 ? GAP : 0, "", terminal_begin(terminal, colour));
                add_cell(out, buf_text(&row->cells[i]), i, widths[i], terminal->utf8);
                buf_add_string(out, terminal_end(terminal, colour));
        }
        buf_add_char(out, '\n');
}

static void add_footer(struct buf *out, const struct view *view) {
        unsigned long long services = 0, processes = 0, connections = 0, accepted = 0, refused = 0;

        for (size_t i = 0; i < view->count; i++) {
                const struct service_view *service = &view->services[i];

                services += service->worker == 1;
                processes += service->process_count;
                connections += service->connections;
                accepted += service->accepted;
                refused += service->refused_count;
        }
        buf_printf(out, "\n%llu service%s, %llu process%s, %llu connection%s now, %llu accepted, %llu refused\n",
                   services, services == 1 ? "" : "s", processes, processes == 1 ? "" : "es", connections,
                   connections == 1 ? "" : "s", accepted, refused);
}

/* As wide as what stands in them, and cut where they have to be. Returns what they take together. */
static size_t choose_widths(const struct row *rows, size_t count, const char *const names[COLUMN_N], size_t room,
                            size_t widths[COLUMN_N]) {
        size_t total = (COLUMN_N - 1) * GAP;

        for (unsigned i = 0; i < COLUMN_N; i++) {
                widths[i] = strlen(names[i]);
                for (size_t j = 0; j < count; j++)
                        widths[i] = MAX_OF(widths[i], text_width(buf_text(&rows[j].cells[i])));
        }
        text_fit_columns(&(struct text_columns){widths, minimums, COLUMN_N, GAP, room});
        for (unsigned i = 0; i < COLUMN_N; i++)
                total += widths[i];
        return total;
}

void show_table(const struct view *view, const struct terminal *terminal, struct buf *out) {
        AUTO(freep) struct row *rows = calloc(view->count + 1, sizeof(*rows));
        const char *const *names = titles[0];
        size_t widths[COLUMN_N], total;

        if (!rows) {
                out->failed = true;
                return;
        }
        for (size_t i = 0; i < view->count; i++)
                fill_row(&view->services[i], terminal->utf8, &rows[i]);
        /* Short titles before anything is cut. */
        total = choose_widths(rows, view->count, names, 0, widths);
        if (terminal->width > 0 && total > terminal->width) {
                names = titles[1];
                choose_widths(rows, view->count, names, terminal->width, widths);
        }
        add_titles(out, names, widths, terminal);
        for (size_t i = 0; i < view->count; i++) {
                add_row(out, &rows[i], &view->services[i], widths, terminal);
                for (unsigned j = 0; j < COLUMN_N; j++)
                        buf_deinit(&rows[i].cells[j]);
        }
        add_footer(out, view);
}
