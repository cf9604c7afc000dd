#include "client/call.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "client/client.h"
#include "client/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define OBJECT "org.sockbroker", "/org/sockbroker", "org.sockbroker.Manager"

static int no_answer(const char *path, int error) {
        fprintf(stderr, "broker: no broker answers at %s: %s\n", path, err_text(error));
        return EXIT_FAILURE;
}

static bool is_closed(int r) {
        return r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE || r == -ESHUTDOWN || r == -EPERM;
}

/* A broker that refuses somebody closes the connection without a word: to tell him is to have let him in. */
static int was_closed(const char *path, int error) {
        fprintf(stderr,
                "broker: the broker at %s has closed the connection (%s); if it has refused it, its log says why\n",
                path, err_text(error));
        return EXIT_FAILURE;
}

static int connect_to(const char *path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        AUTO(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        return take_fd(fd);
}

int call_connect(const struct client_options *options, sd_bus **ret) {
        AUTO(call_closep) sd_bus *bus = NULL;
        int fd, r;

        if (!options->control) {
                fprintf(stderr, "broker: nothing says where the broker is: write --control=PATH, or set "
                                "BROKER_CONTROL or XDG_RUNTIME_DIR\n");
                return EXIT_FAILURE;
        }
        fd = connect_to(options->control);
        if (fd < 0)
                return no_answer(options->control, fd);
        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_fd(bus, fd, fd);
        if (r < 0)
                fd_close(fd);
        else
                r = sd_bus_set_description(bus, options->control); /* possible before the start alone */
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0)
                return is_closed(r) ? was_closed(options->control, r) : no_answer(options->control, r);
        *ret = take_ptr(bus);
        return 0;
}

static int say_failure(const struct call *call, const sd_bus_error *error, int r) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        const char *path = "its socket";

        sd_bus_get_description(call->bus, &path);
        if (sd_bus_error_has_names(error, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT) || r == -ETIMEDOUT) {
                fprintf(stderr, "broker: the broker at %s has not answered in time\n", path);
                return EXIT_FAILURE;
        }
        /* An error that the broker has sent has a text of its own; one of the connection has not. */
        if (is_closed(r))
                if (!error->name || strncmp(error->name, "org.sockbroker.", 15) != 0) {
                        if (call->lost)
                                *call->lost = true;
                        return call->lost ? EXIT_FAILURE : was_closed(path, r);
                }
        text_add_safe_lines(&text, error->message ? error->message : err_text(r), text_is_utf8());
        fprintf(stderr, "broker: %s\n", buf_text(&text));
        return EXIT_FAILURE;
}

/* Until the broker has let us in: sd_bus_call() would wait for that without an end. Also when the call itself may
 * take as long as it likes. */
static int wait_until_ready(const struct call *call) {
        usec_t until = clock_monotonic() + (call->timeout ? call->timeout : CALL_ANSWER_TIMEOUT);
        int r;

        while ((r = sd_bus_is_ready(call->bus)) == 0) {
                usec_t now = clock_monotonic();

                r = sd_bus_process(call->bus, NULL);
                if (r == 0 && now >= until)
                        return -ETIMEDOUT;
                if (r == 0)
                        r = sd_bus_wait(call->bus, until - now);
                if (r < 0)
                        break;
        }
        return r;
}

int call_do(const struct call *call, sd_bus_error *error, sd_bus_message **ret) {
        AUTO(call_messagep) sd_bus_message *message = NULL;
        AUTO(sd_bus_error_free) sd_bus_error own = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_message_new_method_call(call->bus, &message, OBJECT, call->method);
        if (r >= 0 && call->name)
                r = sd_bus_message_append(message, "s", call->name);
        if (r >= 0)
                r = wait_until_ready(call);
        if (r >= 0)
                r = sd_bus_call(call->bus, message, call->timeout > 0 ? call->timeout : UINT64_MAX, &own, ret);
        if (r >= 0)
                return 0;
        if (error && own.name && strncmp(own.name, "org.sockbroker.", 15) == 0) {
                *error = own;
                own = SD_BUS_ERROR_NULL;
                return EXIT_FAILURE;
        }
        return say_failure(call, &own, r);
}

static int get_property(const struct call *call, sd_bus_error *error, char type, void *ret) {
        int r = wait_until_ready(call);

        if (r < 0)
                return r;
        if (type == 's')
                return sd_bus_get_property_string(call->bus, OBJECT, call->name, error, ret);
        return sd_bus_get_property_trivial(call->bus, OBJECT, call->name, error, type, ret);
}

static int say_property(sd_bus *bus, const char *property, char type, void *ret) {
        const struct call call = {.bus = bus, .name = property};
        AUTO(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = get_property(&call, &error, type, ret);

        return r < 0 ? say_failure(&call, &error, r) : 0;
}

int call_get_number(sd_bus *bus, const char *property, uint32_t *ret) {
        return say_property(bus, property, 'u', ret);
}

int call_get_text(sd_bus *bus, const char *property, char **ret) {
        return say_property(bus, property, 's', ret);
}

int call_misunderstood(int r) {
        fprintf(stderr, "broker: cannot understand the answer of the broker: %s\n", err_text(r));
        return EXIT_FAILURE;
}
