/* The last error site: one of the two mutable globals of the daemon (the other is the log's sink). */
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

static struct err_site last_site;

int err_note(int code, const char *file, int line, const char *function) {
        if (code < 0)
                last_site = (struct err_site){.file = file, .function = function, .line = line, .code = code};
        return code;
}

const struct err_site *err_site(int code) {
        return last_site.code == code && code < 0 ? &last_site : NULL;
}

const char *err_text(int code) {
        return strerror(abs(code));
}
