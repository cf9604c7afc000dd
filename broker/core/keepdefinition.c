/* Definitions on their way to the next binary (core/keep.h): the text that `broker show` prints reads back as the same
 * definition, in a newer broker with the defaults of keys that are new. */
#include "base/err.h"
#include "conf/confdir.h"
#include "core/keep.h"

#include <string.h>

/* Marks of a definition in force are looked at by nobody: messages are about those that come to replace it. */
#define NAME "(kept over upgrade)"

static const char *const kind_names[KEPT_N] = {
        [KEPT_ADDRESS] = "address", [KEPT_HOST] = "host", [KEPT_USER] = "user",
        [KEPT_GROUP] = "group",     [KEPT_FILE] = "file",
};

static void answer_save(const struct kept_answer *answer, struct state_out out) {
        struct state_out list;

        state_put_name(out, "kind", kind_names, KEPT_N, answer->kind);
        state_put_text(out, "question", answer->question);
        switch (answer->kind) {
        case KEPT_ADDRESS:
                list = state_put_list(out, "addresses");
                for (size_t i = 0; i < answer->size / sizeof(struct addr); i++)
                        addr_save((const struct addr *)answer->data + i, state_add_object(list));
                break;
        case KEPT_HOST:
                list = state_put_list(out, "networks");
                for (size_t i = 0; i < answer->size / sizeof(struct prefix); i++)
                        prefix_save((const struct prefix *)answer->data + i, state_add_object(list));
                break;
        case KEPT_USER:
        case KEPT_GROUP:
                state_put_integer(out, "id", *(const uint32_t *)answer->data);
                break;
        default:
                state_put_bytes(out, "contents", answer->data, answer->size);
        }
}

/* The answer's bytes, as conf/kept.h has them. */
static void restore_data(enum kept_kind kind, struct state_in in, struct buf *ret) {
        struct state_in addrs = state_get_list(in, "addresses"), networks = state_get_list(in, "networks");
        uint32_t id = (uint32_t)state_get_integer(in, "id", 0);
        struct prefix prefix;
        struct addr addr;

        if (kind == KEPT_USER || kind == KEPT_GROUP)
                buf_add(ret, (const char *)&id, sizeof(id));
        for (size_t i = 0; kind == KEPT_ADDRESS && i < state_count(addrs); i++) {
                addr_restore(&addr, state_entry(addrs, i));
                buf_add(ret, (const char *)&addr, sizeof(addr));
        }
        for (size_t i = 0; kind == KEPT_HOST && i < state_count(networks); i++) {
                prefix_restore(&prefix, state_entry(networks, i));
                buf_add(ret, (const char *)&prefix, sizeof(prefix));
        }
        if (kind == KEPT_FILE)
                state_get_buf(in, "contents", ret);
        else if (ret->size == 0)
                state_reader_fail(in.reader, "an answer kept by the running broker is empty");
}

static void answer_restore(struct kept *kept, struct state_in in) {
        enum kept_kind kind = state_get_name(in, "kind", kind_names, KEPT_N, KEPT_FILE);
        AUTO(freep) char *question = state_get_text(in, "question");
        AUTO(buf_deinit) struct buf data = BUF_NULL;
        struct kept_answer answer = {.kind = kind, .question = question};

        restore_data(kind, in, &data);
        answer.data = data.data;
        answer.size = data.size;
        if (!question || buf_failed(&data) || kept_add(kept, &answer) < 0)
                state_reader_fail(in.reader, "an answer kept by the running broker cannot be taken over");
}

static void kept_save(const struct kept *kept, struct state_out out) {
        struct state_out answers = state_put_list(out, "answers");

        for (size_t i = 0; i < kept->count; i++)
                answer_save(&kept->items[i], state_add_object(answers));
}

static void kept_restore(struct kept *kept, struct state_in in) {
        struct state_in answers = state_get_list(in, "answers");

        for (size_t i = 0; i < state_count(answers); i++)
                answer_restore(kept, state_entry(answers, i));
}

void broker_def_save(const struct broker_def *def, struct state_out out) {
        AUTO(kept_deinit) struct kept kept = KEPT_NULL;
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        broker_def_print(def, &text);
        if (buf_failed(&text) || kept_collect_broker(&kept, def) < 0)
                state_writer_fail(out.writer, "memory ran out");
        state_put_text(out, "text", buf_text(&text));
        kept_save(&kept, out);
}

void broker_def_restore(struct broker_def *def, struct state_in in) {
        AUTO(kept_deinit) struct kept kept = KEPT_NULL;
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        AUTO(buf_deinit) struct buf text = BUF_NULL, problems = BUF_NULL;
        struct def_set *set;

        kept_restore(&kept, in);
        state_get_buf(in, "text", &text);
        if (state_reader_failed(in.reader))
                return;
        set = confdir_load_kept(NAME, &text, &kept, &diag);
        if (set) {
                broker_def_deinit(def);
                *def = set->broker;
                set->broker = (struct broker_def){0};
        } else {
                diag_format(&diag, &problems);
                state_reader_fail(in.reader, "the settings in force mean nothing any more: %s", buf_text(&problems));
        }
        def_set_free(set);
}

void definition_save(const struct service_def *def, struct state_out out) {
        AUTO(kept_deinit) struct kept kept = KEPT_NULL;
        AUTO(buf_deinit) struct buf text = BUF_NULL;

        buf_add_string(&text, "services:\n");
        service_def_print(def, &text);
        if (buf_failed(&text) || kept_collect(&kept, def) < 0)
                state_writer_fail(out.writer, "memory ran out");
        state_put_text(out, "text", buf_text(&text));
        kept_save(&kept, out);
        state_put_texts(out, "env_file_values", &kept.env_file_values);
}

struct service_def *definition_restore(struct state_in in) {
        AUTO(kept_deinit) struct kept kept = KEPT_NULL;
        AUTO(diag_deinit) struct diag diag = DIAG_NULL;
        AUTO(buf_deinit) struct buf text = BUF_NULL, problems = BUF_NULL;
        struct service_def *def = NULL;
        struct def_set *set;

        kept_restore(&kept, in);
        state_get_texts(in, "env_file_values", &kept.env_file_values);
        state_get_buf(in, "text", &text);
        if (state_reader_failed(in.reader))
                return NULL;
        set = confdir_load_kept(NAME, &text, &kept, &diag);
        if (set && set->count == 1) {
                def = take_ptr(set->services[0]);
        } else {
                diag_format(&diag, &problems);
                state_reader_fail(in.reader, "a definition in force means nothing any more: %s", buf_text(&problems));
        }
        def_set_free(set);
        return def;
}
