/* The reading half of core/state.h. */
#include "base/err.h"
#include "base/fd.h"
#include "core/state.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

void state_reader_deinit(struct state_reader *reader) {
        json_decref(reader->root);
        free(reader->taken);
        buf_deinit(&reader->problem);
        reader->stand_in = fd_close(reader->stand_in);
        *reader = STATE_READER_NULL;
}

void state_reader_fail(struct state_reader *reader, const char *format, ...) {
        va_list args;

        if (state_reader_failed(reader))
                return;
        va_start(args, format);
        buf_vprintf(&reader->problem, format, args);
        va_end(args);
}

struct state_in state_reader_root(struct state_reader *reader) {
        return (struct state_in){.reader = reader, .json = reader->root};
}

/* Nobody else can have made it, nor can anybody change it any more. */
static bool is_sealed(int fd) {
        int seals = fcntl(fd, F_GET_SEALS);
        struct stat st;

        return seals >= 0 && (seals & STATE_SEALS) == STATE_SEALS && fstat(fd, &st) == 0 && st.st_uid == geteuid();
}

/* json_loadfd() would read byte by byte. */
static bool read_document(struct state_reader *reader, int fd) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        json_error_t error = {.text = "it cannot be read"};
        char data[16384];
        ssize_t n;

        while ((n = pread(fd, data, sizeof(data), (off_t)text.size)) > 0)
                buf_add(&text, data, (size_t)n);
        if (n == 0 && !buf_failed(&text))
                reader->root = json_loadb(buf_text(&text), text.size, JSON_REJECT_DUPLICATES, &error);
        if (json_is_object(reader->root))
                return true;
        state_reader_fail(reader, "the state of the running broker cannot be read: %s",
                          reader->root ? "it is no object" : error.text);
        return false;
}

bool state_reader_init(struct state_reader *ret, int fd, pid_t pid) {
        struct state_in root;
        int64_t format;

        *ret = STATE_READER_NULL;
        if (!is_sealed(fd)) {
                state_reader_fail(ret, "what was handed over is not the sealed state of a broker");
                return false;
        }
        if (!read_document(ret, fd))
                return false;
        root = state_reader_root(ret);
        format = state_get_integer(root, "format", 0);
        if (format < 1 || format > STATE_FORMAT)
                state_reader_fail(ret, "the running broker writes its state in format %lld, and this one knows %d",
                                  (long long)format, STATE_FORMAT);
        if (state_get_integer(root, "pid", 0) != pid)
                state_reader_fail(ret, "the state that was handed over is that of another broker");
        return !state_reader_failed(ret);
}

static const json_t *get(struct state_in in, const char *key) {
        return json_object_get(in.json, key);
}

static void complain(struct state_in in, const char *key, const char *what) {
        state_reader_fail(in.reader, "the state of the running broker has a '%s' that is not %s", key, what);
}

bool state_has(struct state_in in, const char *key) {
        return get(in, key) != NULL;
}

int64_t state_get_integer(struct state_in in, const char *key, int64_t fallback) {
        const json_t *json = get(in, key);

        if (!json)
                return fallback;
        if (!json_is_integer(json)) {
                complain(in, key, "a number");
                return fallback;
        }
        return json_integer_value(json);
}

bool state_get_flag(struct state_in in, const char *key) {
        const json_t *json = get(in, key);

        if (json && !json_is_boolean(json))
                complain(in, key, "true or false");
        return json_is_true(json);
}

usec_t state_get_usec(struct state_in in, const char *key) {
        int64_t value = state_get_integer(in, key, -1);

        return value < 0 ? USEC_INFINITY : (usec_t)value;
}

static int digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Adds what make_text() and make_hex() have made. False where it is neither. */
static bool add_bytes(const json_t *json, struct buf *ret) {
        const json_t *hex = json_object_get(json, STATE_HEX);
        const char *text = json_string_value(hex);
        size_t size = json_string_length(hex);

        if (json_is_string(json)) {
                buf_add(ret, json_string_value(json), json_string_length(json));
                return true;
        }
        if (!text || size % 2 != 0)
                return false;
        for (size_t i = 0; i < size; i += 2) {
                int high = digit(text[i]), low = digit(text[i + 1]);

                if (high < 0 || low < 0)
                        return false;
                buf_add_char(ret, (char)(high << 4 | low));
        }
        return true;
}

static void check_memory(struct state_in in, const struct buf *buf) {
        if (buf_failed(buf))
                state_reader_fail(in.reader, "memory ran out");
}

void state_get_buf(struct state_in in, const char *key, struct buf *ret) {
        const json_t *json = get(in, key);

        if (json && !add_bytes(json, ret))
                complain(in, key, "text");
        check_memory(in, ret);
}

char *state_get_text(struct state_in in, const char *key) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        if (!state_has(in, key))
                return NULL;
        /* So that there is something to take where the text is empty. */
        buf_add_string(&text, "");
        state_get_buf(in, key, &text);
        return buf_take(&text);
}

size_t state_get_bytes(struct state_in in, const char *key, void *data, size_t size) {
        AUTO(buf_deinit) struct buf bytes = BUF_NULL;

        state_get_buf(in, key, &bytes);
        if (bytes.size > size) {
                complain(in, key, "as short as it ought to be");
                return 0;
        }
        if (bytes.size > 0)
                memcpy(data, bytes.data, bytes.size);
        return bytes.size;
}

void state_get_texts(struct state_in in, const char *key, struct strlist *ret) {
        struct state_in list = state_get_list(in, key);

        for (size_t i = 0; i < state_count(list); i++) {
                AUTO(buf_deinit) struct buf text = BUF_NULL;

                if (!add_bytes(json_array_get(list.json, i), &text))
                        complain(in, key, "a list of texts");
                if (strlist_add(ret, buf_text(&text)) < 0 || buf_failed(&text))
                        state_reader_fail(in.reader, "memory ran out");
        }
}

unsigned state_get_name(struct state_in in, const char *key, const char *const *names, size_t count,
                        unsigned fallback) {
        AUTO(freep) char *text = state_get_text(in, key);

        if (!text)
                return fallback;
        for (unsigned i = 0; i < count; i++)
                if (names[i] && strcmp(names[i], text) == 0)
                        return i;
        state_reader_fail(in.reader, "the running broker knows a %s '%s', and this one does not", key, text);
        return fallback;
}

/* What it is taken for can be watched, so that everything but the kernel's own answers is tried. */
static int stand_in(struct state_in in) {
        struct state_reader *reader = in.reader;
        int fd;

        if (reader->stand_in < 0)
                reader->stand_in = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        fd = fcntl(reader->stand_in, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                state_reader_fail(reader, "no descriptors for a trial: %s", err_text(errno));
        return fd < 0 ? -EBADF : fd;
}

static bool note_taken(struct state_reader *reader, int fd) {
        if (reader->taken_count == reader->taken_room) {
                size_t room = MAX_OF(2 * reader->taken_room, (size_t)64);
                int *taken = reallocarray(reader->taken, room, sizeof(*taken));

                if (!taken) {
                        state_reader_fail(reader, "memory ran out");
                        return false;
                }
                reader->taken = taken;
                reader->taken_room = room;
        }
        reader->taken[reader->taken_count++] = fd;
        return true;
}

int state_take_fd(struct state_in in, const char *key) {
        int64_t fd = state_get_integer(in, key, -1);

        if (fd < 0)
                return -EBADF;
        if (in.reader->trial)
                return note_taken(in.reader, (int)fd) ? stand_in(in) : -EBADF;
        if (fd > INT32_MAX || fd_set_cloexec((int)fd, true) < 0) {
                state_reader_fail(in.reader, "descriptor %lld (%s) is not open", (long long)fd, key);
                return -EBADF;
        }
        return note_taken(in.reader, (int)fd) ? (int)fd : -EBADF;
}

struct state_in state_get_object(struct state_in in, const char *key) {
        const json_t *json = get(in, key);

        if (json && !json_is_object(json))
                complain(in, key, "an object");
        return (struct state_in){.reader = in.reader, .json = json};
}

struct state_in state_get_list(struct state_in in, const char *key) {
        const json_t *json = get(in, key);

        if (json && !json_is_array(json))
                complain(in, key, "a list");
        return (struct state_in){.reader = in.reader, .json = json};
}

size_t state_count(struct state_in list) {
        return json_array_size(list.json);
}

struct state_in state_entry(struct state_in list, size_t index) {
        return (struct state_in){.reader = list.reader, .json = json_array_get(list.json, index)};
}

static int compare_fd(const void *a, const void *b) {
        return *(const int *)a - *(const int *)b;
}

static void settle(struct state_reader *reader, int fd) {
        if (reader->trial)
                state_reader_fail(reader, "the running broker has descriptors of a kind that this one does not know");
        else
                fd_close(fd);
}

void state_settle_rest(struct state_reader *reader) {
        struct state_in list = state_get_list(state_reader_root(reader), "descriptors");
        const int *taken = reader->taken;

        if (taken)
                qsort(reader->taken, reader->taken_count, sizeof(*taken), compare_fd);
        for (size_t i = 0; i < state_count(list); i++) {
                int fd = (int)json_integer_value(json_array_get(list.json, i));

                if (fd > STDERR_FILENO && !(taken && bsearch(&fd, taken, reader->taken_count, sizeof(fd), compare_fd)))
                        settle(reader, fd);
        }
}
