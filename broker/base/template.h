/* Words with placeholders: ${name}, ${name:argument}, and $$ for a dollar sign. Any other $ stands for itself. What the
 * names mean is the caller's: he is asked for each one, once to check the text, later to fill it in. */
#pragma once

#include "base/buf.h"
#include "base/defs.h"

#include <stdbool.h>

struct template_name {
        const char *text; /* the whole placeholder, from its dollar sign; not terminated */
        size_t size;
        char name[64];     /* what stands between ${ and the colon or the brace */
        char argument[64]; /* what stands after the colon; "" without one */
};

enum template_outcome {
        TEMPLATE_OK,
        TEMPLATE_UNCLOSED, /* ${ without } */
        TEMPLATE_TOO_LONG, /* a name or an argument of more than 63 bytes */
        TEMPLATE_REFUSED,  /* the callback returned false; the caller knows which one */
};

/* Called for each placeholder. Adds what it stands for to OUT; returns false to stop. */
typedef bool template_fill_fn(void *userdata, const struct template_name *name, struct buf *out);

/* Writes TEXT with everything filled in to OUT. */
enum template_outcome template_expand(const char *text, template_fill_fn *fill, void *userdata, struct buf *out);

/* The same, but $$ stays $$: for texts of which some placeholders are filled in now (FILL writes the others as they
 * were) and the rest later. */
enum template_outcome template_expand_partly(const char *text, template_fill_fn *fill, void *userdata, struct buf *out);

/* Whether expanding would leave TEXT as it is. */
bool template_is_plain(const char *text);
