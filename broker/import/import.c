#include "import/import.h"

#include <stdio.h>
#include <stdlib.h>

const char *const import_kind_names[IMPORT_N] = {
        [IMPORT_XINETD] = "xinetd",
        [IMPORT_INETD] = "inetd",
        [IMPORT_SYSTEMD] = "systemd",
};

static void (*const importers[IMPORT_N])(struct import *import) = {
        [IMPORT_XINETD] = import_xinetd,
        [IMPORT_INETD] = import_inetd,
        [IMPORT_SYSTEMD] = import_systemd,
};

/* Returns the exit status. */
static int print(struct sheet *sheet, bool strict) {
        AUTO(buf_deinit) struct buf text = BUF_NULL, messages = BUF_NULL;

        sheet_share(sheet);
        sheet_print(sheet, &text);
        diag_format(&sheet->diag, &messages);
        if (sheet->failed || buf_failed(&messages)) {
                fputs("broker: cannot import: out of memory\n", stderr);
                return EXIT_FAILURE;
        }
        fputs(buf_text(&messages), stderr);
        fputs(buf_text(&text), stdout);
        if (fflush(stdout) != 0) {
                perror("broker: cannot write");
                return EXIT_FAILURE;
        }
        return diag_has_errors(&sheet->diag) || (strict && sheet->diag.warnings > 0) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int import_run(enum import_kind kind, const struct import_setup *setup) {
        struct import import = {.files = setup->files};
        int r;

        sheet_init(&import.sheet);
        if (!setup->services || portnames_read(&import.ports, &import.sheet, setup->services))
                importers[kind](&import);
        r = print(&import.sheet, setup->strict);
        sheet_deinit(&import.sheet);
        return r;
}
