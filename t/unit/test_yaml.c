#include "unit.h"

#include "conf/yaml.h"

#include <stdio.h>

struct fixture {
        struct yaml_document document;
        struct diag diag;
        struct buf messages;
};

static bool load_bytes(struct fixture *f, const char *text, size_t size) {
        AUTO(buf_deinit) struct buf buf = BUF_NULL;
        bool ok;

        *f = (struct fixture){0};
        buf_add(&buf, text, size);
        ok = yaml_parse("x.yaml", &buf, &f->document, &f->diag);
        diag_format(&f->diag, &f->messages);
        return ok;
}

static bool load(struct fixture *f, const char *text) {
        return load_bytes(f, text, strlen(text));
}

static void unload(struct fixture *f) {
        yaml_document_deinit(&f->document);
        diag_deinit(&f->diag);
        buf_deinit(&f->messages);
}

/* Writes a node as one line: {k: v}, [a], 'quoted', plain. */
static void dump(const struct node *node, struct buf *out) {
        switch (node->kind) {
        case NODE_SCALAR:
                buf_printf(out, node->quoted ? "'%s'" : "%s", node->text);
                break;
        case NODE_SEQUENCE:
                buf_add_char(out, '[');
                for (size_t i = 0; i < node->count; i++) {
                        buf_add_string(out, i > 0 ? ", " : "");
                        dump(node->items[i], out);
                }
                buf_add_char(out, ']');
                break;
        case NODE_MAPPING:
                buf_add_char(out, '{');
                for (size_t i = 0; i < node->count; i++) {
                        buf_printf(out, "%s%s: ", i > 0 ? ", " : "", node->pairs[i].key->text);
                        dump(node->pairs[i].value, out);
                }
                buf_add_char(out, '}');
                break;
        case NODE_BROKEN:
                buf_add_string(out, "BROKEN");
                break;
        }
}

static void check_tree(const char *text, const char *expected) {
        AUTO(buf_deinit) struct buf out = BUF_NULL;
        struct fixture f;

        if (!load(&f, text))
                fail_msg("%s", buf_text(&f.messages));
        if (f.document.root)
                dump(f.document.root, &out);
        assert_string_equal(buf_text(&out), expected);
        assert_string_equal(buf_text(&f.messages), "");
        unload(&f);
}

static void check_messages(const char *text, bool readable, const char *expected) {
        struct fixture f;

        assert_int_equal(load(&f, text), readable);
        assert_string_equal(buf_text(&f.messages), expected);
        unload(&f);
}

static void test_trees(void **state UNUSED) {
        check_tree("", "");
        check_tree("# nothing\n\n", "");
        check_tree("---\n", "");
        check_tree("--- ~\n...\n", "");
        check_tree("a: 1\nb: [x, 'y', \"z\"]\nc:\n  d: |\n    text\n", "{a: 1, b: [x, 'y', 'z'], c: {d: 'text\n'}}");
        check_tree("{}", "{}");
        check_tree("[]", "[]");
        check_tree("'null'", "'null'");
        check_tree("a: !!str 5\nb: !!int 5\nc: ! 5\nd: !!map {}\n", "{a: '5', b: 5, c: '5', d: {}}");
        check_tree("1: a\n? b\n: c\n", "{1: a, b: c}");
}

static void test_anchors(void **state UNUSED) {
        check_tree("a: &x {k: v}\nb: *x\nc: [*x, *x]\n", "{a: {k: v}, b: {k: v}, c: [{k: v}, {k: v}]}");
        check_tree("a: &x 1\nb: *x\nc: &x 2\nd: *x\n", "{a: 1, b: 1, c: 2, d: 2}");
        check_tree("&k key: &v value\n*v : *k\n", "{key: value, value: key}");
        check_messages("a: *x\nb: 1\n", true,
                       "x.yaml:1:4: the alias *x has no anchor &x before it; a text that starts with * needs quotes\n");
        check_messages("a: &x [*x]\n", true,
                       "x.yaml:1:8: the alias *x has no anchor &x before it; a text that starts with * needs quotes\n");
}

static void test_merges(void **state UNUSED) {
        check_tree("a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  m: 3\n", "{a: {k: 1, l: 2}, b: {m: 3, k: 1, l: 2}}");
        check_tree("a: &x {k: 1}\nb:\n  k: 2\n  <<: *x\n", "{a: {k: 1}, b: {k: 2}}");
        check_tree("a: &x {k: 1}\nb: &y {k: 2, l: 3}\nc: {<<: [*x, *y]}\n",
                   "{a: {k: 1}, b: {k: 2, l: 3}, c: {k: 1, l: 3}}");
        check_tree("a: &x {k: 1}\nb: &y {<<: *x, l: 2}\nc: {<<: *y, m: 3}\n",
                   "{a: {k: 1}, b: {l: 2, k: 1}, c: {m: 3, l: 2, k: 1}}");
        check_tree("a: {<<: {k: 1}}\n", "{a: {k: 1}}");
        check_tree("a: {<<: []}\n", "{a: {}}");
        check_tree("a: {'<<': 1}\n", "{a: {<<: 1}}");
        check_messages("a: {<<: 1}\n", true,
                       "x.yaml:1:9: << merges a mapping or a list of mappings; write <<: *anchor\n");
        check_messages("a: {<<: [{}, 1]}\n", true,
                       "x.yaml:1:9: << merges a mapping or a list of mappings; write <<: *anchor\n");
        check_messages("a: {<<: *x}\n", true,
                       "x.yaml:1:9: the alias *x has no anchor &x before it; a text that starts with * needs quotes\n");
}

static void test_repeated_keys(void **state UNUSED) {
        check_messages("a: 1\nb: 2\na: 3\n", true, "x.yaml:3:1: the key 'a' stands here twice, first in line 1\n");
        check_messages("a: 1\n'a': 2\na: 3\n", true,
                       "x.yaml:2:1: the key 'a' stands here twice, first in line 1\n"
                       "x.yaml:3:1: the key 'a' stands here twice, first in line 1\n");
        check_messages("x: &x {a: 1}\ny:\n  <<: *x\n  <<: *x\n", true,
                       "x.yaml:4:3: the key '<<' stands here twice, first in line 3\n");
}

static void test_refused(void **state UNUSED) {
        check_messages("a: 1\n---\nb: 2\n", false, "x.yaml:2:1: a second document begins here; a file holds one\n");
        check_messages("a: !x 1\nb: !y [1]\nc: !z {d: *a}\n", true,
                       "x.yaml:1:4: the tag '!x' means nothing here; remove it\n"
                       "x.yaml:2:4: the tag '!y' means nothing here; remove it\n"
                       "x.yaml:3:4: the tag '!z' means nothing here; remove it\n"
                       "x.yaml:3:11: the alias *a has no anchor &a before it; "
                       "a text that starts with * needs quotes\n");
        check_messages("[a]: 1\n{b: c}: 2\nd: 3\n", true,
                       "x.yaml:1:1: a key is a word, not a list\n"
                       "x.yaml:2:1: a key is a word, not a mapping\n");
        check_messages("'': 1\n", true, "x.yaml:1:1: a value has no key in front of its colon\n");
        check_messages("a: \"x\\0y\"\n", true, "x.yaml:1:4: a text cannot contain the byte 0\n");
        check_messages("a: b: c\n", false,
                       "x.yaml:1:5: is not YAML: mapping values are not allowed in this context; a text with ': ' in "
                       "it needs quotes, and keys of one mapping start in the same column\n");
}

static void test_positions(void **state UNUSED) {
        struct fixture f;
        const struct node *list;

        assert_yes(load(&f, "a: 1\näöü:\n  - x\n  -   'y'\n"));
        assert_int_equal(f.document.root->pairs[1].key->line, 2);
        assert_int_equal(f.document.root->pairs[1].key->column, 1);
        list = f.document.root->pairs[1].value;
        assert_int_equal(list->items[1]->line, 4);
        assert_int_equal(list->items[1]->column, 7);
        unload(&f);
        /* Columns count characters, not bytes. */
        assert_yes(load(&f, "äöü: x\n"));
        assert_int_equal(f.document.root->pairs[0].value->column, 6);
        unload(&f);
}

static void test_null(void **state UNUSED) {
        struct fixture f;
        const struct node *list;

        assert_yes(load(&f, "[~, null, Null, NULL, '', 'null', nULL, !!str null, \"~\"]"));
        list = f.document.root;
        for (size_t i = 0; i < list->count; i++)
                assert_int_equal(node_is_null(list->items[i]), i < 4);
        unload(&f);
        assert_yes(load(&f, "a:\nb: {}\n"));
        assert_yes(node_is_null(f.document.root->pairs[0].value));
        assert_no(node_is_null(f.document.root->pairs[1].value));
        unload(&f);
}

static void test_not_text(void **state UNUSED) {
        static const char *const texts[] = {"\xff\xfe\xff", "a: \xc3\x28", "a: \xed\xa0\x80", "\x01", "a: b\x7f\x00"};
        struct fixture f;

        for (size_t i = 0; i < LENGTH_OF(texts); i++) {
                assert_no(load_bytes(&f, texts[i], strlen(texts[i]) + (i == 4)));
                assert_int_equal(f.diag.errors, 1);
                assert_null(f.document.root);
                unload(&f);
        }
}

static void add_times(struct buf *buf, const char *text, size_t times) {
        for (size_t i = 0; i < times; i++)
                buf_add_string(buf, text);
}

static void test_depth(void **state UNUSED) {
        struct fixture f;

        for (size_t depth = YAML_DEPTH_MAX; depth <= YAML_DEPTH_MAX + 1; depth++) {
                AUTO(buf_deinit) struct buf text = BUF_NULL;

                add_times(&text, "[", depth);
                add_times(&text, "]", depth);
                assert_int_equal(load(&f, buf_text(&text)), depth <= YAML_DEPTH_MAX);
                unload(&f);
        }
        AUTO(buf_deinit) struct buf deep = BUF_NULL;

        add_times(&deep, "[", 1000000);
        assert_no(load(&f, buf_text(&deep)));
        assert_string_equal(buf_text(&f.messages), "x.yaml:1:65: is nested more than 64 levels deep\n");
        unload(&f);
}

/* Ten to the seventh nodes out of eighty. */
static void test_laughs(void **state UNUSED) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        struct fixture f;

        buf_add_string(&text, "a0: &a0 x\n");
        for (int i = 1; i < 8; i++) {
                buf_printf(&text, "a%d: &a%d [", i, i);
                for (int j = 0; j < 10; j++)
                        buf_printf(&text, "%s*a%d", j > 0 ? ", " : "", i - 1);
                buf_add_string(&text, "]\n");
        }
        assert_no(load(&f, buf_text(&text)));
        assert_non_null(strstr(buf_text(&f.messages), "has more than 4194304 nodes"));
        unload(&f);
}

static void test_many_keys(void **state UNUSED) {
        AUTO(buf_deinit) struct buf text = BUF_NULL;
        struct fixture f;

        for (int i = 0; i < 100000; i++)
                buf_printf(&text, "key%d: %d\n", i, i);
        buf_add_string(&text, "key77777: 0\n");
        assert_yes(load(&f, buf_text(&text)));
        assert_int_equal(f.document.root->count, 100000);
        assert_string_equal(f.document.root->pairs[99999].key->text, "key99999");
        assert_string_equal(buf_text(&f.messages),
                            "x.yaml:100001:1: the key 'key77777' stands here twice, first in line 77778\n");
        unload(&f);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_trees),     cmocka_unit_test(test_anchors),
                cmocka_unit_test(test_merges),    cmocka_unit_test(test_repeated_keys),
                cmocka_unit_test(test_refused),   cmocka_unit_test(test_positions),
                cmocka_unit_test(test_null),      cmocka_unit_test(test_not_text),
                cmocka_unit_test(test_depth),     cmocka_unit_test(test_laughs),
                cmocka_unit_test(test_many_keys),
        };

        return cmocka_run_group_tests_name("yaml", tests, NULL, NULL);
}
