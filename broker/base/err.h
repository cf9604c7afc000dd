/* Where an error was raised. Functions return a negative errno; the place that creates it says err_raise(-errno),
 * which notes the site once. Whoever reports the error at last adds err_site() at debug level. */
#pragma once

struct err_site {
        const char *file;
        const char *function;
        int line;
        int code; /* the negative errno raised there; 0 when nothing was raised yet */
};

#define err_raise(code) err_note((code), __FILE__, __LINE__, __func__)

/* Notes the site and returns the code unchanged. Values of 0 and above pass through without a note. */
int err_note(int code, const char *file, int line, const char *function);

/* The last site that raised CODE (negative errno), or NULL when the last one raised something else. */
const struct err_site *err_site(int code);

/* The text of a negative or positive errno; static storage of the C library, valid until the next call. */
const char *err_text(int code);
