#include "base/fd.h"
#include "conf/confdir.h"
#include "core/keep.h"
#include "core/state.h"
#include "unit.h"

#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const colours[] = {"red", NULL, "blue"};

static int seal(struct state_writer *writer) {
        int fd = state_seal(writer);

        assert_true(fd >= 0);
        state_writer_deinit(writer);
        return fd;
}

static struct state_out begin(struct state_writer *writer) {
        assert_int_equal(state_writer_init(writer), 0);
        return state_root(writer);
}

static void test_there_and_back(void **state UNUSED) {
        struct strlist texts = STRLIST_NULL, back = STRLIST_NULL;
        struct state_reader reader;
        struct state_writer writer;
        struct state_out out = begin(&writer);
        struct state_in in, list;
        char bytes[4], *text;
        int fd;

        assert_int_equal(strlist_add(&texts, "plain"), 0);
        assert_int_equal(strlist_add(&texts, "\xff\xfe"), 0);
        state_put_integer(out, "number", INT64_MIN);
        state_put_flag(out, "yes", true);
        state_put_flag(out, "no", false);
        state_put_usec(out, "soon", 5);
        state_put_usec(out, "never", USEC_INFINITY);
        state_put_text(out, "text", "a \"text\"\n");
        state_put_text(out, "no text", "\x80");
        state_put_text(out, "empty", "");
        state_put_bytes(out, "bytes", "\0\1\2", 3);
        state_put_texts(out, "texts", &texts);
        state_put_name(out, "colour", colours, LENGTH_OF(colours), 2);
        state_put_integer(state_add_object(state_put_list(out, "list")), "in it", 7);
        fd = seal(&writer);
        assert_true(state_reader_init(&reader, fd, getpid()));
        in = state_reader_root(&reader);
        assert_true(state_get_integer(in, "number", 0) == INT64_MIN);
        assert_true(state_get_flag(in, "yes"));
        assert_false(state_get_flag(in, "no"));
        assert_true(state_get_usec(in, "soon") == 5 && state_get_usec(in, "never") == USEC_INFINITY);
        text = state_get_text(in, "text");
        assert_string_equal(text, "a \"text\"\n");
        free(text);
        text = state_get_text(in, "no text");
        assert_string_equal(text, "\x80");
        free(text);
        text = state_get_text(in, "empty");
        assert_string_equal(text, "");
        free(text);
        assert_null(state_get_text(in, "missing"));
        assert_int_equal(state_get_bytes(in, "bytes", bytes, sizeof(bytes)), 3);
        assert_memory_equal(bytes, "\0\1\2", 3);
        state_get_texts(in, "texts", &back);
        assert_true(strlist_equal(&texts, &back));
        assert_int_equal(state_get_name(in, "colour", colours, LENGTH_OF(colours), 0), 2);
        assert_int_equal(state_get_name(in, "missing", colours, LENGTH_OF(colours), 1), 1);
        list = state_get_list(in, "list");
        assert_int_equal(state_count(list), 1);
        assert_int_equal(state_get_integer(state_entry(list, 0), "in it", 0), 7);
        assert_int_equal(state_count(state_get_list(in, "missing")), 0);
        assert_int_equal(state_get_integer(state_get_object(in, "missing"), "in it", 3), 3);
        assert_false(state_reader_failed(&reader));
        state_reader_deinit(&reader);
        strlist_deinit(&texts);
        strlist_deinit(&back);
        close(fd);
}

/* What is wrong is told of the first that is. */
static void assert_problem(struct state_reader *reader, const char *part) {
        assert_true(state_reader_failed(reader));
        if (!strstr(buf_text(&reader->problem), part))
                fail_msg("'%s' is not in: %s", part, buf_text(&reader->problem));
        buf_clear(&reader->problem);
}

static void test_other_kinds(void **state UNUSED) {
        struct state_reader reader;
        struct state_writer writer;
        struct state_out out = begin(&writer);
        struct state_in in;
        char small[1];
        int fd;

        state_put_text(out, "text", "a");
        state_put_text(out, "green", "green");
        state_put_integer(out, "number", 1);
        state_put_bytes(out, "bytes", "ab", 2);
        state_put_integer(out, "closed", 1000000);
        fd = seal(&writer);
        assert_true(state_reader_init(&reader, fd, getpid()));
        in = state_reader_root(&reader);
        assert_int_equal(state_get_integer(in, "text", 3), 3);
        assert_problem(&reader, "'text' that is not a number");
        assert_false(state_get_flag(in, "number"));
        assert_problem(&reader, "'number' that is not true or false");
        assert_int_equal(state_count(state_get_list(in, "number")), 0);
        assert_problem(&reader, "not a list");
        state_get_object(in, "number");
        assert_problem(&reader, "not an object");
        assert_int_equal(state_get_name(in, "green", colours, LENGTH_OF(colours), 0), 0);
        assert_problem(&reader, "knows a green 'green', and this one does not");
        assert_int_equal(state_get_bytes(in, "bytes", small, sizeof(small)), 0);
        assert_problem(&reader, "as short as");
        assert_int_equal(state_take_fd(in, "closed"), -EBADF);
        assert_problem(&reader, "descriptor 1000000 (closed) is not open");
        state_reader_deinit(&reader);
        close(fd);
}

static void test_whose_it_is(void **state UNUSED) {
        struct state_reader reader;
        struct state_writer writer;
        int fd, open_fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        begin(&writer);
        fd = seal(&writer);
        assert_false(state_reader_init(&reader, fd, getpid() + 1));
        assert_problem(&reader, "another broker");
        state_reader_deinit(&reader);
        close(fd);
        state_put_integer(begin(&writer), "format", STATE_FORMAT + 1);
        fd = seal(&writer);
        assert_false(state_reader_init(&reader, fd, getpid()));
        assert_problem(&reader, "writes its state in format 2, and this one knows 1");
        state_reader_deinit(&reader);
        close(fd);
        assert_int_equal(write(open_fd, "{}", 2), 2);
        assert_false(state_reader_init(&reader, open_fd, getpid()));
        assert_problem(&reader, "not the sealed state of a broker");
        state_reader_deinit(&reader);
        assert_int_equal(fcntl(open_fd, F_ADD_SEALS, STATE_SEALS), 0);
        assert_false(state_reader_init(&reader, open_fd, getpid()));
        assert_problem(&reader, "format 0");
        state_reader_deinit(&reader);
        close(open_fd);
}

static int seal_bytes(const void *data, size_t size) {
        int fd = memfd_create("damaged", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_int_equal(write(fd, data, size), size);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, STATE_SEALS), 0);
        return fd;
}

/* Every beginning of a document, and noise. */
static void test_damaged(void **state UNUSED) {
        static const char noise[] = "\0\377{]\"\\u0000";
        struct state_reader reader;
        struct state_writer writer;
        char text[4096];
        ssize_t size;
        int fd;

        state_put_text(begin(&writer), "key", "value");
        fd = seal(&writer);
        size = pread(fd, text, sizeof(text), 0);
        close(fd);
        assert_true(size > 0);
        for (ssize_t i = 0; i < size; i++) {
                fd = seal_bytes(text, (size_t)i);
                assert_false(state_reader_init(&reader, fd, getpid()));
                assert_problem(&reader, "cannot be read");
                state_reader_deinit(&reader);
                close(fd);
        }
        fd = seal_bytes(noise, sizeof(noise));
        assert_false(state_reader_init(&reader, fd, getpid()));
        assert_problem(&reader, "cannot be read");
        state_reader_deinit(&reader);
        close(fd);
        fd = seal_bytes("[1]", 3);
        assert_false(state_reader_init(&reader, fd, getpid()));
        assert_problem(&reader, "no object");
        state_reader_deinit(&reader);
        close(fd);
}

static void test_without_a_name(void **state UNUSED) {
        struct state_writer writer;

        state_put_name(begin(&writer), "colour", colours, LENGTH_OF(colours), 1);
        assert_non_null(writer.problem);
        assert_true(state_seal(&writer) < 0);
        state_writer_deinit(&writer);
}

static void test_descriptors(void **state UNUSED) {
        int kept = eventfd(0, 0), unknown = eventfd(0, 0), fd;
        struct state_reader reader;
        struct state_writer writer;
        struct state_out out = begin(&writer);

        state_put_fd(out, "kept", kept);
        state_put_fd(out, "unknown", unknown);
        state_put_fd(out, "none", -EBADF);
        fd = seal(&writer);
        assert_true(state_reader_init(&reader, fd, getpid()));
        assert_int_equal(state_take_fd(state_reader_root(&reader), "kept"), kept);
        assert_int_equal(state_take_fd(state_reader_root(&reader), "none"), -EBADF);
        assert_int_equal(fcntl(kept, F_GETFD), FD_CLOEXEC);
        state_settle_rest(&reader);
        assert_false(state_reader_failed(&reader));
        assert_int_equal(fcntl(unknown, F_GETFD), -1);
        assert_true(fcntl(kept, F_GETFD) >= 0);
        state_reader_deinit(&reader);
        assert_true(state_reader_init(&reader, fd, getpid()));
        reader.trial = true;
        unknown = state_take_fd(state_reader_root(&reader), "unknown");
        assert_true(unknown >= 0 && unknown != kept);
        close(unknown);
        state_settle_rest(&reader);
        assert_true(state_reader_failed(&reader));
        state_reader_deinit(&reader);
        assert_true(state_reader_init(&reader, fd, getpid()));
        reader.trial = true;
        close(state_take_fd(state_reader_root(&reader), "unknown"));
        close(state_take_fd(state_reader_root(&reader), "kept"));
        state_settle_rest(&reader);
        assert_false(state_reader_failed(&reader));
        state_reader_deinit(&reader);
        close(kept);
        close(fd);
}

static const char definition[] = "services:\n"
                                 "  web:\n"
                                 "    listen: [\"localhost:80\", \"[::1]:81\"]\n"
                                 "    wait: no\n"
                                 "    command: [/bin/cat, -n]\n"
                                 "    only_from: [localhost, 10.0.0.0/8]\n"
                                 "    environment: {A: \"${pid}\"}\n";

/* The answers that were kept come back, whatever a resolver would say now. */
static void test_definition(void **state UNUSED) {
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        struct state_reader reader;
        struct state_writer writer;
        struct service_def *back;
        struct def_set *set;
        int fd;

        buf_add_string(&text, definition);
        set = confdir_load_text("test.yaml", &text, &diag);
        assert_non_null(set);
        /* As if they had meant something else then. */
        set->services[0]->only_from.items[0].prefixes[0].address[3] = 77;
        set->services[0]->listen.items[0].addrs.items[0].sockaddr.in.sin_port = htons(8080);
        assert_int_equal(strlist_add(&set->services[0]->env_file_values, "FROM=a file"), 0);
        definition_save(set->services[0], begin(&writer));
        fd = seal(&writer);
        assert_true(state_reader_init(&reader, fd, getpid()));
        back = definition_restore(state_reader_root(&reader));
        assert_non_null(back);
        assert_true(service_def_same(set->services[0], back));
        assert_true(service_def_equal(set->services[0], back));
        assert_int_equal(back->only_from.items[0].prefixes[0].address[3], 77);
        service_def_free(back);
        def_set_free(set);
        state_reader_deinit(&reader);
        close(fd);
}

static void check_definition(const struct service_def *def) {
        struct state_reader reader;
        struct state_writer writer;
        struct service_def *back;
        int fd;

        definition_save(def, begin(&writer));
        fd = seal(&writer);
        assert_true(state_reader_init(&reader, fd, getpid()));
        back = definition_restore(state_reader_root(&reader));
        if (!back || !service_def_same(def, back) || !service_def_equal(def, back))
                fail_msg("service %s does not come back: %s", def->name, buf_text(&reader.problem));
        service_def_free(back);
        state_reader_deinit(&reader);
        close(fd);
}

/* Every key there is stands in one of these files: what is not printed, or not kept, would be lost. */
static void test_all_keys(void **state UNUSED) {
        glob_t files;

        assert_int_equal(glob(DEFINITIONS "/*.yaml", 0, NULL, &files), 0);
        for (size_t i = 0; i < files.gl_pathc; i++) {
                const struct strlist paths = {.items = &files.gl_pathv[i], .count = 1};
                AUTO(diag_deinit) struct diag diag = DIAG_NULL;
                struct def_set *set = confdir_load(&paths, &diag);

                assert_non_null(set);
                for (size_t j = 0; j < set->count; j++)
                        check_definition(set->services[j]);
                def_set_free(set);
        }
        globfree(&files);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_other_kinds),
                cmocka_unit_test(test_whose_it_is),    cmocka_unit_test(test_damaged),
                cmocka_unit_test(test_without_a_name), cmocka_unit_test(test_descriptors),
                cmocka_unit_test(test_definition),     cmocka_unit_test(test_all_keys),
        };

        return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
