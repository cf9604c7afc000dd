#include "core/state.h"

#include "base/err.h"
#include "base/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

int state_writer_init(struct state_writer *ret) {
        *ret = (struct state_writer){.root = json_object()};
        if (!ret->root)
                return err_raise(-ENOMEM);
        state_put_integer(state_root(ret), "format", STATE_FORMAT);
        state_put_integer(state_root(ret), "pid", getpid());
        return 0;
}

void state_writer_deinit(struct state_writer *writer) {
        json_decref(writer->root);
        free(writer->fds);
        *writer = STATE_WRITER_NULL;
}

struct state_out state_root(struct state_writer *writer) {
        return (struct state_out){.writer = writer, .json = writer->root};
}

void state_writer_fail(struct state_writer *writer, const char *problem) {
        if (!writer->problem)
                writer->problem = problem;
}

static void put(struct state_out out, const char *key, json_t *own_value) {
        if (json_object_set_new(out.json, key, own_value) < 0)
                state_writer_fail(out.writer, "memory ran out");
}

void state_put_integer(struct state_out out, const char *key, int64_t value) {
        put(out, key, json_integer(value));
}

void state_put_flag(struct state_out out, const char *key, bool value) {
        if (value)
                put(out, key, json_true());
}

void state_put_usec(struct state_out out, const char *key, usec_t value) {
        if (value != USEC_INFINITY)
                put(out, key, json_integer((json_int_t)MIN_OF(value, (usec_t)INT64_MAX)));
}

static json_t *make_hex(const void *data, size_t size) {
        static const char digits[] = "0123456789abcdef";
        AUTO(freep) char *text = malloc(2 * size + 1);
        const unsigned char *bytes = data;

        if (!text)
                return NULL;
        for (size_t i = 0; i < size; i++) {
                text[2 * i] = digits[bytes[i] >> 4];
                text[2 * i + 1] = digits[bytes[i] & 15];
        }
        text[2 * size] = '\0';
        return json_pack("{s:s#}", STATE_HEX, text, 2 * size);
}

/* Not everything that a path or a variable may be is text for JSON. */
static json_t *make_text(const char *text) {
        json_t *json = json_string(text);

        return json ? json : make_hex(text, strlen(text));
}

void state_put_text(struct state_out out, const char *key, const char *text) {
        if (text)
                put(out, key, make_text(text));
}

void state_put_bytes(struct state_out out, const char *key, const void *data, size_t size) {
        put(out, key, make_hex(data, size));
}

void state_put_texts(struct state_out out, const char *key, const struct strlist *list) {
        struct state_out items = state_put_list(out, key);

        for (size_t i = 0; i < list->count; i++)
                if (json_array_append_new(items.json, make_text(list->items[i])) < 0)
                        state_writer_fail(out.writer, "memory ran out");
}

void state_put_name(struct state_out out, const char *key, const char *const *names, size_t count, unsigned value) {
        if (value < count && names[value])
                state_put_text(out, key, names[value]);
        else
                state_writer_fail(out.writer, "something is on its way that cannot be written down");
}

static void note_fd(struct state_writer *writer, int fd) {
        if (writer->fd_count == writer->fd_room) {
                size_t room = MAX_OF(2 * writer->fd_room, (size_t)64);
                int *fds = reallocarray(writer->fds, room, sizeof(*fds));

                if (!fds) {
                        state_writer_fail(writer, "memory ran out");
                        return;
                }
                writer->fds = fds;
                writer->fd_room = room;
        }
        writer->fds[writer->fd_count++] = fd;
}

void state_put_fd(struct state_out out, const char *key, int fd) {
        if (fd < 0)
                return;
        state_put_integer(out, key, fd);
        note_fd(out.writer, fd);
}

static struct state_out put_container(struct state_out out, const char *key, json_t *own_json) {
        put(out, key, own_json);
        return (struct state_out){.writer = out.writer, .json = json_object_get(out.json, key)};
}

struct state_out state_put_object(struct state_out out, const char *key) {
        return put_container(out, key, json_object());
}

struct state_out state_put_list(struct state_out out, const char *key) {
        return put_container(out, key, json_array());
}

struct state_out state_add_object(struct state_out list) {
        if (json_array_append_new(list.json, json_object()) < 0)
                state_writer_fail(list.writer, "memory ran out");
        return (struct state_out){
                .writer = list.writer,
                .json = list.json ? json_array_get(list.json, json_array_size(list.json) - 1) : NULL,
        };
}

static void put_fds(struct state_writer *writer) {
        struct state_out list = state_put_list(state_root(writer), "descriptors");

        for (size_t i = 0; i < writer->fd_count; i++)
                if (json_array_append_new(list.json, json_integer(writer->fds[i])) < 0)
                        state_writer_fail(writer, "memory ran out");
}

/* json_dumpfd() would write many small pieces. */
static int write_document(const struct state_writer *writer, int fd) {
        AUTO(freep) char *text = json_dumps(writer->root, JSON_COMPACT);
        size_t size = text ? strlen(text) : 0;

        if (!text)
                return err_raise(-ENOMEM);
        for (size_t done = 0; done < size;) {
                ssize_t n = write(fd, text + done, size - done);

                if (n < 0)
                        return err_raise(-errno);
                done += (size_t)n;
        }
        return 0;
}

/* That it is no program is asked for where the kernel knows of it (Linux 6.3): a host may insist on that. */
static int make_memfd(void) {
        const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
        int fd = memfd_create("broker-state", flags | MFD_NOEXEC_SEAL);

        return fd < 0 && errno == EINVAL ? memfd_create("broker-state", flags) : fd;
}

int state_seal(struct state_writer *writer) {
        AUTO(fd_closep) int fd = make_memfd();
        int r;

        if (fd < 0)
                return err_raise(-errno);
        put_fds(writer);
        if (writer->problem)
                return err_raise(-ENOMEM);
        r = write_document(writer, fd);
        if (r < 0)
                return r;
        if (fcntl(fd, F_ADD_SEALS, STATE_SEALS) < 0)
                return err_raise(-errno);
        return take_fd(fd);
}
