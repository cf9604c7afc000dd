/* broker_claim(): listening sockets by name, from the running broker, by D-Bus on its control socket.
 *
 * sd-bus is loaded when it is needed, so that programs that never claim anything do not depend on libsystemd; once the
 * answer is there it goes, and what stays is the connection itself. Nothing is kept between calls: dlopen(3) counts. */
#include "sockbroker/sockbroker.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define CONTROL_PATH "/run/broker/control"
#define CONTROL_NAME "broker/control" /* below $XDG_RUNTIME_DIR */
#define MANAGER_PATH "/org/sockbroker"
#define MANAGER_INTERFACE "org.sockbroker.Manager"
#define LIBRARY "libsystemd.so.0"

/* As long as sd-bus waits for an answer. */
#define CONNECT_TIMEOUT 25 /* seconds */

/* Above the standard descriptors, whatever the caller has closed. */
#define FIRST_FD 3

struct claimed {
        int fd;
        char *name;
};

struct broker_claim {
        int connection;
        struct claimed *items;
        size_t count;
};

/* What is used of libsystemd. */
struct sdbus {
        int (*new_bus)(sd_bus **ret);
        int (*set_fd)(sd_bus *bus, int input_fd, int output_fd);
        int (*negotiate_fds)(sd_bus *bus, int on);
        int (*start)(sd_bus *bus);
        int (*call_method)(sd_bus *bus, const char *destination, const char *path, const char *interface,
                           const char *member, sd_bus_error *ret_error, sd_bus_message **reply, const char *types, ...);
        int (*enter_container)(sd_bus_message *message, char type, const char *contents);
        int (*exit_container)(sd_bus_message *message);
        int (*read_basic)(sd_bus_message *message, char type, void *value);
        void (*error_free)(sd_bus_error *error);
        sd_bus_message *(*message_unref)(sd_bus_message *message);
        sd_bus *(*bus_unref)(sd_bus *bus);
};

/* Everything one call holds, so that it goes in one place. */
struct call {
        struct sdbus sdbus;
        int fd;
        sd_bus *bus;
        sd_bus_error error;
        sd_bus_message *reply;
        struct broker_claim *claim;
        char **message; /* of the caller; NULL: not wanted */
};

struct broker_claim *broker_claim_free(struct broker_claim *claim) {
        if (!claim)
                return NULL;
        for (size_t i = 0; i < claim->count; i++) {
                if (claim->items[i].fd >= 0)
                        close(claim->items[i].fd);
                free(claim->items[i].name);
        }
        free(claim->items);
        /* Last: whoever gets the sockets now is alone with them. */
        if (claim->connection >= 0)
                close(claim->connection);
        free(claim);
        return NULL;
}

size_t broker_claim_count(const struct broker_claim *claim) {
        return claim->count;
}

int broker_claim_socket(const struct broker_claim *claim, size_t index) {
        return claim->items[index].fd;
}

const char *broker_claim_name(const struct broker_claim *claim, size_t index) {
        return claim->items[index].name;
}

int broker_claim_fd(const struct broker_claim *claim) {
        return claim->connection;
}

static int fail(struct call *call, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct call *call, int error, const char *format, ...) {
        va_list args;

        if (!call->message)
                return error;
        va_start(args, format);
        if (vasprintf(call->message, format, args) < 0)
                *call->message = NULL;
        va_end(args);
        return error;
}

static int load(struct call *call) {
        struct sdbus *sdbus = &call->sdbus;
        const struct {
                void **function;
                const char *name;
        } wanted[] = {
                {(void **)&sdbus->new_bus, "sd_bus_new"},
                {(void **)&sdbus->set_fd, "sd_bus_set_fd"},
                {(void **)&sdbus->negotiate_fds, "sd_bus_negotiate_fds"},
                {(void **)&sdbus->start, "sd_bus_start"},
                {(void **)&sdbus->call_method, "sd_bus_call_method"},
                {(void **)&sdbus->enter_container, "sd_bus_message_enter_container"},
                {(void **)&sdbus->exit_container, "sd_bus_message_exit_container"},
                {(void **)&sdbus->read_basic, "sd_bus_message_read_basic"},
                {(void **)&sdbus->error_free, "sd_bus_error_free"},
                {(void **)&sdbus->message_unref, "sd_bus_message_unref"},
                {(void **)&sdbus->bus_unref, "sd_bus_unref"},
        };
        /* It has destructors of threads, which must not be unloaded before they have run. */
        void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

        if (!library)
                return fail(call, -ENOSYS, "claiming takes libsystemd: %s", dlerror());
        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
                *wanted[i].function = dlsym(library, wanted[i].name);
                if (!*wanted[i].function)
                        return fail(call, -ENOSYS, "claiming takes another libsystemd: %s", dlerror());
        }
        return 0;
}

/* A broker that is stopped accepts nobody, and its queue may be full. */
static int open_socket(void) {
        const struct timeval timeout = {.tv_sec = CONNECT_TIMEOUT};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
        return fd;
}

/* Returns a negative errno, which the caller may not be the last to see. */
static int connect_to(struct call *call, const char *path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int r;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        if (call->fd < 0)
                call->fd = open_socket();
        if (call->fd < 0)
                return call->fd;
        do
                r = connect(call->fd, (const struct sockaddr *)&address, sizeof(address));
        while (r < 0 && errno == EINTR);
        if (r == 0)
                return 0;
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

static int connect_control(struct call *call, const char *control) {
        const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
        char own[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
        int r, n;

        if (!control)
                control = secure_getenv("BROKER_CONTROL");
        r = connect_to(call, control ? control : CONTROL_PATH);
        if (r == -ENOENT && !control && runtime) {
                n = snprintf(own, sizeof(own), "%s/" CONTROL_NAME, runtime);
                if (n > 0 && (size_t)n < sizeof(own)) {
                        control = own;
                        r = connect_to(call, control);
                }
        }
        if (r == 0)
                return 0;
        if (r == -ENOENT || r == -ECONNREFUSED)
                return fail(call, -ENOENT, "there is no broker at '%s'", control ? control : CONTROL_PATH);
        return fail(call, r, "cannot connect to the broker at '%s': %s", control ? control : CONTROL_PATH,
                    strerror(-r));
}

/* sd-bus gets a descriptor of its own, which goes with it. */
static int start_bus(struct call *call) {
        const struct sdbus *sdbus = &call->sdbus;
        int fd, r = sdbus->new_bus(&call->bus);

        if (r < 0)
                return r;
        fd = fcntl(call->fd, F_DUPFD_CLOEXEC, FIRST_FD);
        if (fd < 0)
                return -errno;
        r = sdbus->set_fd(call->bus, fd, fd);
        if (r < 0) {
                close(fd);
                return r;
        }
        r = sdbus->negotiate_fds(call->bus, 1);
        return r < 0 ? r : sdbus->start(call->bus);
}

/* What the broker's errors are here. Others are translated by sd-bus. */
static int find_error(const sd_bus_error *error, int otherwise) {
        static const struct {
                const char *name;
                int error;
        } errors[] = {
                {"org.sockbroker.Error.NoSuchService", -ESRCH}, {"org.sockbroker.Error.Busy", -EBUSY},
                {"org.sockbroker.Error.Refused", -EHOSTDOWN},   {SD_BUS_ERROR_ACCESS_DENIED, -EACCES},
                {SD_BUS_ERROR_UNKNOWN_METHOD, -ENOSYS},         {SD_BUS_ERROR_NO_MEMORY, -ENOMEM},
        };

        for (size_t i = 0; error->name && i < sizeof(errors) / sizeof(errors[0]); i++)
                if (strcmp(error->name, errors[i].name) == 0)
                        return errors[i].error;
        return otherwise;
}

static int ask(struct call *call, const char *service) {
        int r = start_bus(call);

        if (r >= 0)
                r = call->sdbus.call_method(call->bus, NULL, MANAGER_PATH, MANAGER_INTERFACE, "Claim", &call->error,
                                            &call->reply, "s", service);
        if (r >= 0)
                return 0;
        /* It hangs up on users it has nothing for. */
        if (r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE)
                return fail(call, -EACCES, "the broker does not let this user claim anything");
        r = find_error(&call->error, r);
        return fail(call, r, "%s", call->error.message ? call->error.message : strerror(-r));
}

static int add_socket(struct broker_claim *claim, int borrowed_fd) {
        struct claimed *items = reallocarray(claim->items, claim->count + 1, sizeof(*items));
        int fd;

        if (!items)
                return -ENOMEM;
        claim->items = items;
        fd = fcntl(borrowed_fd, F_DUPFD_CLOEXEC, FIRST_FD);
        if (fd < 0)
                return -errno;
        items[claim->count++] = (struct claimed){.fd = fd};
        return 0;
}

/* As many descriptors as names. */
static int read_reply(struct call *call) {
        const struct sdbus *sdbus = &call->sdbus;
        struct broker_claim *claim = call->claim;
        size_t names = 0;
        const char *name;
        int fd, r = sdbus->enter_container(call->reply, 'a', "h");

        while (r > 0 && (r = sdbus->read_basic(call->reply, 'h', &fd)) > 0)
                r = add_socket(claim, fd) ?: 1;
        if (r >= 0)
                r = sdbus->exit_container(call->reply);
        if (r >= 0)
                r = sdbus->enter_container(call->reply, 'a', "s");
        while (r > 0 && (r = sdbus->read_basic(call->reply, 's', &name)) > 0) {
                if (names == claim->count)
                        return -EBADMSG;
                claim->items[names].name = strdup(name);
                if (!claim->items[names++].name)
                        return -ENOMEM;
        }
        if (r < 0)
                return r;
        return names == claim->count && names > 0 ? 0 : -EBADMSG;
}

static void call_deinit(struct call *call) {
        if (call->reply)
                call->sdbus.message_unref(call->reply);
        if (call->sdbus.error_free)
                call->sdbus.error_free(&call->error);
        if (call->bus)
                call->sdbus.bus_unref(call->bus);
        if (call->fd >= 0)
                close(call->fd);
        broker_claim_free(call->claim);
}

static int claim(struct call *call, const char *service, const char *control) {
        int r = load(call);

        if (r == 0)
                r = connect_control(call, control);
        if (r == 0)
                r = ask(call, service);
        if (r < 0)
                return r;
        call->claim = calloc(1, sizeof(*call->claim));
        if (!call->claim)
                return fail(call, -ENOMEM, "out of memory");
        call->claim->connection = -EBADF;
        r = read_reply(call);
        /* What sd-bus says of values of another type than expected. */
        if (r == -ENXIO)
                r = -EBADMSG;
        if (r < 0)
                return fail(call, r, "the broker's answer cannot be used: %s", strerror(-r));
        call->claim->connection = call->fd;
        call->fd = -EBADF;
        return 0;
}

int broker_claim(const char *service, const char *control, struct broker_claim **ret, char **ret_message) {
        struct call call = {.fd = -EBADF, .message = ret_message};
        int r;

        if (ret_message)
                *ret_message = NULL;
        r = claim(&call, service, control);
        if (r == 0) {
                *ret = call.claim;
                call.claim = NULL;
        }
        call_deinit(&call);
        return r;
}
