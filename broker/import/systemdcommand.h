/* What the parts that read and write ExecStart share. */
#pragma once

#include "import/systemd.h"

/* One command of ExecStart. */
struct command {
        const struct unit_entry *entry;
        bool ignores_failure; /* - */
        bool has_argv0;       /* @ */
        bool is_literal;      /* :, variables stand for themselves */
        bool is_full;         /* + */
        bool keeps_rights;    /* ! */
        struct strlist words; /* specifiers filled in, variables not */
        struct command *next;
};

#define COMMANDS_MAX 32

struct commands {
        struct conversion *conv;
        struct command items[COMMANDS_MAX];
        size_t count;
        bool needs_shell;
        struct strlist empty; /* variables that nothing sets */
        bool splits;          /* a variable is cut into words by the shell */
};

/* What a variable is when the program starts. */
enum variable_kind {
        VARIABLE_EMPTY, /* nothing sets it */
        VARIABLE_CONSTANT,
        VARIABLE_PLACEHOLDER, /* the broker fills it in */
        VARIABLE_LATER,       /* nobody knows yet */
};

/* A part of a word: a variable as ${NAME}, or text, in which $$ is one dollar sign. */
struct part {
        const char *text;
        size_t size;
        bool is_variable;
};

/* systemdwords.c */

/* What the variable NAME is; its value, or the placeholder, in *RET. */
enum variable_kind command_find_variable(const struct conversion *conv, const char *name, const char **ret);

/* The part at *P, which is moved past it. LITERAL: there are no variables. False at the end. */
bool command_next_part(const char **p, bool literal, struct part *ret);

/* The text of a part; it lives as long as the sheet. NULL when memory ran out. */
char *command_copy_part(struct conversion *conv, const struct part *part);

/* Whether WORD is $NAME and nothing else, which is cut into words; "" is a name that no variable has. */
bool command_is_split_word(const struct command *command, const char *word);

/* The names of variables that only env(1) in front of the program can keep from it. */
void command_find_unset(const struct conversion *conv, struct strlist *ret);

/* Writes the command as a list of arguments. */
void command_write_list(struct commands *commands);

/* systemdshell.c: writes it as one for a shell. */
void command_write_shell(struct commands *commands);
