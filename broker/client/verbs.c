#include "base/buf.h"
#include "base/clock.h"
#include "client/call.h"
#include "client/client.h"
#include "client/show.h"
#include "client/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXIT_DEFINITIONS 78 /* of broker(8) */

#define UPGRADE_TIMEOUT (30 * USEC_PER_SEC)

/* Asks once, on a connection of its own. LOST as in struct call. */
static int ask_once(const struct client_options *options, bool *lost, struct view *ret) {
        AUTO(call_closep) sd_bus *bus = NULL;
        AUTO(call_messagep) sd_bus_message *reply = NULL;
        struct call call = {
                .method = options->name ? "GetService" : "ListServices",
                .name = options->name,
                .timeout = options->timeout ? options->timeout : CALL_ANSWER_TIMEOUT,
                .lost = lost,
        };
        int r = call_connect(options, &bus);

        if (r != 0)
                return r;
        call.bus = bus;
        r = call_do(&call, NULL, &reply);
        if (r != 0)
                return r;
        r = view_read(take_ptr(reply), ret);
        ret->full = options->name;
        return r < 0 ? call_misunderstood(r) : 0;
}

/* A broker that is upgraded just then answers the next time. */
static int ask(const struct client_options *options, struct view *ret) {
        bool lost = false;
        int r = ask_once(options, &lost, ret);

        return lost ? ask_once(options, NULL, ret) : r;
}

static void add_view(const struct client_options *options, const struct view *view, const struct terminal *terminal,
                     struct buf *out) {
        if (options->json)
                show_json(view, options->watch > 0, out);
        else if (options->name)
                show_detail(view, terminal, out);
        else
                show_table(view, terminal, out);
}

/* Over what is there, line by line, so that nothing flickers; as much of it as the terminal has lines. */
static void print_in_place(const char *text, const struct terminal *terminal) {
        size_t lines = 1;

        fputs("\033[H", stdout);
        while (*text) {
                size_t n = strcspn(text, "\n");

                if (terminal->height > 0 && lines++ >= terminal->height) {
                        fputs(terminal->utf8 ? "…" : "...", stdout);
                        break;
                }
                printf("%.*s\033[K\n", (int)n, text);
                text += n + (text[n] == '\n');
        }
        fputs("\033[J", stdout);
}

static int show_once(const struct client_options *options) {
        const struct terminal terminal = terminal_look();
        AUTO(view_deinit) struct view view = VIEW_NULL;
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        int r = ask(options, &view);

        if (r != 0)
                return r;
        add_view(options, &view, &terminal, &text);
        if (buf_failed(&text)) {
                fprintf(stderr, "broker: out of memory\n");
                return EXIT_FAILURE;
        }
        if (options->watch > 0 && terminal.tty && !options->json) {
                print_in_place(buf_text(&text), &terminal);
        } else {
                fputs(buf_text(&text), stdout);
                if (options->watch > 0 && !options->json)
                        fputs("\n", stdout);
        }
        if (fflush(stdout) == 0)
                return 0;
        perror("broker: cannot write");
        return EXIT_FAILURE;
}

static void sleep_for(usec_t time) {
        const struct timespec ts = {.tv_sec = (time_t)(time / USEC_PER_SEC),
                                    .tv_nsec = (long)(time % USEC_PER_SEC * 1000)};

        nanosleep(&ts, NULL);
}

int client_status(const struct client_options *options) {
        int r;

        if (options->watch > 0 && !options->json && isatty(STDOUT_FILENO) == 1)
                fputs("\033[2J", stdout);
        while ((r = show_once(options)) == 0 && options->watch > 0)
                sleep_for(options->watch);
        return r;
}

int client_order(const struct client_options *options, const char *method) {
        AUTO(call_closep) sd_bus *bus = NULL;
        int r = call_connect(options, &bus);

        if (r != 0)
                return r;
        return call_do(&(struct call){.bus = bus, .method = method, .name = options->name, .timeout = options->timeout},
                       NULL, NULL);
}

/* "added: a, b", where there are any. */
static int print_names(sd_bus_message *reply, const char *label, bool *any) {
        const char *name;
        size_t count = 0;
        int r = sd_bus_message_enter_container(reply, 'a', "s");

        while (r >= 0 && (r = sd_bus_message_read(reply, "s", &name)) > 0)
                printf("%s%s", count++ > 0 ? ", " : label, name);
        if (count > 0) {
                printf("\n");
                *any = true;
        }
        return r < 0 ? r : sd_bus_message_exit_container(reply);
}

/* Lines of the broker's, which quote definitions. */
static void say_lines(const char *lines) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        text_add_safe_lines(&text, lines, text_is_utf8());
        fprintf(stderr, "%s\n", buf_text(&text));
}

static int print_warnings(sd_bus_message *reply) {
        const char *line;
        int r = sd_bus_message_enter_container(reply, 'a', "s");

        while (r >= 0 && (r = sd_bus_message_read(reply, "s", &line)) > 0)
                say_lines(line);
        return r < 0 ? r : sd_bus_message_exit_container(reply);
}

static int print_report(sd_bus_message *reply) {
        uint32_t kept = 0;
        bool any = false;
        int r = print_names(reply, "added: ", &any);

        if (r >= 0)
                r = print_names(reply, "changed: ", &any);
        if (r >= 0)
                r = print_names(reply, "removed: ", &any);
        if (r >= 0)
                r = sd_bus_message_read(reply, "u", &kept);
        if (r >= 0)
                r = print_warnings(reply);
        if (r < 0)
                return call_misunderstood(r);
        if (any)
                printf("unchanged: %u\n", kept);
        else
                printf("nothing has changed in %u service%s\n", kept, kept == 1 ? "" : "s");
        return 0;
}

int client_reload(const struct client_options *options) {
        AUTO(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        AUTO(call_messagep) sd_bus_message *reply = NULL;
        AUTO(call_closep) sd_bus *bus = NULL;
        int r = call_connect(options, &bus);

        if (r != 0)
                return r;
        r = call_do(&(struct call){.bus = bus, .method = "Reload", .timeout = options->timeout}, &error, &reply);
        if (r == 0)
                return print_report(reply);
        if (!error.name)
                return r;
        say_lines(error.message);
        fprintf(stderr, "broker: nothing has changed, the definitions in force stay\n");
        return sd_bus_error_has_name(&error, "org.sockbroker.Error.Definitions") ? EXIT_DEFINITIONS : EXIT_FAILURE;
}

/* The old broker's connections end when the new one takes over. */
static int wait_for_end(sd_bus *bus) {
        usec_t until = clock_monotonic() + UPGRADE_TIMEOUT;

        while (sd_bus_is_open(bus) > 0) {
                usec_t now = clock_monotonic();
                int r = sd_bus_process(bus, NULL);

                if (now >= until)
                        break;
                if (r == 0)
                        r = sd_bus_wait(bus, until - now);
                if (r < 0)
                        return 0;
        }
        if (sd_bus_is_open(bus) <= 0)
                return 0;
        fprintf(stderr, "broker: the old broker is still there\n");
        return EXIT_FAILURE;
}

/* Who answers now is another one than before. */
static int print_successor(const struct client_options *options, uint32_t upgrades_before) {
        AUTO(call_closep) sd_bus *bus = NULL;
        AUTO(freep) char *version = NULL;
        uint32_t upgrades = 0;
        int r = call_connect(options, &bus);

        if (r == 0)
                r = call_get_number(bus, "Upgrades", &upgrades);
        if (r == 0)
                r = call_get_text(bus, "Version", &version);
        if (r != 0)
                return r;
        if (upgrades == upgrades_before) {
                fprintf(stderr,
                        "broker: the new binary could not be executed, the old one goes on; its log says why\n");
                return EXIT_FAILURE;
        }
        printf("sockbroker %s has taken over\n", version);
        return 0;
}

int client_upgrade(const struct client_options *options) {
        AUTO(call_closep) sd_bus *bus = NULL;
        uint32_t upgrades = 0;
        int r = call_connect(options, &bus);

        if (r == 0)
                r = call_get_number(bus, "Upgrades", &upgrades);
        if (r == 0)
                r = call_do(&(struct call){.bus = bus, .method = "Upgrade", .timeout = options->timeout}, NULL, NULL);
        if (r == 0)
                r = wait_for_end(bus);
        return r == 0 ? print_successor(options, upgrades) : r;
}
