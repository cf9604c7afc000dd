#include "conf/words.h"

#include "base/buf.h"

#include <string.h>

/* Copies what stands between quotes; *P is at the opening one, and afterwards behind the closing one. */
static enum words_outcome read_quoted(const char **p, struct buf *word) {
        char quote = *(*p)++;

        for (; **p && **p != quote; (*p)++) {
                if (quote == '"' && **p == '\\' && ((*p)[1] == '"' || (*p)[1] == '\\'))
                        (*p)++;
                buf_add_char(word, **p);
        }
        if (**p == '\0')
                return quote == '"' ? WORDS_UNCLOSED_DOUBLE : WORDS_UNCLOSED_SINGLE;
        (*p)++;
        return WORDS_OK;
}

static enum words_outcome read_word(const char **p, struct buf *word) {
        enum words_outcome outcome;

        while (**p && !strchr(" \t\r\n", **p)) {
                if (**p == '\'' || **p == '"') {
                        outcome = read_quoted(p, word);
                        if (outcome != WORDS_OK)
                                return outcome;
                        continue;
                }
                if (**p == '\\' && *++(*p) == '\0')
                        return WORDS_LONE_BACKSLASH;
                buf_add_char(word, *(*p)++);
        }
        return WORDS_OK;
}

enum words_outcome words_split(const char *text, struct strlist *ret) {
        for (;;) {
                AUTO(buf_deinit) struct buf word = BUF_NULL;
                enum words_outcome outcome;

                text += strspn(text, " \t\r\n");
                if (*text == '\0')
                        return WORDS_OK;
                outcome = read_word(&text, &word);
                if (outcome != WORDS_OK)
                        return outcome;
                if (strlist_consume(ret, buf_take(&word)) < 0)
                        return WORDS_NO_MEMORY;
        }
}
